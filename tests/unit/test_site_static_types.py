"""Types that browsers are strict about, Brotli, and apps with versions of their own or with static files deep inside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.loading import ROOT
from tests.unit.running_site import Site

FOR_EVER = "public, max-age=31536000, immutable"
TEN_YEARS = "public, max-age=315360000"
LARGE = "b { color: admin }\n" * 100
MODULE = "usr/lib/nginx/modules/ngx_http_brotli_static_module.so"
MODULES = [path for path in (ROOT / ".tools/libnginx-mod-http-brotli-static" / MODULE, Path("/") / MODULE) if path.exists()]


@pytest.fixture(scope="module", params=[False, True], ids=["without Brotli", "with Brotli"])
def site(tmp_path_factory: pytest.TempPathFactory, nginx: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """An app below a prefix has versions of its own; both kinds of hosts."""
    if request.param and not MODULES:
        pytest.skip("the distribution's nginx has no module for Brotli")
    with ExitStack() as stack:
        own = {"static": "web/public", "static_versions": "any"}
        made = Site(tmp_path_factory.mktemp("site"), nginx, stack, settings={"admin-2": own}, brotli=MODULES[0] if request.param else None)
        written(made, "large.css", LARGE)
        written(made, "large.css.br", "BROTLI")  # the app's own: nginx serves what is there
        made.store()
        made.brotli = request.param  # type: ignore[attr-defined]
        yield made


def written(site: Site, name: str, text: str) -> None:
    """A static file of the app below a prefix."""
    (Path(site.plan["admin-2"]["slots"]["blue"]["cwd"]) / "web/public" / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("app.mjs", "text/javascript"),
        ("app.js", "text/javascript"),
        ("app.wasm", "application/wasm"),
        ("app.webmanifest", "application/manifest+json"),
        ("app.js.map", "application/json"),
        ("a.woff", "font/woff"),
        ("a.woff2", "font/woff2"),
        ("a.ttf", "font/ttf"),
        ("a.otf", "font/otf"),
        ("a.avif", "image/avif"),
        ("a.webp", "image/webp"),
        ("a.svg", "image/svg+xml"),
        ("a.html", "text/html"),
        ("a.vtt", "text/vtt"),
        ("a.m3u8", "application/vnd.apple.mpegurl"),
        ("a.nobody-knows", "application/octet-stream"),
    ],
)
def test_types(site: Site, name: str, kind: str) -> None:
    written(site, name, "x")
    assert site.ask(f"/admin/v2.0/static/{name}")[0].headers["Content-Type"] == kind


@pytest.mark.parametrize("version", ["", "?v=7", f"?v={hashlib.sha512(LARGE.encode()).hexdigest()}"], ids=["plain", "own", "content"])
def test_brotli_comes_first_where_the_host_has_it(site: Site, version: str) -> None:
    answer, body = site.ask(f"/admin/v2.0/static/large.css{version}", Accept_Encoding="gzip, br")
    assert (answer.headers["Content-Encoding"], body == b"BROTLI") == (("br", True) if site.brotli else ("gzip", False))  # type: ignore[attr-defined]
    assert (answer.headers["Vary"], answer.headers["Content-Type"]) == ("Accept-Encoding", "text/css")
    for accepted in ("gzip", "gzip, br;q=0"):
        answer, body = site.ask(f"/admin/v2.0/static/large.css{version}", Accept_Encoding=accepted)
        assert answer.headers["Content-Encoding"] == "gzip"
    plain, whole = site.ask(f"/admin/v2.0/static/large.css{version}")
    assert (plain.headers["Vary"], whole.decode()) == ("Accept-Encoding", LARGE)


def test_versions_of_an_apps_own_are_kept_for_ten_years(site: Site) -> None:
    """But for those that are the digest of the content: those never change."""
    for version, cached in (("?v=7", TEN_YEARS), (f"?v={hashlib.md5(LARGE.encode()).hexdigest()}", FOR_EVER), ("", "no-cache")):
        assert site.ask(f"/admin/v2.0/static/large.css{version}")[0].headers.get_all("Cache-Control") == [cached]
    assert site.ask("/static/app.css?v=7")[0].headers.get_all("Cache-Control") == ["no-cache"]


def test_static_files_deep_inside(site: Site) -> None:
    answer, body = site.ask("/admin/v2.0/static/app.css")
    assert (answer.status, body) == (200, b"a { color: admin }\n")
    assert site.tell("/admin/v2.0/static/none.css")["uri"] == "/static/none.css"
