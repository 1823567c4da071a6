"""A site's static files come from nginx with their caching headers, and missing ones from the app."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture


def static_of(site: Site, prefix: str) -> Path:
    """The directory of static files below a prefix."""
    return Path(site.plan["admin-2" if prefix else "shop"]["slots"]["blue"]["cwd"]) / "static"


def written(site: Site, prefix: str, path: str, content: str) -> None:
    """A file below that directory."""
    file = static_of(site, prefix) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def test_plain_static_file_is_asked_for_again(site: Site) -> None:
    answer, _ = site.ask("/static/deep/x.css")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")
    assert answer.headers["Content-Type"] == "text/css"
    again, body = site.ask("/static/deep/x.css", If_None_Match=answer.headers["ETag"])
    assert (again.status, body) == (304, b"")


def test_icons_are_kept_for_a_day(site: Site) -> None:
    answer, body = site.ask("/robots.txt")
    assert (answer.status, body, answer.headers["Cache-Control"]) == (200, b"blue", "max-age=86400")
    assert answer.headers.get_all("Cache-Control") == ["max-age=86400"]


@pytest.mark.parametrize("path", ["/static/made-by-the-app.css?v=1", "/static/deep/none", "/favicon.ico", "/apple-touch-icon.png"])
def test_missing_static_file_is_the_apps(site: Site, path: str) -> None:
    """Which may well answer it, and whose headers count."""
    answer, body = site.ask(path)
    assert answer.status == 200
    assert json.loads(body)["uri"] == path
    assert "Cache-Control" not in answer.headers
    assert site.ask(f"{path}{'&' if '?' in path else '?'}status=404")[0].status == 404


def test_app_without_static_files_gets_them_all(site: Site) -> None:
    for path in ("/static/app.css", "/robots.txt"):
        assert site.tell(path, host="api.example.com")["uri"] == path


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/..%2F..%2fblue/app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/.%2e/app.py",
        "/static/deep/../../app.py",
        "/static/deep/%2e%2e/%2e%2e/app.py",
        "/static/deep/..%2f..%2fapp.py",
        "/static//../app.py",
        "/static///..//app.py",
        "/static/..//app.py",
        "/static/./../app.py",
        "/static/..;/app.py",
        "/static/..%5capp.py",
        "/static/..\\app.py",
        "/static/%252e%252e/app.py",
        "/static/%c0%ae%c0%ae/app.py",
        "/static/..%c0%afapp.py",
        "/static../app.py",
        "/static%2f../app.py",
        "/static%2f..%2fapp.py",
        "//static/../app.py",
        "/x/..//static/%2e%2e/app.py",
        "/admin/v2.0/static/..%2fapp.py",
        "/admin/v2.0/static/../../../../shop/slots/blue/app.py",
        "/admin/v2.0/static/..%2f..%2f..%2f..%2fshop%2fslots%2fblue%2fapp.py",
        "http://shop.example.com/static/%2e%2e/app.py",
    ],
)
def test_nothing_beside_static_files(site: Site, path: str, near: bool) -> None:
    for app in ("shop", "admin-2"):
        (Path(site.plan[app]["slots"]["blue"]["cwd"]) / "app.py").write_text("SECRET")
    with site.near_reload() if near else nullcontext():
        assert b"SECRET" not in site.raw(f"GET {path} HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n".encode())


@pytest.mark.parametrize(
    "path", ["/static/app.css%00", "/static/app.css%00.html", "/static/%00/app.css", "/static/\0app.css", "/%00", "/../app.css"]
)
def test_path_that_cannot_be_is_refused(site: Site, path: str) -> None:
    answer = site.raw(f"GET {path} HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400")


def test_slashes_and_dots_lead_to_the_same_file(site: Site) -> None:
    for path in ("/static//app.css", "/static/./app.css", "/static/deep/../app.css", "/%73tatic/app%2ecss", "/x/../static/app.css"):
        assert site.ask(path)[1] == b"a { color: blue }\n"


# What is below static/ and not for clients


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize("prefix", ["", "/admin/v2.0"])
@pytest.mark.parametrize(
    ("path", "url"),
    [
        (".env", ".env"),
        (".env", "%2eenv"),
        (".env", "deep/..//.env"),
        (".env", "deep/%2e%2e/.env?v=1"),
        (".git/config", ".git/config"),
        (".git/config", ".git//config"),
        (".git/config", "%2Egit%2Fconfig"),
        ("deep/.htpasswd", "deep/.htpasswd"),
        ("deep/.hidden/x.css", "deep/.hidden/x.css"),
        ("...", "..."),
        (".well-known/.secret", ".well-known/.secret"),
        (".well-known.bak", ".well-known.bak"),
        (".well-knowns/x", ".well-knowns/x"),
        ("a\n/.env", "a%0a/.env"),
        (".well-known\n", ".well-known%0a"),
    ],
)
def test_names_with_a_dot_are_nobodys_business(site: Site, prefix: str, path: str, url: str, near: bool) -> None:
    """Whether there is such a file or not; the app, which would serve it, is not asked."""
    written(site, prefix, path, "SECRET")
    with site.near_reload() if near else nullcontext():
        answer, body = site.ask(f"{prefix}/static/{url}")
        assert (answer.status, b"SECRET" in body) == (403, False)
        assert answer.headers["Connection"] == ("close" if near else "keep-alive")
    assert site.ask(f"{prefix}/static/.none")[0].status == 403


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize("path", [".well-known/security.txt", "deep/.well-known/x.txt", "a.b/c.d.css", "x..css", "end."])
def test_names_with_other_dots_are_served(site: Site, path: str, near: bool) -> None:
    written(site, "", path, "PUBLIC")
    with site.near_reload() if near else nullcontext():
        assert site.ask(f"/static/{path}")[1] == b"PUBLIC"


@pytest.fixture
def foreign(site: Site) -> Iterator[None]:
    """Links among the static files that did not come with the release: their owner is not that of what they lead to."""
    links = {
        static_of(site, "") / name: target
        for name, target in {"passwd": "/etc/passwd", "etc": "/etc", "favicon.ico": "/etc/passwd"}.items()
    }
    for link, target in links.items():
        link.symlink_to(target)
        if not os.geteuid():
            os.lchown(link, 65534, 65534)
    yield
    for link in links:
        link.unlink()


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("url", ["/static/passwd", "/static/passwd?v=1", "/static/etc/passwd", "/favicon.ico"])
def test_link_of_somebody_else_is_not_followed(site: Site, url: str) -> None:
    """The app is asked instead, with its own rights."""
    for near in (nullcontext(), site.near_reload()):
        with near:
            answer, body = site.ask(url)
            assert (answer.status, b"root:" in body) == (403 if url == "/favicon.ico" else 200, False)


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
def test_links_of_a_release_are_followed(site: Site, near: bool) -> None:
    """Packing has refused those that lead out of it. The slot, too, is a link of root's."""
    written(site, "", "../vendor/lib.css", "VENDOR")
    for name, target in {"lib.css": "../vendor/lib.css", "vendor": "../vendor"}.items():
        link = static_of(site, "") / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    with site.near_reload() if near else nullcontext():
        assert site.ask("/static/lib.css")[1] == site.ask("/static/vendor/lib.css?v=1")[1] == b"VENDOR"


# Headers


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize("path", ["/static/app.css", "/static/app.css?v=1", "/robots.txt", "/admin/v2.0/static/app.css"])
def test_browsers_are_told_not_to_guess_the_type_of_a_file(site: Site, path: str, near: bool) -> None:
    """Also when it has not changed; and what the operator adds to all sites is there, too."""
    with site.near_reload() if near else nullcontext():
        answer, _ = site.ask(path)
        again, _ = site.ask(path, If_None_Match=answer.headers["ETag"])
    for found in (answer, again):
        assert (found.headers.get_all("X-Content-Type-Options"), found.headers["X-Operator"]) == (["nosniff"], "here")
    assert (answer.status, again.status) == (200, 304)


@pytest.mark.parametrize("path", ["/", "/static/the-apps-own.css", "/favicon.ico", "/admin/v2.0/"])
def test_headers_of_the_app_are_its_own(site: Site, path: str) -> None:
    answer, _ = site.ask(path)
    assert (answer.headers.get_all("X-Content-Type-Options"), answer.headers["X-Operator"]) == (None, "here")
