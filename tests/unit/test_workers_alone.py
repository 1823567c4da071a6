"""Hosts that run workers alone: what the plan, nginx, the gate and the fleet's decisions make of `processes: 0`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Lock, SlotState, State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import changes, checks, files, memory, report, status, status_text, work
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import HostChanges
from tests.unit.builders import (
    ENVIRONMENT,
    HOST,
    PLAN,
    SHOP,
    A,
    B,
    app_state,
    artifact,
    blue,
    entry,
    host,
    host_state,
    line,
    planned,
    release,
    slot,
    state,
    worker,
)
from tests.unit.conftest import PATIENCE, Supervisor, make_plan, run_module
from tests.unit.nginx_trees import nginx_test, nginx_tree
from tests.unit.rendering import nginx_files
from tests.unit.test_action_files import Handed, look
from tests.unit.test_actions import FLEET, check_refusal, refusal

RUN: Lock = {"run": "r-9", "since": "2026-01-03T00:00:00Z", "user": "ana", "controller": "build-1"}
ALONE: dict[str, Any] = {
    **SHOP,
    "command": "",
    "processes": 0,
    "server_names": ["shop.test"],
    "tls": {"self_signed": True},
    "basic_auth": {"ana": f"$6$salt${'x' * 86}"},
}
WORKERS = planned({"shop": ALONE})
LINES = {"worker": "python work.py"}
RECORDS: Any = {name: {"environment": ENVIRONMENT, "python": "3.11", "commands": LINES} for name in (A, B)}


def of_green(number: int = 1, **given: Any) -> Any:
    """A worker of the green slot."""
    return {**worker(number, **given), "name": f"shop-green:worker.{number}"}


def working(slots: Mapping[str, SlotState] | None = None, live: str = "blue", drained: str = "", **given: Any) -> State:
    """A host whose live slot has one worker and nothing else."""
    own = {"blue": slot(A, True, sequence=1, workers=(worker(),)), **(slots or {})}
    shop = app_state(live, own, records=RECORDS, **given)
    return {"host": host_state(drained=drained), "apps": {"shop": shop}, "differences": []}


# The plan


@pytest.mark.parametrize("listen", ["ports", "sockets", "shared", "fork"])
def test_an_app_without_web_processes_has_no_ports_and_no_site(listen: str) -> None:
    app = planned({"shop": {**ALONE, "listen": listen}})["shop"]
    assert [(slot["ports"], slot["addresses"], slot["host"], slot["certificate"]) for slot in app["slots"].values()] == [
        ([], [], "", "")
    ] * 2
    assert (app["tls"]["source"], app["basic_auth"], app["static"]) == ("", [], "")
    assert app["port"] == 8000  # it keeps its place, for web processes to come


def test_its_place_is_nobody_elses() -> None:
    apps = planned({"shop": ALONE, "api": {**SHOP, "server_names": ["api.test"]}})
    assert (apps["shop"]["port"], apps["api"]["port"]) == (8000, 8100)


def test_apps_without_web_processes_may_have_names_of_others() -> None:
    assert set(planned({"shop": ALONE, "jobs": {**ALONE, "port": 8000}, "api": {**SHOP, "server_names": ["shop.test"]}})) == {
        "shop",
        "jobs",
        "api",
    }


def test_the_processes_of_its_workers_are_counted() -> None:
    (most,) = (line for line in planned({"shop": {**ALONE, "scale": {"worker": 7}}})["shop"]["properties"] if line.startswith("TasksMax="))
    assert most == f"TasksMax={256 + 2 * 64 * 8}"


# nginx


def test_nginx_has_nothing_of_it_and_loses_what_it_had(tmp_path: Path, nginx: Path, ports: Any) -> None:
    plan = make_plan({"shop": ALONE, "api": {**SHOP, "server_names": ["api.test"]}})
    found = nginx_files(plan, ipv6=False)
    assert "conf.d/api.conf" in found
    assert not any("shop" in content for content in found.values())
    assert {"conf.d/shop.conf", "conf.d/shop.blue.conf", "conf.d/shop.green.conf", "tornado_app/shop.pem"} <= set(
        files.nginx_absent({"apps": cast(Apps, plan), "absent": {}, "host": HOST})
    )
    passed, words = nginx_test(nginx, nginx_tree(tmp_path, found, ports(1)[0]))
    assert passed, words


def test_nginx_of_a_host_with_workers_alone_is_whole(tmp_path: Path, nginx: Path, ports: Any) -> None:
    found = nginx_files(make_plan({"shop": ALONE}), ipv6=False)
    assert set(found) == {"nginx.conf", "conf.d/tornado_app.conf"}
    passed, words = nginx_test(nginx, nginx_tree(tmp_path, found, ports(1)[0]))
    assert passed, words


def test_a_host_is_configured_without_it() -> None:
    """Though its live slot has web processes, of an earlier run."""
    arguments = Handed("nginx_files", run="r-9", plan={"apps": WORKERS, "absent": {}, "host": HOST}, state=state()).arguments
    assert {file["path"] for file in arguments["files"]} == {"nginx.conf", "conf.d/tornado_app.conf"}
    assert "conf.d/shop.blue.conf" in arguments["absent"]
    wanted = look(state(), plan=WORKERS).arguments["things"]
    assert {thing["check"] for thing in wanted if thing["name"].startswith("conf.d/shop.")} == {"absent"}
    assert not [thing for thing in wanted if thing["kind"] == "access_log"]
    assert Handed("nginx_files", run="r-9", upstreams=[WORKERS["shop"]["slots"]["green"]]).calls == []


def test_nginx_is_asked_for_nothing_and_no_request_is_waited_for() -> None:
    slots = [WORKERS["shop"]["slots"]["blue"]]
    assert run_module("probe_nginx", slots=slots)["answers"] == []
    watched = run_module("watch_errors", slots=slots, seconds=3600, max_errors=0)
    assert watched["apps"] == []
    drained = run_module("wait_for_drain", slots=[{**slots[0], "user": "root"}])
    assert drained["apps"][0]["drained"]


# The gate


def test_a_slot_is_well_when_its_workers_stay(supervisor: Supervisor) -> None:
    slot = supervisor.write_slot("alone", [], workers={"worker": "sleep 3600"})
    assert supervisor.group(slot, "started")["changed"]
    found = supervisor.health(slot, timeout=PATIENCE, steady=0.5)
    assert found["healthy"]
    assert [(one["name"], one["port"], one["state"]) for one in found["processes"]] == [("shop-alone:worker.1", 0, "RUNNING")]
    assert supervisor.group(slot, "absent")["changed"]


def test_a_worker_that_ends_at_once_does_not_pass(supervisor: Supervisor) -> None:
    slot = supervisor.write_slot("lost", [], workers={"worker": "sh -c 'echo no queue; exit 3'"})
    supervisor.group(slot, "started")
    found = supervisor.health(slot, timeout=PATIENCE, steady=0.5)
    (lost,) = found["processes"]
    assert (found["healthy"], lost["log"][-1]) == (False, "no queue")


# The fleet's decisions


def decide(states: Mapping[str, tuple[Any, State]], wanted: str, operation: str, *differing: str) -> dict[str, HostChanges]:
    """What a run does, of hosts with these plans and states."""
    releases = {"shop": release(wanted, commands=LINES)}
    fleet = [host(found, releases, ("shop",) if name in differing else (), name, apps) for name, (apps, found) in states.items()]
    return changes.fleet_changes(fleet, operation, RUN)


def test_nothing_changes_where_the_workers_run() -> None:
    assert changes.serves(WORKERS["shop"], working()["apps"]["shop"])
    assert decide({"work-1": (WORKERS, working())}, A, "deploy")["work-1"]["changes"] == []


@pytest.mark.parametrize("state_of_worker", ["FATAL", "EXITED"])
def test_a_slot_whose_worker_is_gone_is_filled_anew(state_of_worker: str) -> None:
    lost = working({"blue": slot(A, True, sequence=1, workers=(worker(state=state_of_worker),))})
    assert len(decide({"work-1": (WORKERS, lost)}, A, "deploy")["work-1"]["starting"]) == 1


def test_web_hosts_and_worker_hosts_switch_and_go_back_together() -> None:
    web = state()
    web["apps"]["shop"]["records"] = RECORDS
    web["apps"]["shop"]["slots"]["blue"] = blue(workers=(worker(),))
    own = decide({"web-1": (PLAN, web), "work-1": (WORKERS, working())}, B, "deploy", "web-1", "work-1")
    assert [own[name]["slots"][0]["ports"] for name in own] == [[9000, 9001], []]
    assert [own[name]["slots"][0]["workers"] for name in own] == [{"worker": 1}] * 2
    assert [(slot["name"], slot["ports"], slot["workers"]) for slot in own["work-1"]["retiring"]] == [("blue", [], {"worker": 1})]


def test_a_rollback_takes_the_workers_that_still_run() -> None:
    switched = working(
        {"green": slot(B, True, sequence=2, workers=(of_green(),))},
        live="green",
        releases={A: ENVIRONMENT, B: ENVIRONMENT},
        history=[entry(B), entry(A)],
    )
    (change,) = decide({"work-1": (WORKERS, switched)}, A, "rollback")["work-1"]["changes"]
    assert (change["slot"]["name"], change["running"]) == ("blue", True)


def test_a_host_that_begins_to_serve_leaves_a_slot_without_ports() -> None:
    """The processes that the plan has are not those of the live slot."""
    found = changes.found_slot(PLAN["shop"], working()["apps"]["shop"], "blue")
    assert (found["ports"], found["addresses"]) == ([], [])


# What is refused


def test_a_host_that_ends_to_serve_is_drained_first() -> None:
    said = "tornado_apps.shop.processes is 0, and web-1 still gets requests for it: run --tags drain --limit web-1 first"
    hosts = {"web-1": {"the_plan": {"apps": WORKERS, "absent": {}, "host": HOST}, "the_state": state()}}
    assert check_refusal(hosts)[0].startswith(said)
    found = state()
    found["host"]["drained"] = "2026-01-02T03:04:05Z"
    assert work.serving_problems(WORKERS, found, "web-1") == []
    assert work.serving_problems(WORKERS, working(), "web-1") == []


@pytest.mark.parametrize(("scale", "lines"), [({}, {"web": "x", "release": "x"}), ({"worker": 0}, LINES), ({}, {})])
def test_a_host_where_nothing_would_start_is_refused(scale: dict[str, int], lines: dict[str, str]) -> None:
    plan = {"apps": planned({"shop": {**ALONE, "scale": scale}}), "absent": {}, "host": HOST}
    built = artifact(B, processes=dict.fromkeys(lines, line()))
    source = {"source": "/project/files/app", "version": "HEAD", "requirements": "requirements.txt", "app": "shop"}
    hosts = {"web-1": {"the_plan": plan, "the_state": working()}}
    found = refusal("releases", hosts, **FLEET, operation="deploy", project="/project", built=[{**built, "item": source}])[0]
    assert found.startswith("tornado_apps.shop.processes is 0 on web-1, and nothing else starts there: its Procfile needs a line")


def test_workers_alone_need_no_command() -> None:
    apps = planned({"shop": {"source": "x", "processes": 0}})
    assert checks.start_problems(apps, {"shop": release(A, commands=LINES)}) == []
    assert checks.source_problems(apps, working(), {"shop": artifact(processes={"worker": line(), "web": line("PORT")})}, "work-1") == []
    assert checks.start_problems(planned({"shop": {"source": "x"}}), {"shop": release(A, commands=LINES)}) != []


def test_a_second_set_of_workers_needs_as_much_memory_as_the_live_one() -> None:
    found = working({"blue": slot(A, True, workers=(worker(),), memory=2 * 10**9)})
    (said,) = memory.second_set_problems(WORKERS, found, ["shop"], "work-1")
    assert said.startswith("tornado_apps.shop.scale: work-1 has 1.0 GB of memory left; a second set of its processes needs 2.0 GB")


# What is told


def test_the_status_counts_workers() -> None:
    idle = {"green": slot(B, True, sequence=2, workers=(of_green(),))}
    found = status.status(["work-1"], {"work-1": WORKERS}, {"work-1": working(idle)}, {})
    own = found["work-1"]["apps"]["shop"]
    assert (own["processes"], own["processes_wanted"], own["workers"], own["workers_wanted"], own["nofile"]) == (0, 0, 1, 1, 65536)
    assert own["idle"]["processes"] == 1
    assert " 0/0 + 1/1 " in status_text.status_text(found)


def test_verification_wants_the_workers_and_no_web_process() -> None:
    plan: Any = {"apps": WORKERS, "absent": {}, "host": HOST}
    assert report.shortfalls(plan, working(), {"apps": []}, {"answers": []}, {"answers": []}) == []
    lost = working({"blue": slot(A, True, sequence=1)})
    assert report.shortfalls(plan, lost, {"apps": []}, {"answers": []}, {"answers": []}) == [
        "web-1: shop-blue has 0 of 1 processes worker running"
    ]


def test_the_logs_of_the_web_processes_go_with_their_slot() -> None:
    found = files.stale_logs(WORKERS, [PLAN["shop"]["slots"]["blue"]], 1000)
    assert found == [f"/var/log/shop/{port}.log{age}" for port in (8000, 8001, 9000, 9001) for age in ("", ".1")]
    assert files.log_files(changes.planned_slot(WORKERS["shop"], "blue", release(A, commands=LINES))) == ["/var/log/shop/blue.worker.1.log"]
