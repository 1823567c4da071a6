"""What is missing after a run, with host and figure, and what a run has made live."""

from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import changes as core
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import report
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import Change
from tests.unit.builders import (
    HOST,
    OLD,
    PLAN,
    SHOP,
    WANTED,
    A,
    app_state,
    fleet,
    host,
    host_state,
    planned,
    process,
    slot,
    unfinished,
    worker,
)
from tests.unit.builders import state as whole

HEALTHY: dict[str, Any] = {"apps": []}
ANSWERED: dict[str, Any] = {"answers": []}


def state(system: dict[str, Any] | None = None, app: dict[str, Any] | None = None) -> State:
    """A host where all is well, but for what is given."""
    return {"host": host_state(**(system or {})), "apps": {"shop": app_state(**(app or {}))}, "differences": []}


def shortfalls(found: State, health: dict[str, Any] = HEALTHY, nginx: dict[str, Any] = ANSWERED, apps: Any = PLAN) -> list[str]:
    """What of the plan web-1 does not deliver."""
    return report.shortfalls({"apps": apps, "absent": {}, "host": HOST}, found, health, nginx, {"skipped": True})


def answer(path: str, error: str = "") -> dict[str, Any]:
    """What probe_nginx says of a request."""
    return {"app": "shop", "path": path, "cache_control": "", "error": error}


# What is missing


def test_a_host_that_delivers_has_no_shortfall() -> None:
    health = {"apps": [{"processes": [{"healthy": True}]}]}
    assert shortfalls(state(), health, {"answers": [answer("/"), answer("/static/app.css?v=1"), answer("/static/app.css")]}) == []


@pytest.mark.parametrize(
    ("system", "app", "said"),
    [
        ({"nginx": []}, {}, "nginx has no worker running"),
        ({"nginx": [{"pid": 813, "nofile": 1024, "uid": 33}]}, {}, "nginx worker 813 may open 1024 files instead of 65536"),
        ({"nginx": [{"pid": 813, "nofile": 65536, "uid": 0}]}, {}, "nginx worker 813 runs as root"),
        ({}, {"supervisord": None}, "shop's supervisord does not answer"),
        ({}, {"untrusted": ["x", "y"]}, "shop's supervisord answers what cannot be believed: x; y; see systemctl status shop.service"),
        ({}, {"supervisord": None, "untrusted": ["x"]}, "shop's supervisord answers what cannot be believed: x;"),
        (
            {},
            {"supervisord": {"pid": 7, "nofile": 1024, "uid": 998}},
            "shop's supervisord (pid 7) may open 1024 files instead of 65536",
        ),
        ({}, {"supervisord": {"pid": 7, "nofile": 65536, "uid": 0}}, "shop's supervisord (pid 7) runs as root"),
    ],
)
def test_what_is_short_is_named_with_its_figure(system: dict[str, Any], app: dict[str, Any], said: str) -> None:
    (found,) = shortfalls(state(system, app))
    assert found.startswith(f"web-1: {said}")


def test_missing_processes_and_low_limits_are_named() -> None:
    given_up = state(app={"slots": {"blue": slot(A, True, (process(8000), process(8001, "FATAL")), 1), "green": slot()}})
    assert shortfalls(given_up) == ["web-1: shop-blue has 1 of 2 processes running"]
    low = state(app={"slots": {"blue": slot(A, True, (process(8000), {**process(8001, nofile=1024), "uid": 0}), 1), "green": slot()}})
    assert shortfalls(low) == [
        "web-1: shop-blue:8001 (pid 8001) may open 1024 files instead of 65536",
        "web-1: shop-blue:8001 (pid 8001) runs as root",
    ]


def test_more_processes_than_planned_are_enough() -> None:
    """A rollback may have brought them back."""
    three = slot(A, True, tuple(process(port) for port in (8000, 8001, 8002)), 1)
    assert shortfalls(state(app={"slots": {"blue": three, "green": slot()}})) == []


def test_missing_workers_are_named() -> None:
    found = whole()
    found["apps"]["shop"]["records"][A]["commands"] = {"worker": "x", "web": "y", "release": "z"}
    assert shortfalls(found) == ["web-1: shop-blue has 0 of 1 processes worker running"]
    scaled = planned({"shop": {**SHOP, "processes": 2, "scale": {"worker": 3}}})
    found["apps"]["shop"]["slots"]["blue"]["workers"] = [worker(), worker(2, "FATAL")]
    assert shortfalls(found, apps=scaled) == ["web-1: shop-blue has 1 of 3 processes worker running"]
    found["apps"]["shop"]["slots"]["blue"]["workers"] = [worker(pid=5, nofile=1024)]
    assert shortfalls(found) == ["web-1: shop-blue:worker.1 (pid 5) may open 1024 files instead of 65536"]


def test_an_app_without_release_is_named() -> None:
    assert shortfalls(whole(blue=slot())) == ["web-1: shop has no release yet; run --tags deploy"]


def test_a_check_that_broke_is_no_success() -> None:
    assert shortfalls(state(), {"module_stderr": "no memory"}, {"msg": "MODULE FAILURE"}) == [
        "web-1: cannot be verified: no memory",
        "web-1: cannot be verified: MODULE FAILURE",
    ]


def test_an_unhealthy_process_is_named() -> None:
    health = {"apps": [{"processes": [{"name": "shop-blue:8000", "healthy": False, "error": "/ answered 500"}]}]}
    assert shortfalls(state(), health) == ["web-1: shop-blue:8000: / answered 500"]


@pytest.mark.parametrize(
    "error", ["shop through nginx: / answered 502", "it was answered by blue", "/static/a has Cache-Control '', too short"]
)
def test_what_nginx_answers_wrongly_is_named(error: str) -> None:
    assert shortfalls(state(), nginx={"answers": [answer("/"), answer("/x", error)]}) == [f"web-1: {error}"]


# What a run has made live

DRAINED = {"drained": True, "connections": {}, "elapsed": 2.249, "signal": ""}
LEFT = {"drained": False, "connections": {"8000": 1, "8001": 2}, "elapsed": 60.0, "signal": ""}
TOLD = {"drained": False, "connections": {"8000": 9}, "elapsed": 0.0, "signal": "TERM"}
Told = tuple[State, float | None, dict[str, Any] | None]


def deployed(found: State, moment: float | None) -> list[Change]:
    """What a deploy does to a host; without a moment, no file of it differs."""
    return core.changes(host(found, WANTED, () if moment is None else ("shop",)), fleet(found), "deploy")


def summary(**hosts: Told) -> list[str]:
    """The lines about hosts that each had a state, switched at a moment (or before), and drained."""
    names = {name: name.replace("_", "-") for name in hosts}
    return report.summary(
        {names[name]: deployed(found, moment) for name, (found, moment, _) in hosts.items()},
        {names[name]: {"apps": [{"app": "shop", "healthy": True, "elapsed": 0.26}]} for name in hosts},
        {names[name]: {"switched": {} if moment is None else {"shop": moment}} for name, (_, moment, _) in hosts.items()},
        {names[name]: {"apps": [{"app": "shop", **drain}]} if drain else {"skipped": True} for name, (_, _, drain) in hosts.items()},
    ).splitlines()


def test_a_summary_says_what_was_switched_when_and_how_it_drained() -> None:
    assert summary(web_1=(whole(), 1767323045.1239, DRAINED), web_22=(whole(), 1767323046.3739, LEFT)) == [
        "host    app   release                       processes  gate   switched (UTC)  drain",
        "web-1   shop  aaaaaaaaaaaa -> bbbbbbbbbbbb  2          0.3 s  03:04:05.123    2.2 s",
        "web-22  shop  aaaaaaaaaaaa -> bbbbbbbbbbbb  2          0.3 s  03:04:06.373    60.0 s, 3 connections left",
        "shop: 1.25 s between the first and the last switch",
    ]


def test_a_slot_that_was_told_has_no_connections_left_behind() -> None:
    (_, row, _) = summary(web_1=(whole(), 1767323045.1239, TOLD))
    assert row.endswith("  03:04:05.123    by SIGTERM")


def test_the_first_release_comes_after_nothing_and_drains_nothing() -> None:
    (_, row, _) = summary(web_1=(whole("green", blue=slot()), 1767323045.0, None))
    assert "  nothing -> bbbbbbbbbbbb  " in row
    assert row.endswith("  03:04:05.000    -")


def test_a_switch_of_an_earlier_run_has_no_moment() -> None:
    """It is gone through again, and did not happen in this one."""
    (heading, row) = summary(web_1=(unfinished(), None, None))
    assert row[heading.index("switched") :].split() == ["before", "-"]


def test_moments_are_compared_among_the_hosts_that_switched() -> None:
    lines = summary(web_1=(unfinished(), None, None), web_2=(whole(), 1767323045.5, None))
    assert lines[-1] == "shop: 0.00 s between the first and the last switch"


def test_processes_that_one_has_forked_are_counted() -> None:
    forked = planned({"shop": {**SHOP, "processes": 3, "listen": "fork"}})
    (change,) = core.changes(host(whole(), WANTED, ("shop",), apps=forked), [], "deploy")
    row = report.summary({"web-1": [change]}, {}, {}, {}).splitlines()[1]
    assert row.split()[5] == "3"


def test_hosts_that_had_nothing_to_change_have_no_row() -> None:
    changed = deployed(whole(), 1767323045.5)
    gates = {"web-1": {"apps": []}, "web-2": {"skipped": True}}
    found = report.summary({"web-1": changed, "web-2": [], "web-3": []}, gates, {"web-2": {"switched": {}}}, {})
    assert "web-1" in found
    assert "web-2" not in found
    assert "web-3" not in found


def test_a_run_that_had_nothing_to_change_says_so() -> None:
    idle = core.changes(host(whole(), OLD), [], "deploy")
    assert report.summary({"web-1": idle}, {}, {}, {}) == "Nothing had to be changed: what is live is what is wanted."
