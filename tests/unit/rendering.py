"""The settings and plans that tests render the role's templates from, and what they read the files with."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from typing import Any, cast

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.files import served, sites
from tests.unit.conftest import facts, make_plan, render

Plan = Mapping[str, Mapping[str, Any]]

LONG = "a-name-as-long-as-those-that-clouds-give-to-machines.eu-central-1.compute.internal"
SHOP = {
    "source": "files/app",
    "command": "{python} app.py --port={port}",
    "server_names": ["shop.example.com", "*.shop.example.com", "192.0.2.1", "[2001:db8::1]", LONG, "shop.example.com"],
    "client_max_body_size": "64k",
}
API = {"source": "files/api", "command": "{python} -m api {port}", "server_names": ["api.example.com"], "port": 12000, "static": ""}
SHAPES: dict[str, dict[str, Any]] = {
    "one process": {"processes": 1},
    "64 processes": {"processes": 64},
    "without static files": {"processes": 2, "static": ""},
    "static files deep inside": {"processes": 2, "static": "web/public"},
    "a long name": {"processes": 2, "name": "a" + "b-_1" * 7 + "cde"},
}

WORKERS = {"worker": 2, "clock": 1}


@pytest.fixture(params=SHAPES, scope="module")
def plan(request: pytest.FixtureRequest) -> Plan:
    """Plans of two apps each."""
    shape = dict(SHAPES[request.param])
    return make_plan({shape.pop("name", "shop"): {**SHOP, **shape}, "api": {**API, "processes": shape["processes"]}}, nofile=65536)


def nginx_files(plan: Plan, *, cpus: int = 1, ipv6: bool = True, debian: int = 11, **inputs: Any) -> dict[str, str]:
    """The files of nginx by path, as the actions nginx_files and slot_files write them."""
    common = {"ansible_facts": facts(cpus, ipv6, debian), **inputs}
    apps_served = served(cast(Apps, plan))
    whole = list(apps_served.values())
    files = {
        "nginx.conf": render("nginx.conf.j2", common),
        "conf.d/tornado_app.conf": render(
            "nginx_default.conf.j2", {**common, "apps": whole, "sites": [apps[0] for apps in sites(cast(Apps, plan))]}
        ),
    }
    for apps in sites(cast(Apps, plan)):
        files[apps[0]["site_config"]] = render("nginx_site.conf.j2", {**common, "apps": apps, "all_apps": whole})
    for app in apps_served.values():
        for slot in app["slots"].values():
            files[slot["upstream_config"]] = render("nginx_upstream.conf.j2", {**common, "slot": slot})
    return files


def sections(text: str) -> configparser.RawConfigParser:
    """An INI file, with nothing expanded."""
    parser = configparser.RawConfigParser(strict=False)  # systemd adds up lines of one name
    parser.optionxform = str  # type: ignore[assignment]  # the documented way to keep the case of keys
    parser.read_string(text)
    return parser
