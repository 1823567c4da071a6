"""What a host is to have, thing by thing, and what of it the controller compares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Difference, State
from ansible_collections.tornado_app.deploy.plugins.module_utils.things import Thing
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import things
from tests.unit.builders import PLAN, SHOP, SHOP_PLAN, A, B, app_state, host_state, planned, slot

# What a thing needs beside kind, name and check, by its check; see module_utils/things.py.
KEYS = {
    "package": set(),
    "user": {"home", "shell", "comment"},
    "directory": {"path", "owner", "group", "mode"},
    "file": {"path", "owner", "group", "mode", "sha256"},
    "line": {"path", "line"},
    "absent": {"path"},
    "private": {"path"},
    "service": {"unit"},
    "reload": {"unit"},
    "loaded": {"path"},
}


def checks(found: Iterable[Thing]) -> list[tuple[str, str, str]]:
    """Kind, name and check of each thing, all of which are whole."""
    listed = list(found)
    for thing in listed:
        assert set(thing) - {"kind", "name", "check"} == KEYS[thing["check"]]
    return [(thing["kind"], thing["name"], thing["check"]) for thing in listed]


# Things


def test_every_host_has_packages_directories_and_services() -> None:
    assert checks(things.base(["nginx", "procps"], "/opt/tornado_app")) == [
        ("package", "nginx", "package"),
        ("package", "procps", "package"),
        ("directory", "/opt/tornado_app", "directory"),
        ("directory", "/var/lib/tornado_app", "directory"),
        ("directory", "/etc/ansible/facts.d", "directory"),
        ("directory", "/etc/needrestart", "directory"),
        ("directory", "/etc/needrestart/conf.d", "directory"),
        ("service", "nginx.service", "service"),
        ("service", "logrotate.timer", "service"),
    ]


def test_each_app_has_a_user_its_directories_and_its_unit() -> None:
    two = planned({"shop": SHOP, "api": {**SHOP, "port": 8500, "server_names": ["api.test"]}})
    found = list(things.of_apps(two))
    for name, app in two.items():
        own = [thing for thing in found if name in (thing["name"], *thing.get("path", "").split("/"))]
        assert checks(own) == [
            ("user", name, "user"),
            *(("directory", directory["path"], "directory") for directory in app["directories"]),
            ("directory", f"/run/tornado_app/sockets/{name}", "directory"),
            ("access_log", name, "private"),
            ("reload", name, "reload"),
            ("unit", name, "service"),
            ("rotation", name, "reload"),
            ("rotation", name, "reload"),
            ("rotation", name, "service"),
        ]
        assert [thing["unit"] for thing in own if "unit" in thing] == [
            *([app["unit"]] * 2),
            *(f"tornado_app-logs@{name}.{kind}" for kind in ("timer", "service", "timer")),
        ]
    assert len(found) == 2 * (7 + len(SHOP_PLAN["directories"]) + len(SHOP_PLAN["runtime_directories"]))


def test_directories_are_as_the_plan_has_them() -> None:
    found = {thing["path"]: thing for thing in things.of_apps(PLAN) if thing["check"] == "directory"}
    for directory in SHOP_PLAN["directories"]:
        assert found[directory["path"]] == {"kind": "directory", "name": directory["path"], "check": "directory", **directory}
    assert (found["/srv/shop/shared"]["owner"], found["/srv/shop/shared"]["mode"]) == ("shop", "0750")


def test_a_user_is_as_its_task_makes_it() -> None:
    (user,) = (thing for thing in things.of_apps(PLAN) if thing["check"] == "user")
    assert (user["home"], user["shell"], user["comment"]) == ("/srv/shop", "/usr/sbin/nologin", "Tornado app shop")


def test_a_file_is_known_by_what_is_in_it() -> None:
    file = things.file("unit_file", "shop", {"path": "/etc/x", "content": "Ünit\n"})
    assert file["sha256"] == hashlib.sha256("Ünit\n".encode()).hexdigest()
    assert (file["owner"], file["group"], file["mode"]) == ("root", "root", "0644")
    own = things.file("supervisord", "shop", {"path": "/etc/x", "content": "", "group": "shop", "mode": "0640"})
    assert (own["owner"], own["group"], own["mode"]) == ("root", "shop", "0640")


def test_nginx_has_files_that_are_as_rendered_ones_with_a_line_and_ones_that_do_not_exist() -> None:
    lines = {"conf.d/shop.blue.conf": "least_conn;"}
    found = list(things.nginx({"conf.d/shop.conf": "server {}\n"}, lines, ["sites-enabled/default"]))
    assert checks(found) == [
        ("nginx", "conf.d/shop.conf", "file"),
        ("nginx", "conf.d/shop.blue.conf", "line"),
        ("nginx", "sites-enabled/default", "absent"),
        ("nginx", "nginx.conf", "loaded"),
    ]
    assert [thing["path"] for thing in found] == [
        "/etc/nginx/conf.d/shop.conf",
        "/etc/nginx/conf.d/shop.blue.conf",
        "/etc/nginx/sites-enabled/default",
        "/etc/nginx",
    ]


# What the controller compares

SYSCTLS = {"net.core.somaxconn": "4096"}


def compared(
    app: dict[str, Any] | None = None, wanted: dict[str, str] | None = None, removed: tuple[str, ...] = (), **host: Any
) -> list[Difference]:
    """What differs on a host that has the environment `e1`, and is otherwise as planned but for what is given."""
    system = host_state(**{"environments": ["e1"], **host})
    found = things.compared(
        PLAN, {"host": system, "apps": {"shop": app_state(**(app or {}))}, "differences": []}, "e1", wanted or {}, removed
    )
    return list(found)


def test_nothing_differs_on_a_host_that_is_as_planned() -> None:
    assert compared() == []
    assert compared(wanted=SYSCTLS, sysctls=SYSCTLS, sysctl_file=SYSCTLS) == []


def test_an_environment_of_supervisord_that_is_missing_differs() -> None:
    assert compared(environments=["e0"]) == [{"kind": "environment", "name": "e1", "reason": "missing"}]


def test_a_setting_of_the_kernel_differs_where_it_is_in_force_or_where_it_is_kept() -> None:
    lower = {"net.core.somaxconn": "128"}
    for current, kept, reason in (
        (lower, SYSCTLS, "128 instead of 4096"),
        (SYSCTLS, lower, "128 instead of 4096"),
        (SYSCTLS, {}, "missing instead of 4096"),
        ({}, {}, "missing instead of 4096"),
    ):
        (found,) = compared(wanted=SYSCTLS, sysctls=current, sysctl_file=kept)
        assert found == {"kind": "sysctl", "name": "net.core.somaxconn", "reason": reason}


def test_a_limit_differs_where_a_running_supervisord_has_less() -> None:
    def running(nofile: int) -> list[Difference]:
        return compared({"supervisord": {"pid": 7, "nofile": nofile, "uid": 998, "unit": "shop.service", "uptime": 1}})

    assert running(1024) == [{"kind": "limit", "name": "shop", "reason": "1024 files instead of 65536"}]
    assert running(70000) == compared({"supervisord": None}) == []


def test_a_watchdog_differs_where_a_running_supervisord_has_none_at_work() -> None:
    def said(state: str, **given: Any) -> list[Difference]:
        return compared({"watchdog": {"state": state, "processes": {}}, **given})

    assert said("") == [{"kind": "watchdog", "name": "shop", "reason": "unknown to supervisord"}]
    assert said("FATAL") == [{"kind": "watchdog", "name": "shop", "reason": "FATAL"}]
    for state in ("STARTING", "RUNNING", "BACKOFF"):
        assert said(state) == []
    assert said("", supervisord=None) == []


def test_modes_differ_where_a_release_or_what_is_beside_it_is_open() -> None:
    paths = [f"/srv/shop/releases/{name}" for name in (A, f"{A}.json")] + ["/srv/shop/slots/blue.history.json"]
    (found,) = compared({"wrong_modes": paths})
    assert found == {"kind": "modes", "name": "shop", "reason": f"of {A}, {A}.json, blue.history.json"}


def test_static_files_differ_where_the_live_release_is_not_in_the_store_as_planned() -> None:
    for assets in ({}, {B: "static"}, {A: "web"}, {A: ""}):
        assert compared({"assets": assets}) == [{"kind": "assets", "name": "shop", "reason": f"without static of {A}"}]
    assert compared({"assets": {A: "static"}}) == []
    # Nothing could be done: of no release, or of one that somebody has removed.
    assert compared({"assets": {}, "slots": {"blue": slot(), "green": slot()}}) == compared({"assets": {}, "releases": {}}) == []


def test_an_app_without_static_files_needs_no_store() -> None:
    plan = planned({"shop": {**SHOP, "static": ""}})
    state: State = {"host": host_state(environments=["e1"]), "apps": {"shop": app_state(assets={})}, "differences": []}
    assert list(things.compared(plan, state, "e1", {}, ())) == []


def test_nginx_is_asked_for_a_static_file_by_a_version_that_it_may_keep() -> None:
    state: State = {
        "host": host_state(),
        "apps": {"shop": app_state(static_digest="abc"), "api": app_state(static_file="")},
        "differences": [],
    }
    for versions, version in (("content", "abc"), ("any", "1")):
        plan = planned({"shop": {**SHOP, "static_versions": versions}, "api": {**SHOP, "server_names": ["api.test"]}})
        assert things.static_files(plan, state) == {"shop": {"path": "app.css", "version": version}}


def test_a_flag_differs_on_a_fresh_host_alone() -> None:
    """Later it is the switch."""
    assert compared({"fresh": True, "flagged": False}) == [{"kind": "flag", "name": "shop", "reason": "missing"}]
    assert compared({"fresh": True, "flagged": True}) == compared({"fresh": False, "flagged": False}) == []


def test_what_is_to_go_differs() -> None:
    assert compared(removed=("old",)) == [{"kind": "removal", "name": "old", "reason": "to be absent"}]


# What is said of it


def differences(count: int) -> list[Difference]:
    return [{"kind": "package", "name": f"p{number}", "reason": "not installed"} for number in range(count)]


def test_each_difference_is_a_line() -> None:
    assert things.shown(differences(2)) == ["package p0: not installed", "package p1: not installed"]
    assert things.shown([]) == []


def test_of_many_differences_the_first_are_shown_and_the_rest_is_counted() -> None:
    assert len(things.shown(differences(things.SHOWN + 1))) == things.SHOWN + 1
    lines = things.shown(differences(things.SHOWN + 5))
    assert (len(lines), lines[-1]) == (things.SHOWN + 1, "and 5 more")


def test_names_are_grouped_by_kind_each_once() -> None:
    """A file may differ, and not be loaded."""
    found: list[Difference] = [
        {"kind": "nginx", "name": "nginx.conf", "reason": "content"},
        {"kind": "user", "name": "shop", "reason": "missing"},
        {"kind": "nginx", "name": "nginx.conf", "reason": "not loaded"},
        {"kind": "nginx", "name": "conf.d/shop.conf", "reason": "missing"},
    ]
    assert things.by_kind(found) == {"nginx": ["nginx.conf", "conf.d/shop.conf"], "user": ["shop"]}
    assert things.by_kind([]) == {}
