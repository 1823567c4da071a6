"""What a run does with the slots follows from what is on the host."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import plugin
from tests.unit.test_plan import DEFAULTS, HOST, SHOP

slots = plugin("plugin_utils", "slots")
PLAN = plugin("plugin_utils", "plan").plan({"shop": {**SHOP, "processes": 2}}, DEFAULTS, HOST)
SHOP_PLAN = PLAN["shop"]
A, B, C, ENVIRONMENT = "a" * 12, "b" * 12, "c" * 12, "e" * 12
OLD = {"shop": {"release": A, "environment": ENVIRONMENT, "python": "3.11", "commands": {}}}
WANTED = {"shop": {**OLD["shop"], "release": B}}


def process(port: int, state: str = "RUNNING", nofile: int = 65536, uptime: int = 90) -> dict[str, Any]:
    slot = "blue" if port < 9000 else "green"
    return {
        "name": f"shop-{slot}:{port}",
        "port": port,
        "children": 0,
        "state": state,
        "pid": port,
        "nofile": nofile,
        "uid": 998,
        "uptime": uptime,
    }


def slot(
    release: str = "",
    deployed: bool = False,
    processes: tuple[dict[str, Any], ...] = (),
    sequence: int = 0,
    connections: int = 0,
    workers: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    environment = ENVIRONMENT if release else ""
    return {
        "deployed": deployed,
        "release": release,
        "environment": environment,
        "processes": list(processes),
        "workers": list(workers),
        "addresses": [f"127.0.0.1:{process['port']}" for process in processes],
        "connections": connections,
        "sequence": sequence,
    }


def entry(release: str, **given: Any) -> dict[str, Any]:
    """What a history says of a release."""
    moment = {"at": "2026-01-02T03:04:05Z", "by": "ana@build-1", "run": "20260102T030405Z-build-1-4711"}
    return {"release": release, **moment, "version": "", "withdrawn": False, **given}


def facts(live: str = "blue", **given: dict[str, Any]) -> dict[str, Any]:
    """A host where blue is live and runs two processes, unless said otherwise."""
    state = {
        "live": live,
        "releases": {A: ENVIRONMENT},
        "records": {release: {"environment": ENVIRONMENT, "python": "3.11", "commands": {}} for release in (A, B, C)},
        "environments": [ENVIRONMENT],
        "supervisord": {"nofile": 65536},
        "slots": {"blue": blue(), "green": slot(), **given},
        "history": [entry(A)],
        "previous": "",
    }
    return {"host": {"lock": {}, "pythons": {"3.11": "/usr/bin/python3", "3.12": "/usr/bin/python3.12"}}, "apps": {"shop": state}}


def blue(release: str = A, sequence: int = 1) -> dict[str, Any]:
    return slot(release, True, (process(8000), process(8001)), sequence)


def green(release: str = B, sequence: int = 2) -> dict[str, Any]:
    return slot(release, True, (process(9000), process(9001)), sequence)


def unfinished(**given: dict[str, Any]) -> dict[str, Any]:
    """A host on which a run was cut short after the switch: green is live, and blue still runs what was live before."""
    found = facts("green", **{"green": green(), **given})
    found["apps"]["shop"] |= {"releases": {A: ENVIRONMENT, B: ENVIRONMENT}, "history": [entry(B), entry(A)], "previous": A}
    return found


def changes(state: dict[str, Any], releases: dict[str, Any], operation: str, differing: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = slots.changes(PLAN, state, releases, differing, operation)
    return found


def change(*arguments: Any) -> dict[str, Any]:
    """The change of the one app that has one."""
    (found,) = changes(*arguments).values()
    return dict(found)


# What a deploy, a restart and a rollback change


def test_nothing_has_to_be_done_when_the_live_slot_runs_what_is_wanted() -> None:
    assert changes(facts(), OLD, "deploy") == {}
    assert changes(facts(), OLD, "rollback") == {}


def test_the_idle_slot_is_taken_for_what_differs() -> None:
    found = change(facts(), WANTED, "deploy", ("shop",))
    assert (found["live"], found["slot"]["name"], found["before"]) == ("blue", "green", A)
    assert (found["ports"], found["running"]) == ([9000, 9001], False)
    assert found["release"] == WANTED["shop"]


def test_the_first_release_goes_to_blue_and_there_is_nothing_before_it() -> None:
    """A link that another run has left is not what was served."""
    found = change(facts("green", blue=slot(), green=slot(A)), WANTED, "deploy", ("shop",))
    assert (found["live"], found["slot"]["name"], found["before"], found["running"]) == ("green", "blue", "", False)


def test_a_restart_takes_the_idle_slot_though_nothing_differs() -> None:
    found = change(facts(), OLD, "restart")
    assert (found["slot"]["name"], found["running"], found["before"], found["release"]["release"]) == ("green", False, A, A)


def test_a_rollback_takes_a_new_slot_when_the_one_of_before_is_gone() -> None:
    found = change(facts(blue=blue(B, 2)), OLD, "rollback")
    assert (found["live"], found["slot"]["name"], found["running"], found["before"]) == ("blue", "green", False, B)


def test_a_rollback_does_not_ask_what_differs() -> None:
    """Settings may have changed since: they come with the next deploy."""
    assert changes(facts(), OLD, "rollback", ("shop",)) == {}


def test_only_the_apps_that_a_release_is_wanted_of_change() -> None:
    assert changes(facts(), {}, "rollback") == {}


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
def test_a_live_slot_that_does_not_serve_as_planned_is_replaced(live: dict[str, Any]) -> None:
    assert not change(facts(blue=live), OLD, "deploy")["running"]


def test_a_process_that_is_just_starting_is_no_reason_to_deploy() -> None:
    starting = slot(A, True, (process(8000), process(8001, "STARTING")))
    assert changes(facts(blue=starting), OLD, "deploy") == {}


# What a run that was cut short has left


def test_the_slot_that_was_live_before_and_still_runs_is_the_former_one() -> None:
    assert slots.former(unfinished()["apps"]["shop"])


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
def test_any_other_idle_slot_is_not(idle: dict[str, Any]) -> None:
    assert not slots.former(unfinished(blue=idle)["apps"]["shop"])


@pytest.mark.parametrize("operation", ["deploy", "rollback"])
def test_a_switch_that_was_not_finished_is_gone_through_again_without_a_new_slot(operation: str) -> None:
    found = change(unfinished(), WANTED, operation)
    assert (found["live"], found["slot"]["name"], found["running"], found["before"]) == ("blue", "green", True, A)


def test_it_is_gone_through_on_the_ports_that_run() -> None:
    """Not on those that the plan has by now."""
    one = slot(B, True, (process(9000),), 2)
    assert change(unfinished(green=one), WANTED, "rollback")["ports"] == [9000]


def test_a_deploy_of_something_else_takes_the_slot_that_was_not_retired() -> None:
    found = change(unfinished(), {"shop": {**OLD["shop"], "release": C}}, "deploy", ("shop",))
    assert (found["live"], found["slot"]["name"], found["running"], found["before"]) == ("green", "blue", False, B)


def test_a_restart_never_goes_through_an_old_switch() -> None:
    found = change(unfinished(), WANTED, "restart")
    assert (found["live"], found["slot"]["name"], found["running"], found["before"]) == ("green", "blue", False, B)


@pytest.mark.parametrize(("operation", "differing"), [("restart", ()), ("deploy", ("shop",))])
def test_processes_that_an_interrupted_restart_has_left_are_not_taken_for_new_ones(operation: str, differing: tuple[str, ...]) -> None:
    found = change(unfinished(blue=blue(B)), WANTED, operation, differing)
    assert (found["slot"]["name"], found["running"]) == ("blue", False)


def test_a_rollback_takes_the_slot_that_was_not_retired_as_it_is() -> None:
    four = slot(A, True, tuple(process(port) for port in range(8000, 8004)), 1)
    found = change(unfinished(blue=four), OLD, "rollback")
    assert (found["live"], found["slot"]["name"], found["running"], found["before"]) == ("green", "blue", True, B)
    assert found["ports"] == [8000, 8001, 8002, 8003]


@pytest.mark.parametrize("idle", [blue(C), blue(A, 3), slot(A, True, (process(8000),), 3)])
def test_a_rollback_takes_no_slot_of_another_release_or_one_that_was_only_prepared(idle: dict[str, Any]) -> None:
    found = change(unfinished(blue=idle), OLD, "rollback")
    assert (found["slot"]["name"], found["running"], found["ports"]) == ("blue", False, [8000, 8001])


def test_what_was_only_prepared_is_no_switch_to_go_through() -> None:
    assert changes(facts(green=green()), OLD, "deploy") == {}


def fleet(*hosts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"inventory_hostname": f"web-{number}", "__tornado_app_facts": found} for number, found in enumerate(hosts, 1)]


def goes_back(found: dict[str, dict[str, Any]]) -> bool:
    """Whether it is the shop, to blue, on the ports that it runs on."""
    return {name: (slot["slot"]["name"], slot["ports"]) for name, slot in found.items()} == {"shop": ("blue", [8000, 8001])}


def test_a_fleet_of_which_a_part_was_switched_goes_back_when_something_else_is_wanted() -> None:
    switched, waiting = unfinished(), facts()
    for wanted in (OLD, {"shop": {**OLD["shop"], "release": C}}):
        assert goes_back(slots.interrupted(PLAN, switched, wanted, (), "deploy", fleet(switched, waiting)))
        assert slots.interrupted(PLAN, waiting, wanted, (), "deploy", fleet(switched, waiting)) == {}


def test_a_rollback_to_what_the_others_serve_goes_the_way_of_every_switch() -> None:
    switched, waiting = unfinished(), facts()
    assert slots.interrupted(PLAN, switched, OLD, (), "rollback", fleet(switched, waiting)) == {}
    other = {"shop": {**OLD["shop"], "release": C}}
    assert goes_back(slots.interrupted(PLAN, switched, other, (), "rollback", fleet(switched, waiting)))


def test_it_goes_on_when_the_same_is_wanted() -> None:
    switched, waiting = unfinished(), facts()
    assert slots.interrupted(PLAN, switched, WANTED, (), "deploy", fleet(switched, waiting)) == {}


def test_a_fleet_that_was_switched_as_a_whole_does_not_go_back() -> None:
    assert slots.interrupted(PLAN, unfinished(), OLD, (), "deploy", fleet(unfinished(), unfinished())) == {}


def test_a_host_whose_former_slot_was_retired_stays_where_it_is() -> None:
    retired = unfinished(blue=slot(A))
    assert slots.interrupted(PLAN, retired, OLD, (), "deploy", fleet(retired, facts())) == {}


def test_hosts_that_do_not_answer_or_lack_the_app_serve_nothing_else() -> None:
    others = [{"inventory_hostname": "web-8"}, {"inventory_hostname": "web-9", "__tornado_app_facts": {"apps": {}}}]
    assert slots.interrupted(PLAN, unfinished(), OLD, (), "deploy", [*fleet(unfinished()), *others]) == {}


def test_a_setting_that_was_mended_meanwhile_begins_with_all_hosts_on_the_old_release() -> None:
    switched, waiting = unfinished(), facts()
    assert goes_back(slots.interrupted(PLAN, switched, WANTED, ["shop"], "deploy", fleet(switched, waiting)))
    assert slots.interrupted(PLAN, switched, WANTED, ["shop"], "restart", fleet(switched, waiting)) == {}


def test_a_new_host_is_no_reason_to_go_back() -> None:
    assert slots.interrupted(PLAN, unfinished(), OLD, (), "deploy", fleet(unfinished(), facts("green", blue=slot()))) == {}


def test_a_switch_is_finished_when_a_host_has_retired_what_was_live_there_before() -> None:
    retired = unfinished(blue=slot(A))
    assert slots.changes(PLAN, unfinished(), WANTED, (), "deploy", fleet(unfinished(), retired)) == {}
    assert slots.changes(PLAN, unfinished(), WANTED, (), "deploy", fleet(unfinished(), facts()))["shop"]["running"]


# What retires


def test_the_formerly_live_slot_retires_on_the_ports_that_it_had() -> None:
    state = facts("green", blue=slot(A, True, tuple(process(port) for port in range(8000, 8004)), 1))
    (leaving,) = slots.leftovers(PLAN, state, ["shop"]).values()
    assert leaving["slot"]["name"] == "blue"
    assert leaving["ports"] == [8000, 8001, 8002, 8003]


def test_nothing_retires_after_the_first_deploy() -> None:
    assert slots.leftovers(PLAN, facts(), ["shop"]) == {}


def test_what_an_interrupted_run_left_in_the_idle_slot_retires() -> None:
    left = slot(B, True, (process(9000),))
    assert slots.leftovers(PLAN, facts(green=left), ["shop"])["shop"]["slot"]["name"] == "green"
    assert slots.leftovers(PLAN, facts(green=slot("", True)), ["shop"])["shop"]["ports"] == [9000, 9001]


def test_apps_that_the_run_has_nothing_to_do_with_keep_what_they_have() -> None:
    assert slots.leftovers(PLAN, unfinished(), []) == {}


def test_slots_come_with_the_ports_that_they_have() -> None:
    state = facts("green", blue=slot(A, True, (process(8000),), 1), green=slot(B, True, (process(9000), process(9001), process(9002)), 2))
    assert slots.live_slots(PLAN, state)["shop"]["ports"] == [9000, 9001, 9002]
    assert slots.former_slots(changes(state, OLD, "rollback"), state)["shop"]["slot"]["name"] == "green"
    assert slots.all_slots(PLAN)["shop-blue"]["ports"] == [8000, 8001]


def test_a_live_slot_without_processes_can_be_left_out() -> None:
    stopped = facts(blue=slot(A, True))
    assert slots.live_slots(PLAN, stopped)["shop"]["ports"] == [8000, 8001]
    assert slots.live_slots(PLAN, stopped, supervised=True) == {}
    assert list(slots.live_slots(PLAN, facts(), supervised=True)) == ["shop"]


def test_only_what_does_not_run_yet_is_started() -> None:
    assert list(slots.starting(changes(facts(), WANTED, "deploy", ("shop",)))) == ["shop"]
    assert slots.starting(changes(unfinished(), WANTED, "deploy")) == {}


@pytest.mark.parametrize("key", ["record", "config"])
def test_an_app_differs_when_a_file_of_its_live_slot_does(key: str) -> None:
    live = slots.live_slots(PLAN, facts())
    assert slots.differing_apps(live, [SHOP_PLAN["slots"]["blue"][key]]) == ["shop"]
    assert slots.differing_apps(live, [SHOP_PLAN["slots"]["green"][key]]) == []


# Releases and what is built for them


def test_an_environment_follows_from_requirements_and_python_alone() -> None:
    digest = slots.environment_digest
    assert digest("r1", "3.11") == digest("r1", "3.11")
    assert len({digest("r1", "3.11"), digest("r1", "3.13"), digest("r2", "3.11")}) == 3


def test_each_source_of_a_fleet_is_built_once() -> None:
    elsewhere = {"shop": {**SHOP_PLAN, "source": "/srv/sources/shop"}}
    found = slots.sources([PLAN, PLAN, elsewhere], "/project", "/cache")
    assert [(source["path"], source["repository"]) for source in found] == [("/project/files/app", ""), ("/srv/sources/shop", "")]
    results = [{"item": source, "release": f"r{index}"} for index, source in enumerate(found)]
    assert slots.artifacts_of(PLAN, results, "/project")["shop"]["release"] == "r0"
    assert slots.artifacts_of(elsewhere, results, "/project")["shop"]["release"] == "r1"


@pytest.mark.parametrize(
    "source", ["https://git.test/shop.git", "ssh://git@git.test/shop", "git@git.test:shop.git", "git://git.test/x", "file:///srv/shop.git"]
)
def test_what_is_on_another_machine_is_a_repository(source: str) -> None:
    (found,) = slots.sources([{"shop": {**SHOP_PLAN, "source": source}}], "/project", "/cache")
    assert (found["repository"], found["version"], found["path"][:7]) == (source, "HEAD", "/cache/")


def test_a_bare_repository_is_one_and_a_directory_is_when_its_version_is_named(tmp_path: Path) -> None:
    for name in ("HEAD", "objects", "refs"):
        (tmp_path / "bare" / name).mkdir(parents=True)
    assert slots.is_repository(str(tmp_path / "bare"), "")
    assert slots.is_repository(str(tmp_path), "v1")
    assert not slots.is_repository(str(tmp_path), "")


def test_two_versions_of_a_repository_are_two_sources() -> None:
    apps = {name: {**SHOP_PLAN, "source": "https://git.test/shop.git", "version": name} for name in ("v1", "v2")}
    found = slots.sources([apps], "/project", "/cache")
    assert len({source["path"] for source in found}) == 2
    results = [{"item": source, "release": f"of {source['version']}"} for source in found]
    assert {name: built["release"] for name, built in slots.artifacts_of(apps, results, "/project").items()} == {
        "v1": "of v1",
        "v2": "of v2",
    }


def test_an_app_without_requirements_gets_an_empty_environment() -> None:
    wanted = {"shop": {**WANTED["shop"], "environment": "f" * 12}}
    (environment,) = slots.new_environments(PLAN, facts(), wanted, {"shop": {"requirements_digest": "", "dependencies": []}})
    assert (environment["install"], environment["python"]) == ([], "/usr/bin/python3")
    (environment,) = slots.new_environments(PLAN, facts(), wanted, {"shop": {"requirements_digest": "abc", "dependencies": []}})
    assert environment["install"] == ["--requirement=/srv/shop/releases/bbbbbbbbbbbb/requirements.txt"]


def test_without_requirements_the_dependencies_of_the_project_are_installed_with_the_python_that_it_wants() -> None:
    wanted = {"shop": {**WANTED["shop"], "environment": "f" * 12, "python": "3.12"}}
    artifact = {"requirements_digest": "abc", "dependencies": ["tornado>=6.5"]}
    (environment,) = slots.new_environments(PLAN, facts(), wanted, {"shop": artifact})
    assert (environment["install"], environment["python"]) == (["tornado>=6.5"], "/usr/bin/python3.12")


def test_a_release_knows_its_python_and_the_lines_of_its_procfile() -> None:
    artifact = {
        "release": B,
        "requirements_digest": "abc",
        "python": "3.12",
        "processes": {"worker": {"command": "python work.py", "variables": []}},
    }
    wanted = slots.wanted_releases(PLAN, {"shop": artifact}, "3.11")["shop"]
    assert (wanted["release"], wanted["python"], wanted["commands"]) == (B, "3.12", {"worker": "python work.py"})
    assert wanted["environment"] == slots.environment_digest("abc", "3.12")
    setting = {"shop": {**SHOP_PLAN, "python": "3.13"}}
    assert slots.wanted_releases(setting, {"shop": artifact}, "3.11")["shop"]["python"] == "3.13"
    assert slots.wanted_releases(PLAN, {"shop": {**artifact, "python": ""}}, "3.11")["shop"]["python"] == "3.11"


# What a Procfile adds

COMMANDS = {"web": "python app.py", "worker": "python work.py", "release": "python migrate.py"}


def with_workers(*states: str) -> dict[str, Any]:
    """A host whose live release has a Procfile, and workers in these states."""
    workers = [{"name": f"shop-blue:worker.{number}", "state": state} for number, state in enumerate(states, 1)]
    found = facts(blue={**blue(), "workers": workers})
    found["apps"]["shop"]["records"][A] |= {"commands": COMMANDS}
    return found


def test_a_release_that_is_on_the_host_knows_its_procfile_without_its_source() -> None:
    assert slots.live_releases(with_workers())["shop"]["commands"] == COMMANDS
    assert slots.kept_releases(with_workers(), {"shop": A})["shop"]["commands"] == COMMANDS


def test_a_slot_whose_workers_do_not_run_does_not_serve() -> None:
    one, two = PLAN, {"shop": {**SHOP_PLAN, "scale": {"worker": 2}}}
    assert slots.serves(one["shop"], with_workers("RUNNING"))
    assert not slots.serves(one["shop"], with_workers("FATAL"))
    assert not slots.serves(one["shop"], with_workers())
    assert not slots.serves(two["shop"], with_workers("RUNNING"))
    assert slots.serves(two["shop"], with_workers("RUNNING", "STARTING"))


def test_each_line_of_a_procfile_has_as_many_processes_as_it_is_scaled_to() -> None:
    release = {"commands": {**COMMANDS, "clock": "c"}}
    assert slots.workers({"scale": {"worker": 3}}, release) == {"worker": 3, "clock": 1}
    assert slots.workers({"scale": {"worker": 0, "clock": 1}}, release) == {"clock": 1}
    assert slots.workers({"scale": {}}, {"commands": {}}) == {}


def test_a_slot_has_the_workers_that_it_was_started_with_whatever_is_wanted_now() -> None:
    scaled = {"shop": {**SHOP_PLAN, "scale": {"worker": 3}}}
    state = with_workers("RUNNING", "RUNNING")
    assert slots.live_slots(scaled, state)["shop"]["workers"] == {"worker": 2}
    wanted = {"shop": {**OLD["shop"], "commands": COMMANDS}}
    assert slots.wanted_slots(scaled, state, wanted)["shop"]["workers"] == {"worker": 3}
    assert slots.changes(scaled, state, wanted, ["shop"], "deploy")["shop"]["workers"] == {"worker": 3}
    assert slots.all_slots(scaled)["shop-blue"]["workers"] == {}


def test_what_goes_back_is_asked_for_the_workers_that_it_has() -> None:
    former = {**blue(), "workers": [{"name": "shop-blue:worker.1", "state": "RUNNING"}]}
    scaled = {"shop": {**SHOP_PLAN, "scale": {"worker": 3}}}
    (change,) = slots.changes(scaled, unfinished(blue=former), OLD, (), "rollback").values()
    assert (change["running"], change["workers"]) == (True, {"worker": 1})


def deploying(name: str, state: dict[str, Any], release: str = B) -> dict[str, Any]:
    """The variables of a host that gets a release."""
    wanted = {"shop": {**OLD["shop"], "release": release, "commands": COMMANDS}}
    found = slots.changes(PLAN, state, wanted, ["shop"], "deploy")
    return {"inventory_hostname": name, "__tornado_app_facts": state, "__tornado_app_changes": found}


def test_the_release_command_runs_on_the_first_host_of_a_fleet() -> None:
    hosts = [deploying("web-1", facts()), deploying("web-2", facts())]
    assert [slots.releasing(host["__tornado_app_changes"], hosts, host["inventory_hostname"]) for host in hosts] == [["shop"], []]


def test_the_release_command_does_not_run_again_for_a_release_that_is_served() -> None:
    """A setting is changed, or a host comes late."""
    hosts = [deploying("web-1", facts(), A), deploying("web-2", facts(), A)]
    assert [slots.releasing(host["__tornado_app_changes"], hosts, host["inventory_hostname"]) for host in hosts] == [[], []]
    served = {"inventory_hostname": "web-1", "__tornado_app_facts": unfinished(), "__tornado_app_changes": {}}
    late = deploying("web-2", facts("green", blue=slot()))
    assert slots.releasing(late["__tornado_app_changes"], [served, late], "web-2") == []


def test_only_environments_that_are_missing_are_installed() -> None:
    assert slots.new_environments(PLAN, facts(), WANTED, {"shop": {"requirements_digest": "abc", "dependencies": []}}) == []


def test_a_restart_takes_what_is_live_and_a_rollback_what_is_kept() -> None:
    assert slots.live_releases(unfinished()) == WANTED
    assert slots.kept_releases(unfinished(), {"shop": A}) == OLD


def test_a_rollback_of_an_app_that_a_host_does_not_have_is_none_there() -> None:
    assert slots.kept_releases(unfinished(), {"shop": A, "api": C}) == OLD


def test_only_releases_that_are_missing_are_installed() -> None:
    assert slots.new_releases(PLAN, facts(), WANTED) == ["shop"]
    assert slots.new_releases(PLAN, facts(), OLD) == []


# What the hosts tell each other


def test_the_gate_names_the_hosts_that_keep_it_closed() -> None:
    hosts = [
        {"inventory_hostname": "web-1", "__tornado_app_gate": {"healthy": True}},
        {"inventory_hostname": "web-2", "__tornado_app_gate": {"healthy": False, "msg": "refused"}},
        {"inventory_hostname": "web-3", "__tornado_app_gate": {"failed": False, "msg": "the module failed"}},
        {"inventory_hostname": "web-4", "__tornado_app_gate": {"skipped": True, "changed": False}},
        {"inventory_hostname": "web-5"},
    ]
    assert slots.not_ready(hosts, []) == {"web-2": "refused", "web-3": "the module failed"}


def test_a_host_that_failed_on_the_way_to_the_gate_keeps_it_closed() -> None:
    """In the form that tasks/slot.yml gives it."""
    host = {"inventory_hostname": "web-1", "__tornado_app_gate": {"healthy": False, "msg": "Slot | Write what: no space left"}}
    assert slots.not_ready([host], []) == {"web-1": "Slot | Write what: no space left"}


def test_hosts_that_were_lost_are_named() -> None:
    for found in (slots.not_ready([], ["web-3"]), slots.not_answering([], ["web-3"])):
        assert list(found) == ["web-3"]
        assert found["web-3"].startswith("web-3 failed or cannot be reached")


def test_what_a_lost_host_said_goes_before_its_loss() -> None:
    host = {"inventory_hostname": "web-3", "__tornado_app_gate": {"healthy": False, "msg": "refused"}}
    assert slots.not_ready([host], ["web-3"]) == {"web-3": "refused"}


def test_a_host_where_nginx_answers_wrongly_is_named() -> None:
    host = {"inventory_hostname": "web-1", "__tornado_app_switch": {"switched": {"shop": 1.0}}}
    assert slots.not_answering([{**host, "__tornado_app_smoke": {"changed": False}}]) == {}
    assert slots.not_answering([{**host, "__tornado_app_smoke": {"failed": True, "msg": "said"}}]) == {"web-1": "said"}


def test_of_a_host_the_first_thing_that_failed_is_told() -> None:
    host = {"inventory_hostname": "web-1", "__tornado_app_smoke": {"failed": True, "msg": "said"}}
    assert slots.not_answering([{**host, "__tornado_app_switch": {"failed": True, "msg": "read-only"}}]) == {"web-1": "read-only"}


def test_a_switch_that_failed_is_no_success_though_the_old_slot_answers() -> None:
    host = {
        "inventory_hostname": "web-1",
        "__tornado_app_switch": {"failed": True, "msg": "read-only file system"},
        "__tornado_app_smoke": {"failed": False},
    }
    assert slots.not_answering([host]) == {"web-1": "read-only file system"}


def test_a_host_whose_new_slot_makes_errors_is_named_though_it_answers() -> None:
    host = {
        "inventory_hostname": "web-1",
        "__tornado_app_switch": {"switched": {}},
        "__tornado_app_smoke": {"failed": False},
        "__tornado_app_bake": {"failed": True, "msg": "3 of 10 answers"},
    }
    assert slots.not_answering([host]) == {"web-1": "3 of 10 answers"}
    assert slots.not_answering([{**host, "__tornado_app_bake": {"skipped": True}}]) == {}


def test_a_host_whose_new_processes_died_during_the_drain_is_named() -> None:
    host = {"inventory_hostname": "web-1", "__tornado_app_smoke": {"failed": False}}
    assert slots.not_answering([{**host, "__tornado_app_stayed": {"failed": False, "healthy": True}}]) == {}
    assert slots.not_answering([{**host, "__tornado_app_stayed": {"failed": False, "healthy": False, "msg": "gone"}}]) == {"web-1": "gone"}
    assert slots.not_answering([{**host, "__tornado_app_stayed": {"skipped": True}}]) == {}


def test_a_host_that_cannot_be_reached_after_the_switch_did_not_answer() -> None:
    hosts = [
        {"inventory_hostname": "web-1", "__tornado_app_smoke": {"unreachable": True, "msg": "no route"}},
        {"inventory_hostname": "web-2", "__tornado_app_smoke": {"skipped": True}},
    ]
    assert slots.not_answering(hosts) == {"web-1": "no route"}


@pytest.mark.parametrize("register", ["__tornado_app_switch", "__tornado_app_bake"])
def test_a_host_that_could_not_be_reached_for_a_moment_did_not_switch_as_it_should(register: str) -> None:
    """Though it answers again: from its old slot, which would be the one to retire."""
    host = {
        "inventory_hostname": "web-1",
        "__tornado_app_smoke": {"failed": False},
        register: {"unreachable": True, "changed": False, "msg": "no route"},
    }
    assert slots.not_answering([host]) == {"web-1": "no route"}


def test_hosts_that_have_not_had_their_turn_are_no_failures() -> None:
    skipped = {"skipped": True, "changed": False}
    waiting = {"inventory_hostname": "web-2", "__tornado_app_switch": skipped, "__tornado_app_smoke": skipped}
    assert slots.not_answering([{"inventory_hostname": "web-1"}, waiting]) == {}
