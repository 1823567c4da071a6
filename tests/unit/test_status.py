"""What the status says of a fleet, to an operator and to a program."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Restarts, State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import status as core
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import status_text as text_of
from tests.unit.builders import (
    ENVIRONMENT,
    PLAN,
    SHOP,
    A,
    B,
    C,
    blue,
    entry,
    green,
    host_state,
    planned,
    process,
    slot,
    state,
    unfinished,
    worker,
)

GOAL = {"shop": A}  # of a rollback
LOCK = {"run": "r-1", "controller": "build-1", "user": "ana", "pid": 4711, "operation": "deploy", "since": "2026-01-02T03:04:05Z"}


def locked(found: State) -> State:
    """The same host while somebody changes it."""
    return {**found, "host": host_state(lock=LOCK)}


def status(goal: dict[str, str] = GOAL, plan: Any = PLAN, **hosts: State | None) -> dict[str, core.HostStatus]:
    """The status of web-1, web-2 and so on (web_1, web_2); without a state, of one that did not answer."""
    states = {name.replace("_", "-"): found for name, found in hosts.items()}
    answered = {name: found for name, found in states.items() if found}
    return core.status(states, dict.fromkeys(answered, plan), answered, goal)


def shop(found: State, **given: Any) -> dict[str, Any]:
    """What is said of the one app of one host."""
    return dict(status(web_1=found, **given)["web-1"]["apps"]["shop"])


def text(**hosts: State | None) -> list[list[str]]:
    """The parts of the text, as lines."""
    return [part.splitlines() for part in text_of.status_text(status(GOAL, PLAN, **hosts)).split("\n\n")]


# For programs


def test_the_status_of_an_app_is_whole() -> None:
    found = unfinished(blue=slot())
    found["apps"]["shop"]["history"] = [entry(B, version="v2"), entry(A, version="v1", at="2026-01-01T00:00:00Z", by="bob@build-1")]
    assert shop(found) == {
        "live": "green",
        "release": B,
        "processes": 2,
        "processes_wanted": 2,
        "workers": 0,
        "workers_wanted": 0,
        "nofile": 65536,
        "uptime": 90,
        "idle": {"slot": "blue", "state": "empty", "release": "", "processes": 0, "connections": 0},
        "behind": "",
        "rollback": A,
        "untrusted": [],
        "outdated": "",
        "maintenance": "",
        "watchdog": "RUNNING",
        "restarts": {},
        "tls": None,
        "jobs": None,
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
    found = shop(state(blue=slot(A, True, processes, 1)))
    assert (found["processes"], found["nofile"], found["uptime"]) == (2, 4096, 7200)


def test_an_app_that_does_not_run_has_neither_limit_nor_life() -> None:
    found = shop(state(blue=slot(A, True)))
    assert (found["live"], found["release"], found["processes"], found["nofile"], found["uptime"]) == ("blue", A, 0, 0, 0)


def test_where_nothing_was_deployed_nothing_is_live() -> None:
    bare = state("green", blue=slot())
    bare["apps"]["shop"] |= {"releases": {}, "history": []}
    found = shop(bare)
    assert (found["live"], found["release"], found["releases"], found["behind"]) == ("", "", [], "")


def test_the_slot_that_was_live_drains_with_its_connections() -> None:
    assert shop(unfinished(blue=blue(connections=3)))["idle"] == {
        "slot": "blue",
        "state": "draining",
        "release": A,
        "processes": 2,
        "connections": 3,
    }


def test_the_slot_that_will_be_live_is_prepared() -> None:
    idle = shop(state(green=green()))["idle"]
    assert (idle["slot"], idle["state"], idle["release"]) == ("green", "prepared", B)


def test_a_retired_slot_is_empty_though_its_link_is_there() -> None:
    idle = shop(unfinished(blue=slot(A, sequence=1)))["idle"]
    assert (idle["state"], idle["release"]) == ("empty", "")


def test_releases_are_listed_as_they_were_live_and_those_that_never_were_come_last() -> None:
    kept = state()
    kept["apps"]["shop"] |= {
        "releases": dict.fromkeys((A, B, C), ENVIRONMENT),
        "history": [entry(A), entry("gone"), entry(C, withdrawn=True)],
    }
    found = shop(kept)["releases"]
    assert [(one["release"], one["live"], one["rolled_back"]) for one in found] == [
        (A, True, False),
        (C, False, True),
        (B, False, False),
    ]
    assert (found[2]["version"], found[2]["at"], found[2]["by"]) == ("", "", "")


def test_who_changes_a_host_is_said() -> None:
    found = status(web_1=locked(state()), web_2=state())
    assert (found["web-1"]["lock"], found["web-2"]["lock"]) == (LOCK, {})


def test_a_host_that_did_not_answer_is_in_it_all_the_same() -> None:
    assert status(web_3=None, web_4=None) == {
        name: {"answered": False, "drained": "", "lock": {}, "apps": {}} for name in ("web-3", "web-4")
    }


def test_forked_processes_and_workers_are_counted() -> None:
    forked = planned({"shop": {**SHOP, "processes": 3, "listen": "fork", "scale": {"worker": 2}}})
    found = state(blue=slot(A, True, ({**process(8000), "children": 2},), 1, workers=(worker(), worker(2, "FATAL"))))
    found["apps"]["shop"]["records"][A]["commands"] = {"web": "w", "worker": "x", "release": "r"}
    said = shop(found, plan=forked)
    assert (said["processes"], said["processes_wanted"], said["workers"], said["workers_wanted"]) == (2, 3, 1, 2)
    assert " 2/3 + 1/2 " in text_of.status_text(status(plan=forked, web_1=found))


# A host that comes late

LATE = "2026-01-01T00:00:00Z"


def late() -> State:
    """A host that serves what the fleet served before."""
    found = state()
    found["apps"]["shop"]["history"] = [entry(A, at=LATE)]
    return found


def newer() -> State:
    """A host that serves B, since a later moment."""
    return unfinished(blue=slot(A))


def test_a_host_that_serves_another_release_than_went_live_last_is_behind() -> None:
    found = status(web_1=newer(), web_2=late())
    assert [own["apps"]["shop"]["behind"] for own in found.values()] == ["", B]
    assert f"web-2 is behind: it serves {A} of shop, the fleet's last release is {B}" in text_of.status_text(found).splitlines()


def test_a_fleet_that_went_back_together_is_not_behind() -> None:
    """What it left went live later than what it serves once did; but nobody serves that."""
    back = state()
    back["apps"]["shop"]["history"] = [entry(A), entry(B, at="2026-01-02T00:00:00Z", withdrawn=True)]
    assert [own["apps"]["shop"]["behind"] for own in status(web_1=back, web_2=back).values()] == ["", ""]


def test_hosts_without_a_release_or_a_history_are_not_behind_and_hold_nobody_back() -> None:
    """One that was never deployed to is for the next deploy to fill, and one of no history says nothing."""
    bare, silent = state("green", blue=slot()), state()
    silent["apps"]["shop"]["history"] = []
    assert [own["apps"]["shop"]["behind"] for own in status(web_1=newer(), web_2=bare).values()] == ["", ""]
    assert [own["apps"]["shop"]["behind"] for own in status(web_1=silent, web_2=silent).values()] == ["", ""]
    assert status(web_1=newer(), web_2=silent)["web-2"]["apps"]["shop"]["behind"] == B


def test_a_host_that_does_not_answer_is_not_called_behind() -> None:
    assert "behind" not in text_of.status_text(status(web_1=newer(), web_2=None))


def test_the_status_can_be_written_as_json() -> None:
    found = status(web_1=locked(unfinished()), web_2=None)
    assert json.loads(json.dumps(found)) == found


# For a person


def test_a_fleet_that_is_in_order() -> None:
    found = unfinished(blue=slot(A))
    found["apps"]["shop"]["history"] = [entry(B, version="v2"), entry(A, at="2026-01-01T00:00:00Z", by="bob@build-1")]
    assert text_of.status_text(status(web_1=found, web_22=found)).splitlines() == [
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
    assert text(web_1=state(blue=half), web_22=state("green", blue=slot()), web_3=None)[0] == [
        "host    app          live  release       processes  nofile  uptime  other slot",
        "web-1   shop         blue  aaaaaaaaaaaa  1/2        4096    2h      -",
        "web-22  shop         -     -             0/2        -       -       -",
        "web-3   (no answer)  -     -             -          -       -       -",
    ]


def test_a_fleet_of_which_no_host_answers() -> None:
    assert text(web_1=None, web_2=None) == [
        [
            "host   app          live  release  processes  nofile  uptime  other slot",
            "web-1  (no answer)  -     -        -          -       -       -",
            "web-2  (no answer)  -     -        -          -       -       -",
        ]
    ]


def test_what_goes_on_in_the_other_slot_is_shown() -> None:
    (_, draining, prepared), *_ = text(web_1=unfinished(blue=blue(connections=3)), web_2=state(green=green()))
    assert draining.endswith("  blue aaaaaaaaaaaa draining, 2 processes, 3 connections")
    assert prepared.endswith("  green bbbbbbbbbbbb prepared, 2 processes, 0 connections")


def test_a_release_is_listed_once_by_the_host_that_served_it_last() -> None:
    waiting = state()
    waiting["apps"]["shop"] |= {
        "releases": dict.fromkeys((A, B, C), ENVIRONMENT),
        "history": [entry(A, at="2026-01-01T00:00:00Z"), entry(C, withdrawn=True)],
    }
    (_, *rows) = text(web_1=waiting, web_2=unfinished(blue=slot()))[1]
    assert [" ".join(row.split()) for row in rows] == [
        f"shop {A} - 2026-01-02T03:04:05Z ana@build-1 live on 1, kept on 2",
        f"shop {C} - 2026-01-02T03:04:05Z ana@build-1 live on 0, kept on 1 rolled back",
        f"shop {B} - 2026-01-02T03:04:05Z ana@build-1 live on 1, kept on 2",
    ]


def test_a_release_that_never_was_live_is_called_so() -> None:
    found = state()
    found["apps"]["shop"]["releases"] = dict.fromkeys((A, B), ENVIRONMENT)
    assert " ".join(text(web_1=found)[1][2].split()) == f"shop {B} - - - live on 0, kept on 1 never live"


def test_a_live_release_that_no_history_has_is_not_called_so() -> None:
    found = state()
    found["apps"]["shop"]["history"] = []
    assert " ".join(text(web_1=found)[1][1].split()) == f"shop {A} - - - live on 1, kept on 1"


def test_what_no_rollback_would_change_has_no_goal() -> None:
    assert not any("A rollback" in line for line in text_of.status_text(status({}, web_1=state())).splitlines())


def test_what_of_a_supervisord_cannot_be_believed_is_said() -> None:
    lying = state()
    lying["apps"]["shop"]["untrusted"] = ["a process without pid", "2 more"]
    assert shop(lying)["untrusted"] == ["a process without pid", "2 more"]
    lines = [line for part in text(web_1=lying, web_2=state()) for line in part]
    assert [line for line in lines if "believed" in line] == [
        "web-1: shop's supervisord answers what cannot be believed: a process without pid; 2 more"
    ]


def test_a_unit_that_waits_for_its_next_start_is_said_with_the_way_to_that() -> None:
    old = state()
    old["apps"]["shop"]["outdated"] = "2026-01-02T03:04:05Z"
    assert (shop(old)["outdated"], shop(state())["outdated"]) == ("2026-01-02T03:04:05Z", "")
    lines = [line for part in text(web_1=state(), web_2=old) for line in part]
    assert [line for line in lines if "unit" in line] == [
        "web-2: shop: its unit has changed since its start at 2026-01-02T03:04:05Z; it takes effect at the next boot, or host by host: "
        "take web-2 out of your balancer or DNS, then --tags stop,start --limit web-2"
    ]


def test_an_app_in_maintenance_is_said_with_the_way_out() -> None:
    closed = state()
    closed["apps"]["shop"]["maintenance"] = "2026-01-02T03:04:05Z"
    assert (shop(closed)["maintenance"], shop(state())["maintenance"]) == ("2026-01-02T03:04:05Z", "")
    lines = [line for part in text(web_1=state(), web_2=closed) for line in part]
    assert [line for line in lines if "maintenance" in line] == [
        "web-2: shop has been in maintenance since 2026-01-02T03:04:05Z; --tags live ends that"
    ]


def test_what_the_watchdog_has_done_to_the_live_slot_is_told() -> None:
    found, why = state(), "supervisord had given it up: Exited too quickly"
    thrice = Restarts(restarts=3, reason=why, at="2026-01-02T03:04:05Z")
    once = Restarts(restarts=1, reason=why, at="2026-01-02T03:04:05Z")
    live = {"shop-blue:8000": thrice, "shop-blue:8001": once}
    found["apps"]["shop"]["watchdog"]["processes"] = {**live, "shop-green:9000": thrice}
    assert shop(found)["restarts"] == live
    again = "at 2026-01-02T03:04:05Z: supervisord had given it up: Exited too quickly"
    assert [line for part in text(web_1=found) for line in part if "watchdog" in line] == [
        f"web-1: the watchdog has started shop-blue:8000 again 3 times, last {again}",
        f"web-1: the watchdog has started shop-blue:8001 again once, last {again}",
    ]


@pytest.mark.parametrize(("said", "shown"), [("", "unknown to supervisord"), ("FATAL", "FATAL"), ("STOPPED", "STOPPED")])
def test_a_watchdog_that_does_not_run_is_told_where_processes_do(said: str, shown: str) -> None:
    found, stopped = state(), state(blue=slot(A, True))
    for host in (found, stopped):
        host["apps"]["shop"]["watchdog"]["state"] = said
    assert [line for part in text(web_1=found, web_2=stopped) for line in part if "watchdog" in line] == [
        f"web-1: shop's watchdog does not run ({shown}); run --tags provision"
    ]


def test_a_locked_host_names_the_one_who_changes_it() -> None:
    parts = text(web_1=locked(unfinished()), web_2=unfinished())
    assert parts[-1] == ["web-1 is locked by ana on build-1 (process 4711), running deploy since 2026-01-02T03:04:05Z"]


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (90000, "1d")])
def test_durations_are_short(seconds: int, shown: str) -> None:
    assert text_of.duration(seconds) == shown
