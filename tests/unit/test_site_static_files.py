"""A site's static files come from nginx with their caching headers, and missing ones from the app."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture


def test_versioned_static_file_is_kept_for_ever(site: Site) -> None:
    answer, body = site.ask("/static/app.css?v=0123")
    assert (answer.status, body) == (200, b"a { color: blue }\n")
    assert int(re.findall(r"max-age=(\d+)", answer.headers["Cache-Control"])[0]) > 31_536_000
    assert answer.headers["Content-Type"] == "text/css"


def test_plain_static_file_is_asked_for_again(site: Site) -> None:
    answer, _ = site.ask("/static/deep/x.css")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")
    again, body = site.ask("/static/deep/x.css", If_None_Match=answer.headers["ETag"])
    assert (again.status, body) == (304, b"")


def test_icons_are_kept_for_a_day(site: Site) -> None:
    answer, body = site.ask("/robots.txt")
    assert (answer.status, body, answer.headers["Cache-Control"]) == (200, b"blue", "max-age=86400")


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


@pytest.mark.parametrize("path", ["/static/../../../secret", "/static/%2e%2e/app.py", "/static/..%2fapp.py"])
def test_nothing_beside_static_files(site: Site, path: str) -> None:
    (Path(site.shop["slots"]["blue"]["cwd"]) / "app.py").write_text("SECRET")
    assert b"SECRET" not in site.ask(path)[1]
