"""The site of an app over TLS, on a running nginx."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.unit.certified import authority
from tests.unit.conftest import PATIENCE, make_slot, run_module
from tests.unit.rendering import LONG
from tests.unit.running_site import Site

NAMES = ("shop.example.com", "*.shop.example.com", "192.0.2.1", "2001:db8::1", LONG)
LEAVES = {"shop": authority().leaf(*NAMES), "api": authority().leaf("api.example.com")}
HSTS = "Strict-Transport-Security"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nginx: Path) -> Iterator[Site]:
    """Shop, with admin, sends all to TLS and says so for ten minutes; api serves both; sock has no TLS."""
    files = {"certificate": "x.pem", "key": "x.key"}
    shop = {**files, "hsts": 600}
    certificates = {f"tornado_app/{app}.pem": authority().chain(leaf) + leaf.key_pem for app, leaf in LEAVES.items()}
    settings = {app: {"tls": tls} for app, tls in (("shop", shop), ("admin-2", shop), ("lab", shop), ("api", {**files, "redirect": False}))}
    with ExitStack() as stack:
        made = Site(tmp_path_factory.mktemp("site"), nginx, stack, settings=settings, certificates=certificates)
        made.store()
        yield made


def context(*alpn: str, verify: bool = True) -> ssl.SSLContext:
    """A client that trusts the authority of the tests."""
    made = ssl.create_default_context(cadata=authority().root.pem) if verify else ssl._create_unverified_context()
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


def connect(site: Site, made: ssl.SSLContext, host: str = "shop.example.com", **options: Any) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", site.tls_port), timeout=PATIENCE)
    return made.wrap_socket(plain, server_hostname=host, **options)


def ask(site: Site, path: str = "/", host: str = "shop.example.com", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """One request over HTTP/1.1, of a client that checks the certificate."""
    with connect(site, context(), host) as over, closing(http.client.HTTPConnection(host)) as connection:
        connection.sock = over
        connection.request("GET", path, headers={"Host": host, **headers})
        answer = connection.getresponse()
        return answer, answer.read()


@pytest.mark.parametrize(
    ("headers", "compressed"),
    [
        ({}, True),
        ({"Referer": "https://shop.example.com/page"}, True),
        ({"Referer": "https://elsewhere.example.com/"}, False),
        ({"Referer": "https://shop.example.com.elsewhere.example.com/"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Referer": "https://shop.example.com/"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Referer": "https://shop.example.com/"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-User": "?1", "Referer": "https://elsewhere.example.com/"}, True),
    ],
)
def test_what_another_site_makes_a_browser_ask_is_not_compressed(site: Site, headers: dict[str, str], compressed: bool) -> None:
    answer, body = ask(site, "/?padding=5000", **{"Accept-Encoding": "gzip", **headers})
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip" if compressed else None)
    told = json.loads(gzip.decompress(body) if compressed else body)
    assert told["headers"]["X-Forwarded-Proto"] == "https"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def frames(over: ssl.SSLSocket) -> Iterator[tuple[int, int, bytes]]:
    """What comes: the kind, flags and content of each frame."""
    stream = over.makefile("rb")
    while head := stream.read(9):
        (length,) = struct.unpack(">I", b"\0" + head[:3])
        yield head[3], head[4], stream.read(length)


def ask_h2(site: Site, host: str, authority: str) -> dict[str, Any]:
    """What the process tells of a request over HTTP/2; GET, https and / are in its static table, a name of a host is written out."""
    with connect(site, context("h2", "http/1.1"), host) as over:
        assert over.selected_alpn_protocol() == "h2"
        header = b"\x82\x87\x84\x41" + bytes([len(authority)]) + authority.encode()
        over.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 5, 1, header))
        body = b""
        for kind, flags, content in frames(over):
            if kind == 0:
                body += content
                if flags & 1:
                    return dict(json.loads(body))
    raise AssertionError("the connection ended")


# What is spoken


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_that_are_served(site: Site, version: ssl.TLSVersion) -> None:
    made = context()
    made.minimum_version = made.maximum_version = version
    with connect(site, made) as over:
        assert over.version() == str(version.name).replace("_", ".")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.parametrize("host", ["shop.example.com", "elsewhere.example.com"])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_versions_that_are_not(site: Site, version: ssl.TLSVersion, host: str) -> None:
    made = context(verify=False)
    made.set_ciphers("ALL:@SECLEVEL=0")
    made.minimum_version = made.maximum_version = version
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        connect(site, made, host)


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"])
def test_ciphers_without_forward_secrecy_or_authentication_are_not(site: Site, cipher: str) -> None:
    made = context()
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(cipher)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(site, made)
    made.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    connect(site, made).close()


def test_sessions_come_back_without_a_ticket(site: Site) -> None:
    made = context()
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(site, made) as over:
        session = over.session
    assert session is not None
    assert (bool(session.id), session.has_ticket) == (True, False)
    with connect(site, made, session=session) as over:
        assert over.session_reused


def test_http_2(site: Site) -> None:
    told = ask_h2(site, "api.example.com", "api.example.com:443")
    assert (told["method"], told["uri"]) == ("GET", "/")
    headers = told["headers"]
    assert (headers["Host"], headers["X-Forwarded-Proto"], headers["X-Scheme"]) == ("api.example.com", "https", "https")
    assert ask_h2(site, "shop.example.com", "shop.example.com")["headers"]["Host"] == "shop.example.com"


def test_each_name_gets_its_certificate(site: Site) -> None:
    for host in ("shop.example.com", "x.shop.example.com", LONG):
        with connect(site, context(), host) as over:
            assert over.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(LEAVES["shop"].pem)
    with connect(site, context(), "api.example.com") as over:
        assert over.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(LEAVES["api"].pem)


@pytest.mark.parametrize("host", ["elsewhere.example.com", "sock.example.com"])
def test_a_name_without_tls_gets_no_answer(site: Site, host: str) -> None:
    with connect(site, context(verify=False), host) as over:
        over.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert over.recv(1000) == b""


# What apps are told


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("api.example.com", "api.example.com"),
        ("api.example.com:443", "api.example.com"),
        ("api.example.com:80", "api.example.com:80"),
        ("api.example.com:8443", "api.example.com:8443"),
    ],
)
def test_the_host_of_an_app_over_tls(site: Site, sent: str, told: str) -> None:
    answer, body = ask(site, host="api.example.com", **{"Host": sent, "X-Forwarded-Proto": "http", "X-Scheme": "http"})
    headers = json.loads(body)["headers"]
    assert (answer.status, headers["Host"], headers["X-Forwarded-Proto"], headers["X-Scheme"]) == (200, told, "https", "https")


def test_an_app_that_is_not_redirected_is_told_of_http(site: Site) -> None:
    told = site.tell(host="api.example.com:443", X_Forwarded_Proto="https")["headers"]
    assert (told["Host"], told["X-Forwarded-Proto"], told["X-Scheme"]) == ("api.example.com:443", "http", "http")


# The redirect


@pytest.mark.parametrize(
    "path",
    ["/", "/a?b=c%2F", "/static/app.css", "/admin/v2.0/", "//elsewhere.test/", "/.well-known/x", "/x/.well-known/acme-challenge/y"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_port_80_sends_clients_to_tls(site: Site, path: str, method: str) -> None:
    answer, _ = site.ask(path, method)
    assert (answer.status, answer.headers["Location"]) == (308, f"https://shop.example.com{path}")


def test_the_redirect_keeps_no_port_of_the_client(site: Site) -> None:
    assert site.ask("/", host="shop.example.com:80")[0].headers["Location"] == "https://shop.example.com/"


def test_what_is_answered_without_tls(site: Site) -> None:
    assert site.ask("/.tornado_app/slot")[1] == b"blue"
    assert site.ask("/admin/v2.0/.tornado_app/slot")[1] == b"blue"
    assert site.ask("/.well-known/acme-challenge/token")[0].status == 200  # no server is asked to issue here: it is the app's
    assert site.ask("/", host="api.example.com")[0].status == 200


def test_apps_and_static_files_over_tls(site: Site) -> None:
    assert json.loads(ask(site, "/x?y")[1])["uri"] == "/x?y"
    assert ask(site, "/static/app.css")[1] == b"a { color: blue }\n"
    assert ask(site, "/static/app.css")[0].headers["X-Content-Type-Options"] == "nosniff"
    assert ask(site, "/admin/v2.0/static/app.css")[1] == b"a { color: admin }\n"


# HSTS


@pytest.mark.parametrize("path", ["/", "/?status=404", "/static/app.css", "/static/.env", "/?cut=1", "/admin/v2.0/"])
def test_browsers_are_told_of_tls_whatever_the_answer(site: Site, path: str) -> None:
    """And what an operator adds for all sites is there as well."""
    answer, _ = ask(site, path)
    assert answer.headers.get_all(HSTS) == ["max-age=600"]
    if answer.status < 400:
        assert answer.headers["X-Operator"] == "here"


def test_browsers_are_told_over_tls_alone_and_by_those_apps_alone_that_say_so(site: Site) -> None:
    assert site.ask("/")[0].headers[HSTS] is None
    assert ask(site, host="api.example.com")[0].headers[HSTS] is None
    assert ask(site, host="x.shop.example.com")[0].headers[HSTS] == "max-age=600"


# probe_nginx


def probe(site: Site, certificate: Path, host: str = "shop.example.com") -> dict[str, Any]:
    slot = make_slot(host=host, certificate=str(certificate))
    file = {"path": "a b.css", "version": hashlib.sha512(b"a { color: blue }\n").hexdigest()}
    return run_module("probe_nginx", slots=[slot], port=site.port, tls_port=site.tls_port, static_files={"shop": file})


def test_a_probe_asks_over_tls_for_the_certificate_on_disk(site: Site, tmp_path: Path) -> None:
    certificate = tmp_path / "shop.pem"
    certificate.write_text(LEAVES["shop"].pem + LEAVES["shop"].key_pem)
    assert [(answer["status"], answer["slot"]) for answer in probe(site, certificate)["answers"]] == [(200, "blue"), (200, ""), (200, "")]
    certificate.write_text(authority().leaf(*NAMES).pem)
    said = f"nginx serves another certificate than that of {certificate}; systemctl reload nginx takes the file"
    assert probe(site, certificate)["answers"][0]["error"] == f"shop through nginx (Host: shop.example.com): {said}"
    # A client that goes to an address names no host.
    assert not probe(site, certificate, "192.0.2.1").get("failed")


def test_a_probe_of_an_app_that_has_no_certificate_yet_asks_as_before(site: Site, tmp_path: Path) -> None:
    """A deploy without a provision comes before the site is over TLS."""
    slot = make_slot("api", host="api.example.com", certificate=str(tmp_path / "none"))
    assert [answer["status"] for answer in run_module("probe_nginx", slots=[slot], port=site.port, tls_port=1)["answers"]] == [200]


def test_a_probe_of_a_port_that_does_not_speak_tls(site: Site, tmp_path: Path) -> None:
    certificate = tmp_path / "shop.pem"
    certificate.write_text(LEAVES["shop"].pem)
    slot = make_slot(host="shop.example.com", certificate=str(certificate))
    result = run_module("probe_nginx", slots=[slot], port=site.port, tls_port=site.port)
    assert (result["failed"], result["answers"][0]["status"]) == (True, 0)
