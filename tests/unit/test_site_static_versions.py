"""A version of a static file is its content: on every host, in every release that is kept, before a switch and after it."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.unit.running_site import Site

FOR_EVER = "public, max-age=31536000, immutable"
BLUE, GREEN, OLD = "a { color: blue }\n", "a { color: green }\n", "a { color: old }\n"
NEAR = pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nginx: Path) -> Iterator[Site]:
    """Beside the releases of the slots one that is older; of both apps of the name the files are in the store."""
    with ExitStack() as stack:
        made = Site(tmp_path_factory.mktemp("site"), nginx, stack)
        releases = Path(made.shop["releases"])
        files = {
            "old/static/app.css": OLD,
            "blue/static/only-blue.1a2b3c4d.js": "blue",
            "green/static/only-green.1a2b3c4d.js": "green",
            "green/static/deep/only-green.css": GREEN,
            "blue/static/.env": "SECRET",
        }
        for path, text in files.items():
            (releases / path).parent.mkdir(parents=True, exist_ok=True)
            (releases / path).write_text(text)
        made.store()
        yield made


def v(text: str, digest: str = "sha512") -> str:
    """The version of this content."""
    return hashlib.new(digest, text.encode()).hexdigest()


def near_reload(site: Site, near: bool) -> Any:
    return site.near_reload() if near else nullcontext()


@NEAR
@pytest.mark.parametrize("digest", ["sha512", "md5"])
@pytest.mark.parametrize("text", [BLUE, GREEN, OLD], ids=["live", "idle", "older"])
def test_a_version_is_its_content_whichever_slot_is_live(site: Site, text: str, digest: str, near: bool) -> None:
    path = f"/static/app.css?v={v(text, digest)}"
    with near_reload(site, near):
        for switched in (nullcontext(), site.green()):
            with switched:
                answer, body = site.ask(path)
                assert (answer.status, body, answer.headers.get_all("Cache-Control")) == (200, text.encode(), [FOR_EVER])
                assert (answer.headers["X-Content-Type-Options"], answer.headers["X-Operator"]) == ("nosniff", "here")
                assert answer.headers["Connection"] == ("close" if near else "keep-alive")


@NEAR
@pytest.mark.parametrize(
    "version",
    ["", "?v=1", f"?v={v('nobody has it')}", f"?v={v(BLUE).upper()}", f"?v={v(BLUE)[:-1]}", "?v=", f"?w={v(GREEN)}", f"?v=1&v={v(GREEN)}"],
)
def test_a_version_that_nobody_knows_gets_the_live_file_and_is_asked_for_again(site: Site, version: str, near: bool) -> None:
    with near_reload(site, near):
        answer, body = site.ask(f"/static/app.css{version}")
        with site.green():
            after, other = site.ask(f"/static/app.css{version}")
    assert (body, answer.headers.get_all("Cache-Control")) == (BLUE.encode(), ["no-cache"])
    assert (other, after.headers.get_all("Cache-Control")) == (GREEN.encode(), ["no-cache"])


def test_a_version_is_of_its_path(site: Site) -> None:
    """No other file is served for it."""
    answer, body = site.ask(f"/static/robots.txt?v={v(BLUE)}")
    assert (body, answer.headers["Cache-Control"]) == (b"blue", "no-cache")


@NEAR
@pytest.mark.parametrize("version", ["", "?v=1"])
def test_a_file_that_the_other_slot_alone_has_is_served_from_there(site: Site, version: str, near: bool) -> None:
    with near_reload(site, near):
        answer, body = site.ask(f"/static/only-green.1a2b3c4d.js{version}")
        with site.green():
            after, other = site.ask(f"/static/only-blue.1a2b3c4d.js{version}")
    assert (answer.status, body, answer.headers["Cache-Control"]) == (200, b"green", "no-cache")
    assert (after.status, other, after.headers["Cache-Control"]) == (200, b"blue", "no-cache")


def test_a_file_of_an_older_release_has_no_name_but_its_version(site: Site) -> None:
    assert json.loads(site.ask("/static/../assets/app.css")[1])["uri"] == "/static/../assets/app.css"


@NEAR
@pytest.mark.parametrize(
    "path",
    [
        "/static/app.py?v=../slots/blue",
        "/static/app.py?v=..%2fslots%2fblue",
        "/static/app.py?v=../../releases/blue",
        f"/static/../app.py?v={v(BLUE)}",
        f"/static/..%2f..%2f..%2fslots/blue/app.py?v={v(BLUE)}",
        f"/static/%2e%2e/{v(BLUE)}/../../slots/blue/app.py",
        "/static/r1?v=.done",
        "/assets/x/app.py",
        "/slots/blue/app.py",
    ],
)
def test_nothing_beside_the_store_is_served(site: Site, path: str, near: bool) -> None:
    (Path(site.shop["slots"]["blue"]["cwd"]) / "app.py").write_text("SECRET")
    with near_reload(site, near):
        answer = site.raw(f"GET {path} HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n".encode())
    assert b"SECRET" not in answer


@NEAR
def test_what_begins_with_a_dot_has_no_version(site: Site, near: bool) -> None:
    with near_reload(site, near):
        assert site.ask(f"/static/.env?v={v('SECRET')}")[0].status == 403


@pytest.mark.parametrize("path", [f"/assets/{v(BLUE)}/app.css", f"/srv/shop:/assets/{v(BLUE)}/app.css", "/slots/blue/static/app.css"])
def test_the_apps_own_answers_have_its_headers_alone(site: Site, path: str) -> None:
    """Also where its paths are like those in the store."""
    answer, body = site.ask(f"{path}?v={v(BLUE)}")
    assert json.loads(body)["uri"].startswith(path)
    assert "Cache-Control" not in answer.headers
    assert "X-Content-Type-Options" not in answer.headers


# What nginx does not answer


@NEAR
@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
@pytest.mark.parametrize(
    ("prefix", "uri"),
    [("", f"/static/app.css?v={v(BLUE)}"), ("", "/static/app.css"), ("/admin/v2.0", "/static/app.css"), ("", "/robots.txt")],
)
def test_other_methods_are_the_apps(site: Site, prefix: str, uri: str, method: str, near: bool) -> None:
    with near_reload(site, near):
        told = site.tell(f"{prefix}{uri}", method=method, body=b"12345")
    assert (told["method"], told["uri"], told["size"]) == (method, uri, 5)


@NEAR
@pytest.mark.parametrize("path", ["/static/", "/static/deep", "/static/deep/", "/static/app.css/", f"/static/{'x' * 300}", "/static"])
def test_directories_and_what_is_not_there_are_the_apps(site: Site, path: str, near: bool) -> None:
    with near_reload(site, near):
        for query in ("", f"?v={v(BLUE)}"):
            assert site.tell(f"{path}{query}")["uri"] == f"{path}{query}"


# HTTP


@pytest.mark.parametrize("path", ["/static/app.css", f"/static/app.css?v={v(GREEN)}"])
def test_head_and_conditions_and_ranges(site: Site, path: str) -> None:
    whole, body = site.ask(path)
    head, nothing = site.ask(path, method="HEAD")
    assert (head.status, nothing, head.headers["Content-Length"]) == (200, b"", str(len(body)))
    again, _ = site.ask(path, If_None_Match=whole.headers["ETag"])
    part, some = site.ask(path, Range="bytes=2-4")
    assert (again.status, part.status, some) == (304, 206, body[2:5])
    for answer in (head, again, part):
        assert answer.headers.get_all("Cache-Control") == whole.headers.get_all("Cache-Control")
        assert answer.headers["ETag"] == whole.headers["ETag"]


@NEAR
@pytest.mark.parametrize("version", ["", f"?v={v(BLUE * 100)}", f"?v={v(GREEN * 100)}"], ids=["plain", "live", "idle"])
def test_what_was_compressed_at_the_installation_is_served(site: Site, version: str, near: bool) -> None:
    """Its length is known, which what nginx compresses itself has not."""
    text = GREEN * 100 if v(GREEN * 100) in version else BLUE * 100
    with near_reload(site, near):
        packed, body = site.ask(f"/static/large.css{version}", Accept_Encoding="gzip")
        plain, whole = site.ask(f"/static/large.css{version}")
    assert (packed.headers["Content-Encoding"], packed.headers["Content-Length"]) == ("gzip", str(len(body)))
    assert (gzip.decompress(body).decode(), whole.decode()) == (text, text)
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert packed.headers["Content-Type"] == plain.headers["Content-Type"] == "text/css"
    assert packed.headers["Cache-Control"] == plain.headers["Cache-Control"] == (FOR_EVER if version else "no-cache")
    assert "Content-Encoding" not in plain.headers


@NEAR
def test_apps_below_a_prefix_have_a_store_each(site: Site, near: bool) -> None:
    text = "a { color: admin }\n"
    with near_reload(site, near):
        answer, body = site.ask(f"/admin/v2.0/static/app.css?v={v(text)}")
        other, live = site.ask(f"/admin/v2.0/static/app.css?v={v(BLUE)}")
    assert (body.decode(), answer.headers["Cache-Control"]) == (text, FOR_EVER)
    assert (live.decode(), other.headers["Cache-Control"]) == (text, "no-cache")
    assert site.tell("/admin/v2.0/static/none.css")["uri"] == "/static/none.css"
