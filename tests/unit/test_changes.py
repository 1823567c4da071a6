"""What a run does with the slots follows from what is on the hosts."""

from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Lock, SlotState, State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import changes as core
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import Change, Release
from tests.unit.builders import (
    OLD,
    PLAN,
    SHOP,
    SHOP_PLAN,
    WANTED,
    A,
    B,
    C,
    blue,
    fleet,
    green,
    host,
    planned,
    process,
    release,
    slot,
    state,
    unfinished,
    worker,
)

RUN: Lock = {"run": "r-9", "since": "2026-01-03T00:00:00Z", "user": "ana", "controller": "build-1"}
OTHER = {"shop": release(C)}


def changes(found: State, releases: dict[str, Release], operation: str, differing: tuple[str, ...] = ()) -> list[Change]:
    """What changes on a host that nobody else is with."""
    return core.changes(host(found, releases, differing), [], operation)


def change(*arguments: Any) -> Change:
    """The change of the one app that has one."""
    (found,) = changes(*arguments)
    assert found["app"] == "shop"
    return found


def told(*arguments: Any) -> tuple[str, str, bool, str]:
    """The slot that is left, the one that is to be live, whether that runs already, and what was served before."""
    found = change(*arguments)
    return found["former"]["name"], found["slot"]["name"], found["running"], found["before"]


# What a deploy, a restart and a rollback change


def test_nothing_has_to_be_done_when_the_live_slot_runs_what_is_wanted() -> None:
    assert changes(state(), OLD, "deploy") == []
    assert changes(state(), OLD, "rollback") == []


def test_the_idle_slot_is_taken_for_what_differs() -> None:
    assert told(state(), WANTED, "deploy", ("shop",)) == ("blue", "green", False, A)
    found = change(state(), WANTED, "deploy", ("shop",))
    assert (found["slot"]["ports"], found["release"]) == ([9000, 9001], WANTED["shop"])


def test_the_first_release_goes_to_blue_and_there_is_nothing_before_it() -> None:
    """A link that another run has left is not what was served."""
    assert told(state("green", blue=slot(), green=slot(A)), WANTED, "deploy", ("shop",)) == ("green", "blue", False, "")


def test_a_restart_takes_the_idle_slot_though_nothing_differs() -> None:
    assert told(state(), OLD, "restart") == ("blue", "green", False, A)
    assert change(state(), OLD, "restart")["release"]["release"] == A


def test_a_rollback_takes_a_new_slot_when_the_one_of_before_is_gone() -> None:
    assert told(state(blue=blue(B, 2)), OLD, "rollback") == ("blue", "green", False, B)


def test_a_rollback_does_not_ask_what_differs() -> None:
    """Settings may have changed since: they come with the next deploy."""
    assert changes(state(), OLD, "rollback", ("shop",)) == []


def test_only_the_apps_that_a_release_is_wanted_of_change() -> None:
    assert changes(state(), {}, "rollback") == []


@pytest.mark.parametrize(
    "live",
    [
        slot(),
        slot(A, True),
        slot(A, True, (process(8000),)),
        slot(A, True, (process(8000), process(8001, "FATAL"))),
        slot(A, True, (process(8000), process(8001, nofile=1024))),
    ],
    ids=["never deployed", "no process", "one missing", "one given up", "limit too low"],
)
def test_a_live_slot_that_does_not_serve_as_planned_is_replaced(live: SlotState) -> None:
    assert not change(state(blue=live), OLD, "deploy")["running"]


def test_a_process_that_is_just_starting_is_no_reason_to_deploy() -> None:
    starting = slot(A, True, (process(8000), process(8001, "STARTING")))
    assert changes(state(blue=starting), OLD, "deploy") == []


def test_a_slot_whose_process_has_too_few_children_does_not_serve() -> None:
    app = planned({"shop": {**SHOP, "processes": 2, "listen": "fork"}})["shop"]
    for children, serves in ((2, True), (1, False)):
        one = slot(A, True, ({**process(8000), "children": children},), 1)
        assert core.serves(app, state(blue=one)["apps"]["shop"]) == serves


# What a run that was cut short has left


def test_the_slot_that_was_live_before_and_still_runs_is_the_former_one() -> None:
    assert core.former(unfinished()["apps"]["shop"])


@pytest.mark.parametrize(
    "idle",
    [
        slot(),
        slot(A),
        slot(A, True),
        slot(A, False, (process(8000),), 1),
        slot(A, True, (process(8000), process(8001, "STOPPED")), 1),
        slot(A, True, (process(8000), process(8001, "STARTING")), 1),
        blue(sequence=2),
        blue(sequence=3),
    ],
    ids=["empty", "retired", "stopped", "its files are gone", "half stopped", "half started", "of no known order", "filled later"],
)
def test_any_other_idle_slot_is_not(idle: SlotState) -> None:
    assert not core.former(unfinished(blue=idle)["apps"]["shop"])


@pytest.mark.parametrize("operation", ["deploy", "rollback"])
def test_a_switch_that_was_not_finished_is_gone_through_again_without_a_new_slot(operation: str) -> None:
    assert told(unfinished(), WANTED, operation) == ("blue", "green", True, A)


def test_it_is_gone_through_on_the_ports_that_run() -> None:
    """Not on those that the plan has by now."""
    one = slot(B, True, (process(9000),), 2)
    found = change(unfinished(green=one), WANTED, "rollback")["slot"]
    assert (found["ports"], found["addresses"]) == ([9000], ["127.0.0.1:9000"])


def test_a_deploy_of_something_else_takes_the_slot_that_was_not_retired() -> None:
    assert told(unfinished(), OTHER, "deploy", ("shop",)) == ("green", "blue", False, B)


def test_a_restart_never_goes_through_an_old_switch() -> None:
    assert told(unfinished(), WANTED, "restart") == ("green", "blue", False, B)


@pytest.mark.parametrize(("operation", "differing"), [("restart", ()), ("deploy", ("shop",))])
def test_processes_that_an_interrupted_restart_has_left_are_not_taken_for_new_ones(operation: str, differing: tuple[str, ...]) -> None:
    found = change(unfinished(blue=blue(B)), WANTED, operation, differing)
    assert (found["slot"]["name"], found["running"]) == ("blue", False)


def test_a_rollback_takes_the_slot_that_was_not_retired_as_it_is() -> None:
    four = slot(A, True, tuple(process(port) for port in range(8000, 8004)), 1)
    assert told(unfinished(blue=four), OLD, "rollback") == ("green", "blue", True, B)
    assert change(unfinished(blue=four), OLD, "rollback")["slot"]["ports"] == [8000, 8001, 8002, 8003]


@pytest.mark.parametrize("idle", [blue(C), blue(A, 3), slot(A, True, (process(8000),), 3)])
def test_a_rollback_takes_no_slot_of_another_release_or_one_that_was_only_prepared(idle: SlotState) -> None:
    found = change(unfinished(blue=idle), OLD, "rollback")
    assert (found["slot"]["name"], found["running"], found["slot"]["ports"]) == ("blue", False, [8000, 8001])


def test_what_was_only_prepared_is_no_switch_to_go_through() -> None:
    assert changes(state(green=green()), OLD, "deploy") == []


def test_a_switch_is_finished_when_a_host_has_retired_what_was_live_there_before() -> None:
    def found(*others: State) -> list[Change]:
        return core.changes(host(unfinished(), WANTED), fleet(unfinished(), *others), "deploy")

    assert found(unfinished(blue=slot(A))) == []
    (again,) = found(state())
    assert again["running"]


# A fleet of which a part was switched


def goes_back(
    one: State, wanted: dict[str, Release], operation: str, *others: State, differing: tuple[str, ...] = ()
) -> list[tuple[str, str, list[int]]]:
    """App, slot and ports of what was live on a host, where the fleet goes back to that first."""
    found = core.interrupted(host(one, wanted, differing), fleet(one, *others), operation)
    return [(slot["app"], slot["name"], slot["ports"]) for slot in found]


BACK = [("shop", "blue", [8000, 8001])]


def test_a_fleet_of_which_a_part_was_switched_goes_back_when_something_else_is_wanted() -> None:
    for wanted in (OLD, OTHER):
        assert goes_back(unfinished(), wanted, "deploy", state()) == BACK
        assert goes_back(state(), wanted, "deploy", unfinished()) == []


def test_a_rollback_to_what_the_others_serve_goes_the_way_of_every_switch() -> None:
    assert goes_back(unfinished(), OLD, "rollback", state()) == []
    assert goes_back(unfinished(), OTHER, "rollback", state()) == BACK


def test_it_goes_on_when_the_same_is_wanted() -> None:
    assert goes_back(unfinished(), WANTED, "deploy", state()) == []


def test_a_fleet_that_was_switched_as_a_whole_does_not_go_back() -> None:
    assert goes_back(unfinished(), OLD, "deploy", unfinished()) == []


def test_a_host_whose_former_slot_was_retired_stays_where_it_is() -> None:
    assert goes_back(unfinished(blue=slot(A)), OLD, "deploy", state()) == []


def test_hosts_that_lack_the_app_serve_nothing_else() -> None:
    assert goes_back(unfinished(), OLD, "deploy", {**state(), "apps": {}}) == []


def test_a_setting_that_was_mended_meanwhile_begins_with_all_hosts_on_the_old_release() -> None:
    assert goes_back(unfinished(), WANTED, "deploy", state(), differing=("shop",)) == BACK
    assert goes_back(unfinished(), WANTED, "restart", state(), differing=("shop",)) == []


def test_a_new_host_is_no_reason_to_go_back() -> None:
    assert goes_back(unfinished(), OLD, "deploy", state("green", blue=slot())) == []


# What retires


def leftovers(found: State, *names: str) -> list[tuple[str, list[int]]]:
    return [(slot["name"], slot["ports"]) for slot in core.leftovers(host(found), names)]


def test_the_formerly_live_slot_retires_on_the_ports_that_it_had() -> None:
    four = slot(A, True, tuple(process(port) for port in range(8000, 8004)), 1)
    assert leftovers(state("green", blue=four), "shop") == [("blue", [8000, 8001, 8002, 8003])]


def test_nothing_retires_after_the_first_deploy() -> None:
    assert leftovers(state(), "shop") == []


def test_what_an_interrupted_run_left_in_the_idle_slot_retires() -> None:
    assert leftovers(state(green=slot(B, True, (process(9000),))), "shop") == [("green", [9000])]
    assert leftovers(state(green=slot("", True)), "shop") == [("green", [9000, 9001])]
    assert leftovers(state(green=slot(workers=(worker(),))), "shop") == [("green", [])]


def test_apps_that_the_run_has_nothing_to_do_with_keep_what_they_have() -> None:
    assert leftovers(unfinished()) == []


def test_slots_come_with_the_ports_that_they_have() -> None:
    one, three = slot(A, True, (process(8000),), 1), slot(B, True, tuple(process(port) for port in (9000, 9001, 9002)), 2)
    found = state("green", blue=one, green=three)
    assert [slot["ports"] for slot in core.live_slots(PLAN, found)] == [[9000, 9001, 9002]]
    (former,) = (change["former"] for change in changes(found, OLD, "rollback"))
    assert (former["name"], former["ports"]) == ("green", [9000, 9001, 9002])


def test_a_live_slot_in_which_nothing_is_deployed_is_no_live_slot() -> None:
    assert [slot["ports"] for slot in core.live_slots(PLAN, state(blue=slot(A, True)))] == [[8000, 8001]]
    assert core.live_slots(PLAN, state(blue=slot(A))) == []


# What a Procfile adds

COMMANDS = {"web": "python app.py", "worker": "python work.py", "release": "python migrate.py"}
SCALED = planned({"shop": {**SHOP, "processes": 2, "scale": {"worker": 3}}})


def with_workers(*states: str) -> State:
    """A host whose live release has a Procfile, and workers in these states."""
    found = state(blue=blue(workers=tuple(worker(number, state) for number, state in enumerate(states, 1))))
    found["apps"]["shop"]["records"][A] |= {"commands": COMMANDS}
    return found


def test_a_release_that_is_on_the_host_knows_its_procfile_without_its_source() -> None:
    assert core.record_of(with_workers()["apps"]["shop"], A)["commands"] == COMMANDS


def test_a_slot_whose_workers_do_not_run_does_not_serve() -> None:
    two = planned({"shop": {**SHOP, "processes": 2, "scale": {"worker": 2}}})["shop"]
    assert core.serves(SHOP_PLAN, with_workers("RUNNING")["apps"]["shop"])
    assert not core.serves(SHOP_PLAN, with_workers("FATAL")["apps"]["shop"])
    assert not core.serves(SHOP_PLAN, with_workers()["apps"]["shop"])
    assert not core.serves(two, with_workers("RUNNING")["apps"]["shop"])
    assert core.serves(two, with_workers("RUNNING", "STARTING")["apps"]["shop"])


def test_each_line_of_a_procfile_has_as_many_processes_as_it_is_scaled_to() -> None:
    found = {"commands": {**COMMANDS, "clock": "c"}}
    assert core.workers({**SHOP_PLAN, "scale": {"worker": 3}}, found) == {"worker": 3, "clock": 1}
    assert core.workers({**SHOP_PLAN, "scale": {"worker": 0, "clock": 1}}, found) == {"clock": 1}
    assert core.workers(SHOP_PLAN, {"commands": {}}) == {}


def test_a_slot_has_the_workers_that_it_was_started_with_whatever_is_wanted_now() -> None:
    found = with_workers("RUNNING", "RUNNING")
    assert [slot["workers"] for slot in core.live_slots(SCALED, found)] == [{"worker": 2}]
    wanted = release(A, commands=COMMANDS)
    assert core.planned_slot(SCALED["shop"], "blue", wanted)["workers"] == {"worker": 3}
    (change,) = core.changes(host(found, {"shop": wanted}, ("shop",), apps=SCALED), [], "deploy")
    assert (change["slot"]["workers"], change["former"]["workers"]) == ({"worker": 3}, {"worker": 2})


def test_what_goes_back_is_asked_for_the_workers_that_it_has() -> None:
    found = unfinished(blue=blue(workers=(worker(),)))
    (change,) = core.changes(host(found, OLD, apps=SCALED), [], "rollback")
    assert (change["running"], change["slot"]["workers"]) == (True, {"worker": 1})


# What each host does


def decided(*states: State, wanted: str = B, operation: str = "deploy", plan: Any = PLAN, differing: tuple[str, ...] = ("shop",)) -> Any:
    """What a run does to web-1, web-2 and so on, which get a release with a Procfile."""
    releases = {"shop": release(wanted, commands=COMMANDS)}
    hosts = [host(found, releases, differing, name=f"web-{number}", apps=plan) for number, found in enumerate(states, 1)]
    return core.fleet_changes(hosts, operation, RUN)


def test_the_release_command_runs_on_the_first_host_of_a_fleet() -> None:
    assert [own["releasing"] for own in decided(state(), state()).values()] == [["shop"], []]
    assert [own["releasing"] for own in decided(state(), state(), operation="rollback").values()] == [[], []]


def test_the_release_command_does_not_run_again_for_a_release_that_is_served() -> None:
    """A setting is changed, or a host comes late."""
    assert [own["releasing"] for own in decided(state(), state(), wanted=A).values()] == [[], []]
    assert [own["releasing"] for own in decided(unfinished(), state("green", blue=slot())).values()] == [[], []]


def test_only_what_does_not_run_yet_is_started() -> None:
    own = decided(state())["web-1"]
    assert [slot["name"] for slot in own["starting"]] == [slot["name"] for slot in own["slots"]] == ["green"]
    again = decided(unfinished(), differing=())["web-1"]
    assert again["changes"]
    assert (again["starting"], [slot["name"] for slot in again["slots"]]) == ([], ["green"])


def test_what_is_left_retires_once_the_new_slots_are_live_and_what_a_new_slot_meets_goes_before() -> None:
    own = decided(unfinished(), wanted=C)["web-1"]
    assert [slot["name"] for slot in own["left"]] == ["blue"]
    assert [slot["name"] for slot in own["retiring"]] == [slot["name"] for slot in own["former"]] == ["green"]
    first = decided(state("green", blue=slot()))["web-1"]
    assert (first["left"], first["retiring"], [slot["name"] for slot in first["former"]]) == ([], [], ["green"])


def test_apps_that_stay_lose_what_an_interrupted_run_has_left() -> None:
    own = decided(state(green=green(sequence=3)), wanted=A, differing=())["web-1"]
    assert (own["changes"], [slot["name"] for slot in own["retiring"]]) == ([], ["green"])


def test_only_histories_that_are_new_are_written() -> None:
    """Of a switch that is gone through again all is written already."""
    (new,) = decided(state())["web-1"]["changes"]
    assert new["history"]["sequence"] == 2
    (again,) = decided(unfinished(), differing=())["web-1"]["changes"]
    assert (again["running"], again["history"]) == (True, None)


def test_what_runs_goes_on_where_it_listens_until_it_is_replaced() -> None:
    """Slots that an earlier version has filled have their sockets somewhere else."""
    apps = planned({"shop": {**SHOP, "processes": 2, "listen": "sockets", "command": "{python} app.py {socket}"}})
    found = state()
    old = [f"unix:/run/shop/sockets/{port}.sock" for port in (8000, 8001)]
    found["apps"]["shop"]["slots"]["blue"]["addresses"] = old
    own = decided(found, plan=apps)["web-1"]
    assert [slot["addresses"] for slot in (*own["former"], *own["retiring"], *core.live_slots(apps, found))] == [old] * 3
    assert [slot["addresses"] for slot in own["starting"]] == [[f"unix:/run/tornado_app/sockets/shop/{port}.sock" for port in (9000, 9001)]]
