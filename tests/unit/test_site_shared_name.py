"""Apps that share a server name each have their prefix, flag, static files and log."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from tests.unit.conftest import make_plan, wait_until
from tests.unit.nginx_trees import nginx_test, nginx_tree
from tests.unit.rendering import SHOP, nginx_files
from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture


def test_an_app_has_the_urls_below_its_prefix(site: Site) -> None:
    found = site.tell("/admin/v2.0/users?page=2")
    assert (found["port"], found["uri"], found["headers"]["X-Forwarded-Prefix"]) == (site.admin, "/users?page=2", "/admin/v2.0")
    assert site.tell("/admin/v2.0/")["uri"] == "/"
    for path in ("/", "/admin/", "/admin/v2x0/", "/other/admin/v2.0/"):
        found = site.tell(path)
        assert found["port"] in site.shop["slots"]["blue"]["ports"]
        assert "X-Forwarded-Prefix" not in found["headers"]


def test_a_prefix_without_its_slash_leads_to_it(site: Site) -> None:
    answer, _ = site.ask("/admin/v2.0?a=b")
    assert (answer.status, answer.headers["Location"]) == (308, "/admin/v2.0/?a=b")


def test_apps_that_share_a_name_are_switched_each_by_its_own_flag(site: Site) -> None:
    def slots() -> list[bytes]:
        return [site.ask(f"{prefix}/.tornado_app/slot")[1] for prefix in ("", "/admin/v2.0")]

    assert slots() == [b"blue", b"blue"]
    with site.green():
        assert slots() == [b"green", b"blue"]
        assert site.tell("/admin/v2.0/x")["port"] == site.admin


def test_static_files_below_a_prefix(site: Site) -> None:
    for near_reload in (False, True):
        with site.near_reload() if near_reload else nullcontext():
            answer, body = site.ask("/admin/v2.0/static/app.css?v=1")
            assert (answer.status, body) == (200, b"a { color: admin }\n")
            assert answer.headers["Cache-Control"] == "no-cache"
            # What is not there is asked from the app.
            missing = site.ask("/admin/v2.0/static/none.css")[1]
            assert json.loads(missing)["port"] == site.admin


def test_apps_that_share_a_name_have_a_log_each(site: Site) -> None:
    site.tell("/admin/v2.0/logged-there")
    site.tell("/logged-here")
    for name, path in (("admin-2", "/admin/v2.0/logged-there"), ("shop", "/logged-here")):
        wait_until(lambda name=name, path=path: path in site.logs[name].read_text(), "the line")  # type: ignore[misc]
        other = {"admin-2": "shop", "shop": "admin-2"}[name]
        assert path not in site.logs[other].read_text()


def test_a_name_without_an_app_at_its_root_answers_404(tmp_path: Path, nginx: Path, ports: Callable[[int], list[int]]) -> None:
    plan = make_plan({"shop": {**SHOP, "path": "/shop/"}}, nofile=65536)
    files = nginx_files(plan, ipv6=False)
    assert "return 404;" in files["conf.d/shop.conf"]
    assert nginx_test(nginx, nginx_tree(tmp_path, files, ports(1)[0]))[0]
