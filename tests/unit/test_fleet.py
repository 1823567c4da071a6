"""Whether a fleet goes on: a result that nobody has is never a pass, and whatever failed is said once a host."""

from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.plugin_utils.fleet import Answers, NoResultError, messages, reasons

LOST = "failed or cannot be reached, see above; what it serves is for the next run to find out"
SKIPPED = {"skipped": True, "changed": False}


def hosts(*results: dict[str, Any]) -> list[Answers]:
    """What web-1, web-2 and so on have."""
    return [Answers(host=f"web-{number}", results=own) for number, own in enumerate(results, 1)]


def said(*results: Any, lost: tuple[str, ...] = (), **given: Any) -> dict[str, str]:
    """Why the fleet cannot go on, where each host has one result, by the name `gate`."""
    return reasons(hosts(*({"gate": own} for own in results)), ["gate"], lost, **given)


@pytest.mark.parametrize(
    "result",
    [
        {"healthy": True},
        {"failed": False},
        {"changed": True, "switched": {"shop": 1.0}},
        {"rc": 0},
        SKIPPED,
        {"results": []},
        {"results": [SKIPPED, {"rc": 0}]},
        {"unreachable": False},
    ],
)
def test_what_is_well_or_was_skipped_lets_the_fleet_go_on(result: dict[str, Any]) -> None:
    assert said(result) == {}


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"healthy": False, "msg": "refused"}, "refused"),
        ({"failed": False, "healthy": False, "msg": "gone"}, "gone"),
        ({"failed": True, "msg": "read-only file system"}, "read-only file system"),
        ({"failed": True, "healthy": True, "msg": "broke"}, "broke"),
        ({"unreachable": True, "changed": False, "msg": "no route"}, "no route"),
        ({"failed": True}, "it failed without a message"),
        ({"failed": True, "msg": ""}, "it failed without a message"),
        ({"healthy": False, "msg": "Start | Write the idle slots: no space left"}, "Start | Write the idle slots: no space left"),
    ],
)
def test_what_failed_holds_the_fleet_with_its_own_words(result: dict[str, Any], reason: str) -> None:
    assert said({"healthy": True}, result, SKIPPED) == {"web-2": reason}


NO_FAILURE = {"failed": False, "failed_when_result": False}  # of a task with `failed_when: false`, whatever happened


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"msg": "missing required arguments: slots"}, "missing required arguments: slots"),
        ({"healthy": False, "msg": "refused"}, "refused"),
        ({"rc": 1, "msg": "no JSON", "module_stderr": "killed"}, "a module, on web-1, ended with 1: no JSON"),
        ({"item": "shop", "rc": 2, "stderr": "broke"}, "shop, on web-1, ended with 2: broke"),
    ],
)
def test_a_module_that_broke_is_no_success_though_its_task_lets_failures_pass(result: dict[str, Any], reason: str) -> None:
    assert said({**NO_FAILURE, **result}) == {"web-1": reason}
    assert said({"results": [{**NO_FAILURE, "rc": 0}, {**NO_FAILURE, **result}]}) == {"web-1": reason}


def test_what_such_a_task_says_to_be_well_is_well() -> None:
    assert said({**NO_FAILURE, "healthy": True, "apps": []}, {**NO_FAILURE, "rc": 0}, {"results": [{**NO_FAILURE, "rc": 0}]}) == {}


@pytest.mark.parametrize("names", [["gate"], ["switched", "gate"]])
def test_a_host_that_was_reached_and_has_no_result_is_an_error(names: list[str]) -> None:
    """A step was renamed, or was not carried out."""
    with pytest.raises(NoResultError, match=r"^web-2 has no result gate$"):
        reasons(hosts({"gate": SKIPPED, "switched": SKIPPED}, {"switched": SKIPPED}), names, [])


def test_all_names_that_are_missing_are_said() -> None:
    with pytest.raises(NoResultError, match=r"^web-1 has no result switched, probed$"):
        reasons(hosts({"gate": SKIPPED}), ["switched", "gate", "probed"], [])


def test_hosts_that_have_not_had_their_turn_are_no_failures() -> None:
    names = ["switched", "probed"]
    assert reasons(hosts({}, {"switched": SKIPPED, "probed": SKIPPED}), names, [], partial=True) == {}
    failed = {"failed": True, "msg": "read-only"}
    assert reasons(hosts({"switched": failed}, {}), names, [], partial=True) == {"web-1": "read-only"}


def test_hosts_that_were_lost_hold_the_fleet() -> None:
    assert said({"healthy": True}, lost=("web-3",)) == {"web-3": f"web-3 {LOST}"}
    assert reasons([], [], ["web-3", "web-4"]) == {name: f"{name} {LOST}" for name in ("web-3", "web-4")}


def test_a_host_that_was_lost_needs_no_result() -> None:
    assert reasons(hosts({}), ["gate"], ["web-1"]) == {"web-1": f"web-1 {LOST}"}


def test_without_names_only_the_hosts_that_were_lost_count() -> None:
    assert reasons(hosts({}, {"gate": {"failed": True}}), [], []) == {}


def test_of_a_host_the_first_thing_that_failed_is_said() -> None:
    own = {"switched": {"failed": True, "msg": "read-only"}, "probed": {"failed": True, "msg": "answered 502"}}
    assert reasons(hosts(own), ["switched", "probed"], []) == {"web-1": "read-only"}
    assert reasons(hosts({**own, "switched": SKIPPED}), ["switched", "probed"], []) == {"web-1": "answered 502"}


def test_a_switch_that_failed_is_no_success_though_the_old_slot_answers() -> None:
    own = {"switched": {"failed": True, "msg": "read-only file system"}, "probed": {"failed": False}, "watched": SKIPPED}
    assert reasons(hosts(own), list(own), []) == {"web-1": "read-only file system"}


@pytest.mark.parametrize("name", ["switched", "watched"])
def test_a_host_that_could_not_be_reached_for_a_moment_did_not_switch_as_it_should(name: str) -> None:
    """Though it answers again: from its old slot, which would be the one to retire."""
    own = {"switched": {"switched": {}}, "probed": {"failed": False}, "watched": SKIPPED}
    own |= {name: {"unreachable": True, "changed": False, "msg": "no route"}}
    assert reasons(hosts(own), ["switched", "probed", "watched"], []) == {"web-1": "no route"}


def test_all_hosts_that_hold_the_fleet_are_said() -> None:
    assert said({"failed": True, "msg": "one"}, {"failed": True, "msg": "two"}) == {"web-1": "one", "web-2": "two"}


# What each host says then


def test_each_host_says_why_it_stops() -> None:
    """Its own reason, or whose it is; what became of hosts that say nothing themselves is said by all."""
    found = {"web-2": "refused", "web-4": "web-4 was lost."}
    assert messages(found, ["web-1", "web-2", "web-3"]) == {
        "web-1": "Stopped because of web-2, web-4. web-4 was lost.",
        "web-2": "refused web-4 was lost.",
        "web-3": "Stopped because of web-2, web-4. web-4 was lost.",
    }
    assert messages({"web-2": "refused"}, ["web-1", "web-2"]) == {"web-1": "Stopped because of web-2.", "web-2": "refused"}
    assert messages({}, ["web-1"]) == {}


# Commands


def test_a_release_command_that_fails_is_said_with_what_it_printed() -> None:
    bad = {"item": {"app": "shop"}, "rc": 3, "stdout": "\n".join(f"line {number}" for number in range(40)), "stderr": "no database"}
    looped = {"results": [{"item": {"app": "api"}, "rc": 0}, {"skipped": True}, bad]}
    found = said(looped, {"results": []}, SKIPPED, label="tornado_apps.{item[app]}: the line release of its Procfile")
    assert list(found) == ["web-1"]
    assert found["web-1"].startswith("tornado_apps.shop: the line release of its Procfile, on web-1, ended with 3: line 21\nline 22\n")
    assert found["web-1"].endswith("\nline 39\nno database")


def test_all_items_of_a_loop_that_failed_are_said() -> None:
    looped = {"results": [{"item": name, "rc": 1, "stdout": "", "stderr": f"{name} broke"} for name in ("shop", "api")]}
    assert said(looped) == {"web-1": "shop, on web-1, ended with 1: shop broke\napi, on web-1, ended with 1: api broke"}


def test_a_command_that_could_not_be_started_is_said_with_its_message() -> None:
    assert said({"results": [{"item": "shop", "rc": 2, "msg": "No such file: flock"}]}) == {
        "web-1": "shop, on web-1, ended with 2: No such file: flock"
    }


def test_a_loop_that_failed_as_a_whole_holds_the_fleet() -> None:
    assert said({"failed": True, "msg": "the loop broke", "results": []}) == {"web-1": "the loop broke"}
    assert said({"failed": True, "msg": "One or more items failed", "results": [{"failed": True, "msg": "no route"}]}) == {
        "web-1": "no route"
    }
