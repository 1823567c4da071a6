"""TLS with what else a site has: proxies in front, other names, maintenance, passwords, cookies, the questions of balancers."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.unit.certified import authority
from tests.unit.conftest import PATIENCE
from tests.unit.running_site import Site

PROXY, STRANGER, CLIENT = "127.0.0.9", "127.0.0.2", "198.51.100.7"
HSTS = "Strict-Transport-Security"
USERS = {"ana": f"$6$salt${'x' * 86}"}
FILES = {"certificate": "x.pem", "key": "x.key"}
SHOP = {"server_names": ["shop.example.com"], "tls": {**FILES, "hsts": 600}}
SETTINGS: dict[str, dict[str, Any]] = {
    "shop": {**SHOP, "redirect_names": ["old.example.com"], "balance": "cookie"},
    "admin-2": {**SHOP, "redirect_names": ["old-admin.example.com"]},
    "lab": SHOP,
    "api": {"tls": {**FILES, "redirect": False}, "redirect_names": ["old-api.example.com"], "balance": "cookie"},
    # Its certificate is issued by an ACME server. None of its processes is there.
    "sock": {
        "tls": {"acme": {"email": "ops@example.com"}},
        "redirect_names": ["old-sock.example.com"],
        "basic_auth": USERS,
    },
}
INPUTS = {
    "tornado_app_trusted_proxies": PROXY,
    "tornado_app_proxy_port": "{proxy_port}",
    "tornado_app_proxy_tls_port": "{proxy_tls_port}",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nginx: Path) -> Iterator[Site]:
    """Behind a balancer that passes connections on, and one that does not."""
    with ExitStack() as stack:
        root = tmp_path_factory.mktemp("site")
        certificates = {}
        for app, names in (("shop", "shop old old-admin"), ("api", "api old-api"), ("sock", "sock old-sock")):
            leaf = authority().leaf(*(f"{name}.example.com" for name in names.split()))
            certificates[f"tornado_app/{app}.pem"] = authority().chain(leaf) + leaf.key_pem
        made = Site(root, nginx, stack, settings=SETTINGS, inputs=INPUTS, own="", certificates=certificates)
        users = Path(made.plan["sock"]["htpasswd"])
        users.parent.mkdir(parents=True)
        users.write_text("".join(f"{user}:{secret}\n" for user, secret in USERS.items()))
        challenge = root / "acme/.well-known/acme-challenge/token"
        challenge.parent.mkdir(parents=True)
        challenge.write_text("proof")
        yield made


def connected(site: Site, tls: bool, host: str, source: str = "127.0.0.1", proxied: str = "") -> socket.socket:
    """A connection; `proxied` is the client of one that comes by the PROXY protocol."""
    ports = (site.proxy_port, site.proxy_tls_port) if proxied else (site.port, site.tls_port)
    plain = socket.create_connection(("127.0.0.1", ports[tls]), timeout=PATIENCE, source_address=(source, 0))
    if proxied:
        plain.sendall(f"PROXY TCP4 {proxied} 192.0.2.1 4711 {443 if tls else 80}\r\n".encode())
    if not tls:
        return plain
    return ssl.create_default_context(cadata=authority().root.pem).wrap_socket(plain, server_hostname=host)


def ask(
    site: Site,
    tls: bool = True,
    host: str = "shop.example.com",
    path: str = "/",
    *,
    source: str = "127.0.0.1",
    proxied: str = "",
    **headers: str,
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request, over TLS by a client that checks the certificate."""
    with connected(site, tls, host, source, proxied) as over, closing(http.client.HTTPConnection(host)) as connection:
        connection.sock = over
        connection.request("GET", path, headers={"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}})
        answer = connection.getresponse()
        return answer, answer.read()


# Proxies


def test_who_a_proxy_has_taken_tls_off_is_not_sent_to_tls(site: Site) -> None:
    answer, body = ask(site, False, source=PROXY, X_Forwarded_Proto="https")
    assert (answer.status, answer.headers.get_all(HSTS)) == (200, ["max-age=600"])
    assert json.loads(body)["headers"]["X-Forwarded-Proto"] == "https"


@pytest.mark.parametrize(("source", "scheme"), [(PROXY, "http"), (STRANGER, "https")])
def test_who_has_no_tls_is_sent_there_through_a_proxy_too(site: Site, source: str, scheme: str) -> None:
    answer, _ = ask(site, False, path="/a?b", source=source, X_Forwarded_Proto=scheme)
    assert (answer.status, answer.headers["Location"]) == (308, "https://shop.example.com/a?b")
    assert answer.headers[HSTS] is None
    assert answer.headers["Connection"] == "close"  # none is cut by a reload


@pytest.mark.parametrize(("tls", "host", "scheme"), [(True, "shop.example.com", "https"), (False, "api.example.com", "http")])
@pytest.mark.parametrize(("source", "client"), [(PROXY, CLIENT), (STRANGER, STRANGER)])
def test_a_connection_that_is_passed_on_is_of_its_client(site: Site, source: str, client: str, tls: bool, host: str, scheme: str) -> None:
    """With TLS and without; what the client says of itself does not count."""
    said = {"X_Forwarded_Proto": "http" if tls else "https", "X_Forwarded_For": "203.0.113.1"}
    answer, body = ask(site, tls, host, source=source, proxied=CLIENT, **said)
    headers = json.loads(body)["headers"]
    assert (answer.status, headers["X-Real-Ip"], headers["X-Forwarded-Proto"], headers["X-Scheme"]) == (200, client, scheme, scheme)


def test_a_client_that_is_passed_on_without_tls_is_sent_there(site: Site) -> None:
    answer, _ = ask(site, False, source=PROXY, proxied=CLIENT, X_Forwarded_Proto="https")
    assert (answer.status, answer.headers["Location"]) == (308, "https://shop.example.com/")


# Other names


@pytest.mark.parametrize("name", ["old", "old-admin"])
@pytest.mark.parametrize("tls", [True, False])
def test_another_name_leads_to_the_first_one_with_tls(site: Site, name: str, tls: bool) -> None:
    """At once, with a certificate that is for it too."""
    answer, _ = ask(site, tls, f"{name}.example.com", "/a%20b?c")
    assert (answer.status, answer.headers["Location"]) == (308, "https://shop.example.com/a%20b?c")
    assert answer.headers.get_all(HSTS) == (["max-age=600"] if tls else None)
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("tls", "host", "to"),
    [
        (True, "old-api.example.com", "https://api.example.com"),
        (True, "old-api.example.com:443", "https://api.example.com"),
        (True, "old-api.example.com:8443", "https://api.example.com:8443"),
        (False, "old-api.example.com", "http://api.example.com"),
        (False, "old-api.example.com:80", "http://api.example.com"),
        (False, "old-api.example.com:8080", "http://api.example.com:8080"),
    ],
)
def test_where_both_are_served_another_name_keeps_the_scheme(site: Site, tls: bool, host: str, to: str) -> None:
    answer, _ = ask(site, tls, "old-api.example.com", "/x", Host=host)
    assert (answer.status, answer.headers["Location"]) == (308, f"{to}/x")


def test_another_name_keeps_the_scheme_that_a_proxy_has_seen(site: Site) -> None:
    answer, _ = ask(site, False, "old-api.example.com", "/x", source=PROXY, X_Forwarded_Proto="https")
    assert answer.headers["Location"] == "https://api.example.com/x"


# What is answered in any case


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("name", ["sock", "old-sock"])
@pytest.mark.parametrize("maintained", [True, False])
def test_an_acme_server_finds_challenges_whatever_keeps_clients_out(site: Site, tls: bool, name: str, maintained: bool) -> None:
    """Of other names too."""
    flag = Path(site.plan["sock"]["maintenance_flag"])
    flag.parent.mkdir(parents=True, exist_ok=True)
    if maintained:
        flag.touch()
    try:
        asked = {"host": f"{name}.example.com", "source": STRANGER}
        answer, body = ask(site, tls, path="/.well-known/acme-challenge/token", **asked)
        assert (answer.status, body) == (200, b"proof")
        status = ask(site, True, path="/", **asked)[0].status
        assert status == (308 if name == "old-sock" else 503 if maintained else 401)
        assert ask(site, False, path="/", **asked)[0].status == 308  # before maintenance, too
    finally:
        flag.unlink(missing_ok=True)


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(
    ("path", "status"), [("/.tornado_app/ready", 200), ("/admin/v2.0/.tornado_app/ready", 200), ("/.tornado_app/tls", 404)]
)
def test_balancers_get_answers_with_tls_and_without(site: Site, tls: bool, path: str, status: int) -> None:
    assert ask(site, tls, path=path, source=STRANGER)[0].status == status


# Cookies


@pytest.mark.parametrize(
    ("tls", "asked", "secure"),
    [(True, {}, True), (False, {}, False), (False, {"source": PROXY, "X_Forwarded_Proto": "https"}, True)],
)
def test_the_cookie_of_a_process_is_for_tls_alone_where_the_client_has_it(
    site: Site, tls: bool, asked: dict[str, str], secure: bool
) -> None:
    answer, _ = ask(site, tls, "api.example.com", **asked)
    (cookie,) = answer.headers.get_all("Set-Cookie") or []
    assert re.fullmatch(r"tornado_app_api=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else ""), cookie)
