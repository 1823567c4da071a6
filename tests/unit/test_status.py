"""What an operator, or a program, is told of a fleet and of what a run has done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.loading import plugin
from tests.unit.test_slots import (
    ENVIRONMENT,
    OLD,
    PLAN,
    WANTED,
    A,
    B,
    C,
    blue,
    changes,
    entry,
    facts,
    green,
    process,
    slot,
    unfinished,
)

status = plugin("plugin_utils", "status")
GOAL = {"shop": A}  # of a rollback
LOCK = {"run": "r-1", "controller": "build-1", "user": "ana", "pid": 4711, "operation": "deploy", "since": "2026-01-02T03:04:05Z"}


def host(name: str, state: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    """The variables of a host; without a state, one that did not answer."""
    return {"inventory_hostname": name, "__tornado_app_plan": PLAN, **({"__tornado_app_facts": state} if state else {}), **given}


def locked(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "host": {"lock": LOCK}}


def shop(state: dict[str, Any]) -> dict[str, Any]:
    """What is told of the one app of one host."""
    found: dict[str, Any] = status.status([host("web-1", state)], GOAL)["web-1"]["apps"]["shop"]
    return found


def text(*hosts: dict[str, Any]) -> list[list[str]]:
    """The parts of the text, as lines."""
    return [part.splitlines() for part in status.status_text(status.status(hosts, GOAL)).split("\n\n")]


# For programs


def test_the_status_of_an_app_is_told() -> None:
    state = unfinished(blue=slot())
    state["apps"]["shop"]["history"] = [entry(B, version="v2"), entry(A, version="v1", at="2026-01-01T00:00:00Z", by="bob@build-1")]
    assert shop(state) == {
        "live": "green",
        "release": B,
        "processes": 2,
        "processes_wanted": 2,
        "workers": 0,
        "workers_wanted": 0,
        "nofile": 65536,
        "uptime": 90,
        "idle": {"slot": "blue", "state": "empty", "release": "", "processes": 0, "connections": 0},
        "rollback": A,
        "releases": [
            {
                "release": B,
                "live": True,
                "version": "v2",
                "commit": "",
                "at": "2026-01-02T03:04:05Z",
                "by": "ana@build-1",
                "rolled_back": False,
            },
            {
                "release": A,
                "live": False,
                "version": "v1",
                "commit": "",
                "at": "2026-01-01T00:00:00Z",
                "by": "bob@build-1",
                "rolled_back": False,
            },
        ],
    }


def test_the_lowest_limit_and_the_longest_life_of_those_that_run_count() -> None:
    processes = (process(8000, nofile=4096, uptime=7200), process(8001, uptime=5), process(8002, "FATAL", nofile=0, uptime=0))
    found = shop(facts(blue=slot(A, True, processes, 1)))
    assert (found["processes"], found["nofile"], found["uptime"]) == (2, 4096, 7200)


def test_an_app_that_does_not_run_has_neither_limit_nor_life() -> None:
    found = shop(facts(blue=slot(A, True)))
    assert (found["live"], found["release"], found["processes"], found["nofile"], found["uptime"]) == ("blue", A, 0, 0, 0)


def test_where_nothing_was_deployed_nothing_is_live() -> None:
    state = facts("green", blue=slot())
    state["apps"]["shop"] |= {"releases": {}, "history": []}
    found = shop(state)
    assert (found["live"], found["release"], found["releases"]) == ("", "", [])


def test_the_slot_that_was_live_drains_with_its_connections() -> None:
    leaving = {**blue(), "connections": 3}
    assert shop(unfinished(blue=leaving))["idle"] == {
        "slot": "blue",
        "state": "draining",
        "release": A,
        "processes": 2,
        "connections": 3,
    }


def test_the_slot_that_will_be_live_is_prepared() -> None:
    idle = shop(facts(green=green()))["idle"]
    assert (idle["slot"], idle["state"], idle["release"]) == ("green", "prepared", B)


def test_a_retired_slot_is_empty_though_its_link_is_there() -> None:
    idle = shop(unfinished(blue=slot(A, sequence=1)))["idle"]
    assert (idle["state"], idle["release"]) == ("empty", "")


def test_releases_are_told_as_they_were_live_and_those_that_never_were_come_last() -> None:
    state = facts()
    state["apps"]["shop"] |= {
        "releases": dict.fromkeys((A, B, C), ENVIRONMENT),
        "history": [entry(A), entry("gone"), entry(C, withdrawn=True)],
    }
    found = shop(state)["releases"]
    assert [(one["release"], one["live"], one["rolled_back"]) for one in found] == [
        (A, True, False),
        (C, False, True),
        (B, False, False),
    ]
    assert (found[2]["version"], found[2]["at"], found[2]["by"]) == ("", "", "")


def test_who_changes_a_host_is_told() -> None:
    found = status.status([host("web-1", locked(facts())), host("web-2", facts())], GOAL)
    assert (found["web-1"]["lock"], found["web-2"]["lock"]) == (LOCK, {})


@pytest.mark.parametrize("state", [None, {}, {"unreachable": True, "msg": "no route"}, {"failed": True, "msg": "no python"}])
def test_a_host_that_did_not_answer_is_in_it_all_the_same(state: dict[str, Any] | None) -> None:
    found = status.status([{"inventory_hostname": "web-3", "__tornado_app_facts": state}, {"inventory_hostname": "web-4"}], GOAL)
    assert found == {name: {"answered": False, "lock": {}, "apps": {}} for name in ("web-3", "web-4")}


def test_the_status_can_be_written_as_json() -> None:
    found = status.status([host("web-1", locked(unfinished())), host("web-2")], GOAL)
    assert json.loads(json.dumps(found)) == found


# For a person


def test_a_fleet_that_is_in_order() -> None:
    state = unfinished(blue=slot(A))
    state["apps"]["shop"]["history"] = [entry(B, version="v2"), entry(A, at="2026-01-01T00:00:00Z", by="bob@build-1")]
    assert status.status_text(status.status([host("web-1", state), host("web-22", state)], GOAL)).splitlines() == [
        "host    app   live   release       processes  nofile  uptime  other slot",
        "web-1   shop  green  bbbbbbbbbbbb  2/2        65536   1m      -",
        "web-22  shop  green  bbbbbbbbbbbb  2/2        65536   1m      -",
        "",
        "app   release       version  went live             by           hosts",
        "shop  bbbbbbbbbbbb  v2       2026-01-02T03:04:05Z  ana@build-1  live on 2, kept on 2",
        "shop  aaaaaaaaaaaa  -        2026-01-01T00:00:00Z  bob@build-1  live on 0, kept on 2",
        "",
        "A rollback of shop goes to aaaaaaaaaaaa",
    ]


def test_the_status_has_a_row_for_each_host() -> None:
    half = slot(A, True, (process(8000, uptime=7200, nofile=4096), process(8001, "BACKOFF")))
    bare = facts("green", blue=slot())
    assert text(host("web-1", facts(blue=half)), host("web-22", bare), host("web-3"))[0] == [
        "host    app          live  release       processes  nofile  uptime  other slot",
        "web-1   shop         blue  aaaaaaaaaaaa  1/2        4096    2h      -",
        "web-22  shop         -     -             0/2        -       -       -",
        "web-3   (no answer)  -     -             -          -       -       -",
    ]


def test_a_fleet_of_which_no_host_answers() -> None:
    assert text(host("web-1"), host("web-2")) == [
        [
            "host   app          live  release  processes  nofile  uptime  other slot",
            "web-1  (no answer)  -     -        -          -       -       -",
            "web-2  (no answer)  -     -        -          -       -       -",
        ]
    ]


def test_what_goes_on_in_the_other_slot_is_told() -> None:
    (_, draining, prepared), *_ = text(host("web-1", unfinished(blue={**blue(), "connections": 3})), host("web-2", facts(green=green())))
    assert draining.endswith("  blue aaaaaaaaaaaa draining, 2 processes, 3 connections")
    assert prepared.endswith("  green bbbbbbbbbbbb prepared, 2 processes, 0 connections")


def test_a_release_is_told_of_once_by_the_host_that_served_it_last() -> None:
    waiting = facts()
    waiting["apps"]["shop"] |= {
        "releases": dict.fromkeys((A, B, C), ENVIRONMENT),
        "history": [entry(A, at="2026-01-01T00:00:00Z"), entry(C, withdrawn=True)],
    }
    (_, *rows) = text(host("web-1", waiting), host("web-2", unfinished(blue=slot())))[1]
    assert [" ".join(row.split()) for row in rows] == [
        f"shop {A} - 2026-01-02T03:04:05Z ana@build-1 live on 1, kept on 2",
        f"shop {C} - 2026-01-02T03:04:05Z ana@build-1 live on 0, kept on 1 rolled back",
        f"shop {B} - 2026-01-02T03:04:05Z ana@build-1 live on 1, kept on 2",
    ]


def test_a_release_that_never_was_live_is_called_so() -> None:
    state = facts()
    state["apps"]["shop"]["releases"] = dict.fromkeys((A, B), ENVIRONMENT)
    assert " ".join(text(host("web-1", state))[1][2].split()) == f"shop {B} - - - live on 0, kept on 1 never live"


def test_a_live_release_of_which_no_history_tells_is_not_called_so() -> None:
    state = facts()
    state["apps"]["shop"]["history"] = []
    assert " ".join(text(host("web-1", state))[1][1].split()) == f"shop {A} - - - live on 1, kept on 1"


def test_what_no_rollback_would_change_has_no_goal() -> None:
    assert not any("A rollback" in line for line in status.status_text(status.status([host("web-1", facts())], {})).splitlines())


def test_a_locked_host_names_the_one_who_changes_it() -> None:
    parts = text(host("web-1", locked(unfinished())), host("web-2", unfinished()))
    assert parts[-1] == ["web-1 is locked by ana on build-1 (process 4711), running deploy since 2026-01-02T03:04:05Z"]


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (90000, "1d")])
def test_durations_are_short(seconds: int, shown: str) -> None:
    assert status.duration(seconds) == shown


# What a run has done


def changed(name: str, state: dict[str, Any], moment: float | None, drain: dict[str, Any] | None = None) -> dict[str, Any]:
    """A host after a deploy."""
    return host(
        name,
        state,
        __tornado_app_changes=changes(state, WANTED, "deploy", () if moment is None else ("shop",)),
        __tornado_app_gate={"apps": [{"app": "shop", "healthy": True, "elapsed": 0.26}]},
        __tornado_app_switch={"changed": moment is not None, "switched": {} if moment is None else {"shop": moment}},
        **({"__tornado_app_drained": {"apps": [{"app": "shop", **drain}]}} if drain else {}),
    )


def test_a_summary_tells_what_was_switched_when_and_how_it_drained() -> None:
    done = {"drained": True, "connections": {}, "elapsed": 2.249}
    left = {"drained": False, "connections": {"8000": 1, "8001": 2}, "elapsed": 60.0}
    hosts = [changed("web-1", facts(), 1767323045.1239, done), changed("web-22", facts(), 1767323046.3739, left)]
    assert status.summary(hosts).splitlines() == [
        "host    app   release                       processes  gate   switched (UTC)  drain",
        "web-1   shop  aaaaaaaaaaaa -> bbbbbbbbbbbb  2          0.3 s  03:04:05.123    2.2 s",
        "web-22  shop  aaaaaaaaaaaa -> bbbbbbbbbbbb  2          0.3 s  03:04:06.373    60.0 s, 3 connections left",
        "shop: 1.25 s between the first and the last switch",
    ]


def test_the_first_release_comes_after_nothing_and_drains_nothing() -> None:
    (_, row, _) = status.summary([changed("web-1", facts("green", blue=slot()), 1767323045.0)]).splitlines()
    assert "  nothing -> bbbbbbbbbbbb  " in row
    assert row.endswith("  03:04:05.000    -")


def test_a_switch_of_an_earlier_run_has_no_moment() -> None:
    """It is gone through again, and did not happen in this one."""
    (heading, row) = status.summary([changed("web-1", unfinished(), None)]).splitlines()
    assert row[heading.index("switched") :].split() == ["before", "-"]


def test_moments_are_compared_among_the_hosts_that_switched() -> None:
    hosts = [changed("web-1", unfinished(), None), changed("web-2", facts(), 1767323045.5)]
    assert status.summary(hosts).splitlines()[-1] == "shop: 0.00 s between the first and the last switch"


def test_hosts_that_had_nothing_to_change_have_no_row() -> None:
    idle = host("web-2", facts(), __tornado_app_changes={}, __tornado_app_gate={"skipped": True}, __tornado_app_switch={"switched": {}})
    found = status.summary([changed("web-1", facts(), 1767323045.5), idle, {"inventory_hostname": "web-3"}])
    assert "web-1" in found
    assert "web-2" not in found
    assert "web-3" not in found


def test_a_run_that_had_nothing_to_change_says_so() -> None:
    idle = host("web-1", facts(), __tornado_app_changes=changes(facts(), OLD, "deploy"))
    assert status.summary([idle]) == "Nothing had to be changed: what is live is what is wanted."
