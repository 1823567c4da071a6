"""Of the headers that say who asks for what, the app gets nginx's own: a client cannot choose them."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext

import pytest

from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture


def headers_for(site: Site, head: str) -> dict[str, str]:
    """What the app gets for this request line with its headers."""
    answer = site.raw(f"{head}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200")
    return dict(json.loads(answer.partition(b"\r\n\r\n")[2])["headers"])


# Host


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        ("shop.example.com", "shop.example.com"),
        ("shop.example.com:8080", "shop.example.com:8080"),
        ("shop.example.com:80", "shop.example.com"),
        ("shop.example.com:8000", "shop.example.com:8000"),
        ("SHOP.example.com:8080", "shop.example.com:8080"),
        ("shop.example.com.:8080", "shop.example.com:8080"),
        ("192.0.2.1:443", "192.0.2.1:443"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("[2001:db8::1]:8080", "[2001:db8::1]:8080"),
        ("shop.example.com:8080@elsewhere.example.com", "shop.example.com"),
        ("shop.example.com:elsewhere.example.com", "shop.example.com"),
        ("shop.example.com:", "shop.example.com"),
    ],
)
def test_host_of_the_app_is_the_name_of_its_site(site: Site, sent: str, got: str) -> None:
    """With the port that the client has named: it may be one that is forwarded."""
    assert headers_for(site, f"GET / HTTP/1.1\r\nHost: {sent}")["Host"] == got
    assert headers_for(site, f"GET /admin/v2.0/ HTTP/1.1\r\nHost: {sent}")["Host"] == got


@pytest.mark.parametrize(
    ("line", "host", "got"),
    [
        ("http://shop.example.com/", "elsewhere.example.com", "shop.example.com"),
        ("http://shop.example.com/", "elsewhere.example.com:8080", "shop.example.com"),
        ("http://shop.example.com/", "shop.example.com:8080", "shop.example.com:8080"),
        ("http://shop.example.com:8080/", "shop.example.com:8080", "shop.example.com:8080"),
        ("http://SHOP.example.com/", "api.example.com", "shop.example.com"),
        ("https://shop.example.com/static/none", "shop.example.com.elsewhere.example.com", "shop.example.com"),
    ],
)
def test_absolute_request_line_chooses_site_and_host(site: Site, line: str, host: str, got: str) -> None:
    found = headers_for(site, f"GET {line} HTTP/1.1\r\nHost: {host}")
    assert (found["Host"], found["X-Scheme"], found["X-Forwarded-Proto"]) == (got, "http", "http")


def test_absolute_request_line_for_an_unknown_name_gets_no_answer(site: Site) -> None:
    with pytest.raises(ConnectionResetError):
        site.raw(b"GET http://elsewhere.example.com/ HTTP/1.1\r\nHost: shop.example.com\r\n\r\n")


@pytest.mark.parametrize("hosts", ["", "Host: shop.example.com\r\nHost: elsewhere.example.com\r\n", "Host: shop.example.com/elsewhere\r\n"])
def test_one_valid_host_is_needed(site: Site, hosts: str) -> None:
    assert site.raw(f"GET / HTTP/1.1\r\n{hosts}\r\n".encode()).startswith(b"HTTP/1.1 400")


# Who asks

BY_PROXIES = ["", "-By", "-Host", "-Port", "-Prefix", "-Protocol", "-Scheme", "-Server", "-Ssl"]
CLAIMED = [
    *(f"X-Forwarded{rest}" for rest in BY_PROXIES),
    *("Forwarded", "Forwarded-For", "Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP"),
    *("Fastly-Client-IP", "Front-End-Https", "X-Url-Scheme", "X-Original-URL", "X-Rewrite-URL", "X-Script-Name", "Proxy"),
]
OWN = {"X-Real-Ip": "127.0.0.1", "X-Forwarded-For": "127.0.0.1", "X-Scheme": "http", "X-Forwarded-Proto": "http"}


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize("path", ["/", "/static/the-apps-own.css", "/favicon.ico", "/admin/v2.0/", "/admin/v2.0/static/none"])
def test_what_a_client_claims_does_not_reach_the_app(site: Site, path: str, near: bool) -> None:
    """Wherever the app is asked."""
    with site.near_reload() if near else nullcontext():
        found = site.tell(path, **{name.replace("-", "_"): "claimed" for name in [*CLAIMED, *OWN]})["headers"]
    assert "claimed" not in found.values()
    assert found | OWN == found


def test_other_headers_reach_the_app(site: Site) -> None:
    found = site.tell(Accept="text/html", Cookie="a=b", Authorization="Basic x", X_Forwarded_User="ana", X_Http_Method_Override="PUT")
    sent = {"Accept": "text/html", "Cookie": "a=b", "Authorization": "Basic x", "X-Forwarded-User": "ana", "X-Http-Method-Override": "PUT"}
    assert found["headers"] | sent == found["headers"]


@pytest.mark.parametrize(
    "name", ["X_Real_IP", "X_Forwarded_For", "X-Forwarded_Proto", "X_Forwarded-Host", "SCRIPT_NAME", "Proxy_", "Api_Key"]
)
def test_name_with_an_underscore_does_not_reach_the_app(site: Site, name: str) -> None:
    """WSGI would take it for the one with hyphens."""
    found = headers_for(site, f"GET / HTTP/1.1\r\nHost: shop.example.com\r\n{name}: claimed")
    assert "claimed" not in found.values()


def test_trusted_proxy_says_who_asks(site: Site) -> None:
    """What the operator has set up in a file of their own, by nginx's real_ip."""
    found = site.tell(X_Told_By_Proxy="198.51.100.7", X_Forwarded_For="203.0.113.1")["headers"]
    assert (found["X-Real-Ip"], found["X-Forwarded-For"]) == ("198.51.100.7", "198.51.100.7")


# Upgrade


@pytest.mark.parametrize("path", ["/", "/admin/v2.0/"])
@pytest.mark.parametrize("wanted", ["h2c", "TLS/1.0", "websocket2", "h2c, websocket", "HTTP/2.0"])
def test_other_upgrades_do_not_reach_the_app(site: Site, wanted: str, path: str) -> None:
    found = site.tell(path, Upgrade=wanted, Connection="Upgrade, HTTP2-Settings", HTTP2_Settings="AAMAAABkAARAAAAAAAIAAAAA")["headers"]
    assert not {"Upgrade", "Connection"} & set(found)


@pytest.mark.parametrize("wanted", ["websocket", "WebSocket"])
def test_upgrade_to_a_websocket_reaches_the_app(site: Site, wanted: str) -> None:
    found = site.tell(Upgrade=wanted, Connection="keep-alive, Upgrade")["headers"]
    assert (found["Upgrade"], found["Connection"]) == ("websocket", "upgrade")


def test_other_upgrades_keep_the_connection_to_the_app(site: Site) -> None:
    seen = [site.tell(host="api.example.com", Upgrade="h2c", Connection="Upgrade") for _ in range(5)]
    assert len({found["peer"] for found in seen}) == 1


def test_after_an_upgrade_that_was_dropped_nginx_reads_requests(site: Site) -> None:
    """The preface of HTTP/2 is no tunnel to the app, but a request that nginx refuses."""
    first = "GET /first HTTP/1.1\r\nHost: api.example.com\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
    before = len(site.seen())
    answers = site.raw(f"{first}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".encode())
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answers) == [b"200", b"400"]
    assert site.seen()[before:] == ["/first"]
