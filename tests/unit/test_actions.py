"""The actions that decide for a fleet, in process: what they take from the hosts' results, what they refuse, and what they return."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader

from tests.unit.loading import COLLECTION
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.releases import environment_digest
from tests.unit.builders import (
    DEFAULTS,
    HOST,
    OLD,
    PLAN,
    SHOP,
    WANTED,
    A,
    B,
    app_state,
    artifact,
    host_state,
    line,
    release,
    slot,
    state,
    unfinished,
)
from tests.unit.conftest import templar

RUN = {"run": "r-9", "since": "2026-01-03T00:00:00Z", "user": "ana", "controller": "build-1"}
FLEET: dict[str, Any] = {"plan": "the_plan", "state": "the_state"}
ENV_OF_B = environment_digest("", "3.11")
SHOP_PLANNED = {"apps": PLAN, "absent": {}, "host": HOST}
Hosts = Mapping[str, Mapping[str, Any]]


def act(action: str, hosts: Hosts, lost: tuple[str, ...] = (), **arguments: Any) -> dict[str, Any]:
    """Run an action as Ansible does: the first host's task, with the variables of all hosts; `lost` have failed or did not answer."""
    variables = {
        "hostvars": hosts,
        "ansible_play_hosts": list(hosts),
        "ansible_play_hosts_all": [*hosts, *lost],
        "inventory_hostname": next(iter(hosts), ""),
    }
    engine = templar(variables)
    task = SimpleNamespace(args=arguments, async_val=0, check_mode=False, action=action)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
    plugin = importlib.import_module(f"{COLLECTION}.plugins.action.{action}")
    made = plugin.ActionModule(task, connection, None, DataLoader(), engine, None)
    result: dict[str, Any] = made.run(task_vars=engine.available_variables)
    assert result["changed"] is False
    return result


def refusal(action: str, hosts: Hosts, lost: tuple[str, ...] = (), **arguments: Any) -> list[str]:
    """What an action says when it fails."""
    with pytest.raises(AnsibleActionFail) as failure:
        act(action, hosts, lost, **arguments)
    return str(failure.value).splitlines()


def fleet(*states: State, **more: Any) -> dict[str, dict[str, Any]]:
    """web-1, web-2 and so on with their plans and states, and more results of each."""
    return {f"web-{number}": {"the_plan": SHOP_PLANNED, "the_state": found, **more} for number, found in enumerate(states, 1)}


def locked_by(run: str, mark: str = "m1") -> State:
    found = state()
    found["host"] |= {"lock": {"run": run}, "lock_mark": mark}
    return found


# plan


def test_a_plan_is_made_of_the_settings_with_what_is_to_be_absent() -> None:
    found = act("plan", {}, apps={"shop": {**SHOP, "processes": 2}, "old": {"state": "absent"}}, defaults=DEFAULTS, host=HOST)
    assert found["apps"] == PLAN
    assert (list(found["absent"]), found["host"]) == (["old"], HOST)


def test_a_plan_fails_with_all_problems_a_line_each() -> None:
    apps = {"Shop": SHOP, "api": {**SHOP, "processes": -1}, "web": {**SHOP, "prt": 1}}
    found = refusal("plan", {}, apps=apps, defaults=DEFAULTS, host={**HOST, "nofile": 10})
    assert len(found) == 4
    for said in (
        "tornado_app_nofile is 10",
        "tornado_apps.Shop: ",
        "tornado_apps.api.processes is -1",
        "tornado_apps.web.prt is not a set",
    ):
        assert any(problem.startswith(said) for problem in found)


@pytest.mark.parametrize("apps", [{}, [], "shop"])
def test_a_plan_says_what_no_dictionary_of_apps_is(apps: Any) -> None:
    assert refusal("plan", {}, apps=apps, defaults=DEFAULTS, host=HOST)[0].startswith("tornado_apps is empty")


# check


def check(hosts: Hosts, lost: tuple[str, ...] = (), **arguments: Any) -> dict[str, Any]:
    return act("check", hosts, lost, **{**FLEET, "operations": ["provision", "deploy"], "group": "tornado", **arguments})


def check_refusal(hosts: Hosts, lost: tuple[str, ...] = (), **arguments: Any) -> list[str]:
    return refusal("check", hosts, lost, **{**FLEET, "operations": ["provision", "deploy"], "group": "tornado", **arguments})


def test_a_fleet_where_all_is_well_is_told_apart_from_one_that_differs() -> None:
    assert check(fleet(state(), state())) == {"changed": False, "stale": False, "missing": [], "differs": False, "alive": []}
    differing: State = {**state(), "differences": [{"kind": "user", "name": "shop", "reason": "missing"}]}
    assert check(fleet(state(), differing))["differs"]


def test_hosts_that_are_missing_stop_a_run_unless_as_many_may() -> None:
    (found,) = check_refusal(fleet(state()), ("web-2", "web-3"), max_missing=1)
    assert found.startswith("web-2, web-3 did not get this far")
    assert check(fleet(state()), ("web-2", "web-3"), max_missing=2)["missing"] == ["web-2", "web-3"]
    assert check(fleet(state()), ("web-2",), max_missing="1")["missing"] == ["web-2"]


def test_what_stands_against_a_run_on_any_host_is_said_at_once() -> None:
    full: State = {**state(), "host": host_state(python="3.8")}
    taken: State = {**state(), "host": host_state(sites=[{"server_names": ["web-1"], "apps": ["old"]}], begun=["shop", "old"])}
    found = check_refusal(fleet(full, taken), ("web-3",))
    assert [said in line for said, line in zip(("web-3 did not", "web-1: /usr/bin/python3 is 3.8", "is also for old"), found, strict=True)]
    for operation in ("status", "verify", "stop", "start"):
        assert check(fleet(full), operations=[operation])


def test_names_that_somebody_else_has_are_no_matter_of_a_rollback() -> None:
    """The sites stay as they are."""
    taken: State = {**state(), "host": host_state(sites=[{"server_names": ["web-1"], "apps": ["old"]}], begun=["shop", "old"])}
    assert check(fleet(taken), operations=["rollback"])
    assert len(check_refusal(fleet(taken), operations=["deploy"])) == 1


@pytest.mark.parametrize(
    ("lock", "stale"),
    [
        ({"replaced": {}, "mark": "m1"}, False),
        ({"replaced": {"run": "r-1"}, "mark": "m1"}, True),
        ({"replaced": {}, "mark": "m2"}, True),
    ],
    ids=["as it was", "it was taken over", "somebody had it in between"],
)
def test_a_look_is_stale_when_somebody_had_the_lock_since(lock: dict[str, Any], stale: bool) -> None:
    hosts = fleet(locked_by("r-1"), locked_by("r-1"), the_lock={"replaced": {}, "mark": "m1"})
    hosts["web-2"]["the_lock"] = lock
    assert check(hosts, locked="the_lock")["stale"] == stale


def test_the_runs_that_hold_locks_are_said_each_once() -> None:
    assert check(fleet(locked_by("r-2"), locked_by("r-1"), locked_by("r-2"), state()))["alive"] == ["r-1", "r-2"]


@pytest.mark.parametrize("action", ["check", "changes", "releases", "status"])
def test_a_name_that_a_host_has_no_result_of_is_an_error(action: str) -> None:
    more: dict[str, dict[str, Any]] = {
        "check": {"operations": ["deploy"], "group": "tornado"},
        "changes": {"operation": "restart", "run": RUN, "releases": {}},
        "releases": {"operation": "restart"},
    }
    hosts = fleet(state(), state())
    del hosts["web-2"]["the_state"]
    assert refusal(action, hosts, **FLEET, **more.get(action, {})) == ["web-2 has no result the_state"]
    wrong = {**FLEET, "plan": "teh_plan", **more.get(action, {})}
    assert refusal(action, fleet(state()), **wrong) == ["web-1 has no result teh_plan"]


# releases


def releases(hosts: Hosts, operation: str, **arguments: Any) -> dict[str, Any]:
    return act("releases", hosts, **FLEET, operation=operation, **arguments)


def releases_refusal(hosts: Hosts, operation: str, **arguments: Any) -> list[str]:
    return refusal("releases", hosts, **FLEET, operation=operation, **arguments)


def built(**given: Any) -> dict[str, Any]:
    """What is built of the source of shop."""
    item = {"app": "shop", "source": "/project/files/app", "version": "HEAD", "requirements": "requirements.txt"}
    return {"project": "/project", "built": [{**artifact(B, size=1000, version="v2", commit="c0ffee"), "item": item, **given}]}


def test_a_deploy_says_what_each_host_lacks() -> None:
    has = state()
    has["apps"]["shop"]["releases"] = {B: ENV_OF_B}
    has["apps"]["shop"]["environments"] = [ENV_OF_B]
    found = releases(fleet(state(), has), "deploy", **built())
    one, two = found["hosts"]["web-1"], found["hosts"]["web-2"]
    assert found["any"]
    assert one["releases"] == two["releases"] == {"shop": release(B, environment=ENV_OF_B, version="v2", commit="c0ffee")}
    given = {"path": f"/cache/{B}.tar.gz", "releases": "/srv/shop/releases", "group": "shop", "static": "static"}
    assert one["new"] == [{"app": "shop", "release": B, **given}]
    assert [environment["path"] for environment in one["environments"]] == [f"/srv/shop/environments/{ENV_OF_B}"]
    assert (two["new"], two["environments"]) == ([], [])
    assert [file["path"] for file in one["records"]] == [f"/srv/shop/releases/{B}.json"]
    assert not releases(fleet(has), "deploy", **built())["any"]


def test_a_deploy_takes_no_release_by_its_name() -> None:
    (found,) = releases_refusal(fleet(state()), "deploy", release=A, **built())
    assert found.startswith("tornado_app_release names a release for --tags rollback")


def test_a_source_that_could_not_be_built_ends_a_deploy() -> None:
    given = built()
    given["built"] = [{"item": given["built"][0]["item"], "msg": "source /x is not there"}]
    assert releases_refusal(fleet(state()), "deploy", **given) == ["tornado_apps.shop.source: source /x is not there"]


def test_a_deploy_fails_with_all_that_stands_against_it_on_all_hosts() -> None:
    full: State = {**state(), "host": host_state(free_bytes=0)}
    stopped: State = {**state(), "apps": {"shop": app_state(supervisord=None)}}
    given = built(processes={"worker": line("QUEUE")})
    found = releases_refusal(fleet(full, stopped), "deploy", **given)
    assert [part in problem for part, problem in zip(("names $QUEUE", "/srv has 0 MB free", "does not run on web-2"), found, strict=True)]
    # The run provisions first, or shows only what it would do.
    assert not any("does not run" in problem for problem in releases_refusal(fleet(full, stopped), "deploy", prepared=False, **given))


def test_a_restart_takes_what_is_live_on_each_host() -> None:
    found = releases(fleet(state(), unfinished()), "restart")
    assert found["hosts"] == {
        "web-1": {"releases": OLD, "new": [], "environments": []},
        "web-2": {"releases": WANTED, "new": [], "environments": []},
    }
    assert not found["any"]


def test_a_restart_is_refused_where_nothing_is_live_or_nothing_runs() -> None:
    bare = state("green", blue=slot())
    assert releases_refusal(fleet(state(), bare), "restart") == ["shop has no release on web-2 to restart: run --tags deploy first"]
    stopped: State = {**state(), "apps": {"shop": app_state(supervisord=None)}}
    assert releases_refusal(fleet(stopped), "restart") == ["shop.service does not run on web-1: run --tags start first"]


def test_a_rollback_takes_all_hosts_to_one_release() -> None:
    found = releases(fleet(unfinished(), state()), "rollback")
    assert {name: own["releases"] for name, own in found["hosts"].items()} == {"web-1": OLD, "web-2": OLD}


def test_a_rollback_is_refused_where_there_is_nothing_to_go_back_to() -> None:
    bare: State = {**state(), "apps": {"shop": app_state("green", {"blue": slot()}, releases={}, history=[])}}
    assert releases_refusal(fleet(bare), "rollback") == ["nothing was deployed yet: there is nothing to go back to"]
    (found,) = releases_refusal(fleet(state()), "rollback", release="nonsense")
    assert found.startswith("tornado_app_release nonsense is on no host")


def test_a_release_that_looks_like_a_number_can_be_named() -> None:
    """YAML and Ansible make numbers of what looks like one."""
    found = state()
    found["apps"]["shop"]["releases"]["123456789012"] = "e" * 12
    (wanted,) = releases(fleet(found), "rollback", release=123456789012)["hosts"].values()
    assert wanted["releases"]["shop"]["release"] == "123456789012"


# changes


def changes(hosts: Hosts, operation: str = "deploy", wanted: Any = WANTED, **arguments: Any) -> dict[str, Any]:
    wanted_of = {name: {"releases": wanted} for name in hosts}
    return act("changes", hosts, **FLEET, operation=operation, run=RUN, releases=wanted_of, **arguments)


def test_what_changes_is_decided_for_all_hosts_at_once() -> None:
    hosts = fleet(state(), state(), compared={"apps": ["shop"]})
    hosts["web-2"]["compared"] = {"apps": []}
    found = changes(hosts, compared="compared")
    assert {name: [change["slot"]["name"] for change in own["changes"]] for name, own in found["hosts"].items()} == {
        "web-1": ["green"],
        "web-2": [],
    }
    assert [found[key] for key in ("any", "changing", "interrupted", "releasing")] == [True, True, False, False]


def test_a_deploy_does_not_go_on_without_a_comparison() -> None:
    hosts = fleet(state(), state(), compared={"apps": []})
    del hosts["web-2"]["compared"]
    found = refusal(
        "changes", hosts, **FLEET, operation="deploy", run=RUN, releases={name: {"releases": OLD} for name in hosts}, compared="compared"
    )
    assert found == ["web-2 has no result compared"]


def test_a_restart_needs_no_comparison() -> None:
    """Its task is skipped then."""
    for arguments in ({}, {"compared": "compared"}):
        found = changes(fleet(state(), compared={"skipped": True, "changed": False}), "restart", OLD, **arguments)
        assert [change["release"]["release"] for change in found["hosts"]["web-1"]["changes"]] == [A]


@pytest.mark.parametrize(
    ("found", "wanted", "flags"),
    [
        (state(), OLD, [False, False, False, False]),
        (state(green=slot(B, True)), OLD, [True, False, False, False]),
        (unfinished(), WANTED, [True, True, False, False]),
        (state("green", blue=slot()), {"shop": release(B, commands={"release": "x"})}, [True, True, False, True]),
    ],
    ids=["nothing", "something to retire", "a switch to go through again", "a release command"],
)
def test_the_kinds_of_changes_are_told_apart(found: State, wanted: Any, flags: list[bool]) -> None:
    said = changes(fleet(found, compared={"apps": []}), wanted=wanted, compared="compared")
    assert [said[key] for key in ("any", "changing", "interrupted", "releasing")] == flags


def test_a_fleet_that_goes_back_first_says_so() -> None:
    said = changes(fleet(unfinished(), state(), compared={"apps": []}), wanted=OLD, compared="compared")
    assert said["interrupted"]
    assert [slot["name"] for slot in said["hosts"]["web-1"]["interrupted"]] == ["blue"]


# verdict


def test_a_verdict_passes_when_every_host_has_passed() -> None:
    hosts: Hosts = {"web-1": {"gate": {"healthy": True}}, "web-2": {"gate": {"skipped": True}}}
    assert act("verdict", hosts, results=["gate"]) == {"changed": False, "passed": True, "reasons": {}, "text": "", "messages": {}}


def test_a_verdict_says_why_not() -> None:
    hosts: Hosts = {"web-1": {"gate": {"healthy": True}}, "web-2": {"gate": {"healthy": False, "msg": "refused"}}}
    found = act("verdict", hosts, ("web-3",), results=["gate"])
    assert (found["passed"], list(found["reasons"])) == (False, ["web-3", "web-2"])
    assert found["text"].splitlines() == [f"web-3: {found['reasons']['web-3']}", "web-2: refused"]
    assert set(found["messages"]) == {"web-1", "web-2"}


def test_a_name_that_nobody_registered_fails() -> None:
    hosts: Hosts = {"web-1": {"gate": {"healthy": True}}}
    assert refusal("verdict", hosts, results=["gaet"]) == ["web-1 has no result gaet"]
    assert act("verdict", hosts, results=["gaet"], so_far=True)["passed"]


def test_hosts_that_were_missing_from_the_beginning_do_not_hold_the_fleet() -> None:
    hosts: Hosts = {"web-1": {"gate": {"healthy": True}}}
    assert act("verdict", hosts, ("web-2",), results=["gate"], without=["web-2"])["passed"]
    assert list(act("verdict", hosts, ("web-2", "web-3"), results=[], without=["web-2"])["reasons"]) == ["web-3"]


def test_a_verdict_calls_the_items_of_a_loop_by_its_label() -> None:
    hosts: Hosts = {"web-1": {"released": {"results": [{"item": {"app": "shop"}, "rc": 3, "stdout": "", "stderr": "no database"}]}}}
    found = act("verdict", hosts, results=["released"], label="tornado_apps.{item[app]}")
    assert found["text"] == "web-1: tornado_apps.shop, on web-1, ended with 3: no database"


# status, summary, cookie secrets


def test_the_status_has_every_host_of_the_play() -> None:
    found = act("status", fleet(unfinished(), state()), ("web-3",), **FLEET)
    assert {name: own["answered"] for name, own in found["hosts"].items()} == {"web-1": True, "web-2": True, "web-3": False}
    assert found["hosts"]["web-1"]["apps"]["shop"]["rollback"] == A
    for said in ("web-3  (no answer)", f"A rollback of shop goes to {A}", f"web-2 is behind: it serves {A} of shop"):
        assert said in found["text"]


def test_a_status_of_a_fleet_without_anything_is_no_error() -> None:
    assert "A rollback" not in act("status", fleet(state("green", blue=slot())), **FLEET)["text"]
    assert "(no answer)" in act("status", {}, ("web-1",), **FLEET)["text"]


def test_the_summary_takes_the_results_of_each_host() -> None:
    made = changes(fleet(state(), state(), compared={"apps": ["shop"]}), compared="compared")["hosts"]
    hosts: Hosts = {
        "web-1": {"gate": {"apps": [{"app": "shop", "elapsed": 1.5}]}, "switched": {"switched": {"shop": 1767323045.0}}},
        "web-2": {"switched": {"switched": {"shop": 1767323046.0}}},
    }
    text = act("summary", hosts, changes=made, gate="gate", switched="switched", drained="drained")["text"]
    assert [line.split()[0] for line in text.splitlines()] == ["host", "web-1", "web-2", "shop:"]
    assert "1.5 s" in text
    assert "shop: 1.00 s between" in text


def test_a_fleet_takes_the_cookie_secret_that_most_hosts_have() -> None:
    hosts = fleet(state(), state(), found={"secrets": {"shop": "late"}})
    hosts["web-2"]["found"] = {"secrets": {"shop": "old"}}
    elsewhere = [{"secrets": {"shop": "old"}}, {"unreachable": True}, {"msg": "broke"}]
    assert act("cookie_secrets", hosts, plan="the_plan", found="found", elsewhere=elsewhere)["secrets"] == {"shop": "old"}


def test_a_fleet_without_a_cookie_secret_gets_one_for_all() -> None:
    found = act("cookie_secrets", fleet(state(), state(), found={"secrets": {"shop": ""}}), plan="the_plan", found="found")
    assert len(found["secrets"]["shop"]) >= 43
