"""A site asks for a password, for all of an app, and keeps it from the app."""

from __future__ import annotations

import base64
import ctypes
import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.plugin_utils.secret_values import htpasswds
from tests.unit.builders import DEFAULTS
from tests.unit.running_site import Site

NOT_HERE: dict[str, Any] = {"source": "127.0.0.2"}  # another machine, for nginx
PASSWORD = "correct horse: battery"


def hashed(*arguments: str) -> str:
    return subprocess.run(["openssl", "passwd", *arguments, PASSWORD], capture_output=True, text=True, check=True).stdout.strip()


def crypted(salt: str) -> str:
    """What crypt(3) of the system makes of it, which nginx asks."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return str(crypt(PASSWORD.encode(), salt.encode()).decode())


USERS = {
    "six": hashed("-6"),
    "five": hashed("-5"),
    "apr": hashed("-apr1"),
    "one": hashed("-1"),
    "rounds": crypted("$6$rounds=1000$salt"),
    "yes": crypted("$y$j9T$saltsaltsalt"),
    "blowfish": crypted("$2y$05$abcdefghijklmnopqrstuu"),
    "ssha": "{SSHA}" + base64.b64encode(hashlib.sha1(f"{PASSWORD}salt".encode()).digest() + b"salt").decode(),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "shop": {"basic_auth": USERS, "error_pages": {"401": "errors/401.html"}},
    "admin-2": {},
}


def told(user: str, password: str = PASSWORD) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nginx: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        made = Site(tmp_path_factory.mktemp("site"), nginx, stack, settings=SETTINGS)
        users = Path(made.shop["htpasswd"])
        users.parent.mkdir(parents=True)
        users.write_text(htpasswds(made.plan, SETTINGS, DEFAULTS)["shop"])
        page = Path(made.shop["slots"]["blue"]["cwd"]) / "static/errors/401.html"
        page.parent.mkdir()
        page.write_text("who are you\n")
        yield made


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize("path", ["/", "/static/app.css", "/static/none.css", "/robots.txt", "/favicon.ico", "/x/.tornado_app/slot"])
def test_nobody_else_gets_anything_of_the_app(site: Site, path: str, near: bool) -> None:
    with site.near_reload() if near else nullcontext():
        for given in ("", told("six", "wrong"), told("nobody"), "Bearer six"):
            answer, body = site.ask(path, **NOT_HERE, Authorization=given)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="app shop"')
            assert body == b"who are you\n"


@pytest.mark.parametrize("user", USERS)
def test_who_knows_a_password_is_let_in(site: Site, user: str) -> None:
    answer, body = site.ask("/static/app.css", **NOT_HERE, Authorization=told(user))
    assert (answer.status, body) == (200, b"a { color: blue }\n")
    assert site.ask("/static/app.css", **NOT_HERE, Authorization=told(user, f"{PASSWORD}x"))[0].status == 401


def test_the_app_does_not_get_the_password(site: Site) -> None:
    for near in (False, True):
        with site.near_reload() if near else nullcontext():
            found = site.tell("/", source=f"127.0.1.{1 + near}", Authorization=told("six"))
            assert "Authorization" not in found["headers"]
    assert "Authorization" not in site.tell("/", Authorization=told("six"))["headers"]


def test_another_app_of_the_name_asks_nobody_and_gets_what_is_meant_for_it(site: Site) -> None:
    found = site.tell("/admin/v2.0/", **NOT_HERE, Authorization="Bearer token")
    assert found["headers"]["Authorization"] == "Bearer token"
    assert site.ask("/admin/v2.0/static/app.css", **NOT_HERE)[0].status == 200


def test_this_machine_is_let_in_and_the_role_has_its_paths(site: Site) -> None:
    assert site.ask("/")[0].status == 200
    assert site.ask("/static/app.css")[0].status == 200
    assert site.ask("/.tornado_app/slot")[1] == b"blue"
    assert site.ask("/", X_Forwarded_For="203.0.113.7")[0].status == 401  # of a proxy that speaks for others


def test_a_user_is_gone_with_the_line(site: Site) -> None:
    """Nothing is reloaded."""
    users = Path(site.shop["htpasswd"])
    kept = users.read_text()
    users.write_text("".join(line for line in kept.splitlines(keepends=True) if not line.startswith("six:")))
    try:
        assert site.ask("/static/app.css", **NOT_HERE, Authorization=told("six"))[0].status == 401
        assert site.ask("/static/app.css", **NOT_HERE, Authorization=told("five"))[0].status == 200
    finally:
        users.write_text(kept)
