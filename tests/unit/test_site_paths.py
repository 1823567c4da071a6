"""A path comes to the app as the client has written it, with the prefix or without."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext

import pytest

from tests.unit.conftest import run_module
from tests.unit.rendering import nginx_files
from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture

WRITTEN = [
    "/a%2Fb",
    "/a%2fb//c",
    "//",
    "//a",
    "/a//b/",
    "/a%20b+c",
    "/a%3Fb?c=%3F",
    "/a%23b",
    "/a%25b",
    "/%C3%BC",
    "/%41%7E",
    "/a;b=c/d;e",
    "/a?",
    "/a??b",
    "/a?b=c&d=%20+%26&e=%2F../..//",
    "/a?b=http://elsewhere.example.com/../x",
    "/...",
    "/.a/b.",
    "/a%2E%2Eb",
    "/a:b@c!$&'()*,=",
    '/{a}|\\^`"<>',
    "/static/a%2Fb//c%20?v=",
]


def uri(site: Site, path: str) -> tuple[int, str]:
    """Which process got this path, and how it came there."""
    answer = site.raw(f"GET {path} HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n".encode())
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found["port"], found["uri"]


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize("path", WRITTEN)
def test_the_app_gets_a_path_as_it_was_sent(site: Site, path: str, near: bool) -> None:
    """Where it is asked at first, and where a file was looked for before."""
    with site.near_reload() if near else nullcontext():
        assert uri(site, f"/admin/v2.0{path}") == (site.admin, path)
        assert uri(site, f"/lab{path}") == (site.lab, f"/lab{path}")
        port, found = uri(site, path)
        assert (port in site.shop["slots"]["blue"]["ports"], found) == (True, path)


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        ("/x/../admin/v2.0/a%2Fb", "/a/b"),
        ("/admin/v2.0/x/../a%20b?c=%2F", "/a%20b?c=%2F"),
        ("/admin/v2.0/x%2F..%2Fa", "/a"),
        ("/admin/v2.0/x/%2e%2E/a", "/a"),
        ("/admin/v2.0/./a//b", "/a/b"),
        ("/admin/v2.0/a/.", "/a/"),
        ("/admin/v2.0/a/..?b", "/?b"),
        ("//admin/v2.0//a", "/a"),
        ("/%61dmin/v2.0/a%2Fb", "/a/b"),
        ("/admin%2Fv2.0/a", "/a"),
        ("/admin/v2.0%2Fa", "/a"),
        ("/admin/v2.0/a#b", "/a"),
    ],
)
def test_a_path_that_only_leads_below_the_prefix_comes_as_nginx_reads_it(site: Site, sent: str, got: str) -> None:
    """As it was sent it has no part behind the prefix, or one that leads elsewhere."""
    assert uri(site, sent) == (site.admin, got)


def test_an_absolute_request_line_has_its_path_below_the_prefix(site: Site) -> None:
    assert uri(site, "http://shop.example.com/admin/v2.0/a%2Fb?") == (site.admin, "/a%2Fb?")
    assert uri(site, "http://shop.example.com:8080/admin/v2.0//a") == (site.admin, "//a")


def test_an_app_that_keeps_its_prefix_is_told_of_none(site: Site) -> None:
    """It would put a second one before its URLs."""
    assert "X-Forwarded-Prefix" not in site.tell("/lab/tree", X_Forwarded_Prefix="/claimed")["headers"]
    assert site.tell("/admin/v2.0/tree")["headers"]["X-Forwarded-Prefix"] == "/admin/v2.0"
    answer, _ = site.ask("/lab?a=b")
    assert (answer.status, answer.headers["Location"]) == (308, "/lab/?a=b")


def test_nginx_is_asked_for_the_health_of_an_app_below_its_prefix(site: Site) -> None:
    """What the process itself is asked for, when it keeps the prefix."""
    slot = site.plan["lab"]["slots"]["blue"]
    (answer,) = run_module("probe_nginx", port=site.port, slots=[slot])["answers"]
    assert (answer["path"], answer["slot"], answer["error"]) == ("/lab/api/status", "blue", "")
    assert "/lab/api/status" in site.seen(site.lab)


@pytest.mark.parametrize("rest", ["/a HTTP/1.1", "/a\tb", "/a\x7fb", "/a\rb", "/a\nb", "/a\x00b"])
def test_what_would_end_the_request_line_is_not_taken_as_it_was_sent(site: Site, rest: str) -> None:
    """nginx 1.18 lets some of it through, newer ones refuse all of it."""
    text = nginx_files({"admin-2": site.plan["admin-2"]})["conf.d/admin-2.conf"]
    (written,) = re.findall(r'^    "~(\^.*)" \S+;$', text.partition("map $request_uri $rest_")[2], re.MULTILINE)
    assert re.search(written, "/admin/v2.0/a")
    assert not re.search(written, f"/admin/v2.0{rest}")
