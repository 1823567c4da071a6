"""What a run does with the slots follows from what is on the host."""

from typing import Any

import pytest

from tests.unit.loading import load
from tests.unit.test_plan import DEFAULTS, HOST, SHOP

slots = load("filter_plugins/slots.py")
PLAN = load("filter_plugins/plan.py").plan({"shop": {**SHOP, "processes": 2}}, DEFAULTS, HOST)
SHOP_PLAN = PLAN["shop"]
WANTED = {"shop": {"release": "bbbbbbbbbbbb", "environment": "eeeeeeeeeeee"}}


def process(port: int, state: str = "RUNNING", nofile: int = 65536, uptime: int = 90) -> dict[str, Any]:
    slot = "blue" if port < 9000 else "green"
    return {"name": f"shop-{slot}:{port}", "port": port, "state": state, "pid": port, "nofile": nofile, "uid": 998, "uptime": uptime}


def slot(release: str = "", deployed: bool = False, processes: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"deployed": deployed, "release": release, "environment": "eeeeeeeeeeee", "processes": list(processes)}


def facts(live: str = "blue", **given: dict[str, Any]) -> dict[str, Any]:
    """A host where blue is live and runs two processes, unless said otherwise."""
    running = slot("aaaaaaaaaaaa", True, (process(8000), process(8001)))
    both = {"blue": running, "green": slot(), **given}
    return {"apps": {"shop": {"live": live, "releases": ["aaaaaaaaaaaa"], "supervisord": {"nofile": 65536}, "slots": both}}}


def test_nothing_has_to_be_done_when_the_live_slot_runs_what_is_wanted() -> None:
    assert slots.changes(PLAN, facts(), WANTED, [], False) == {}


def test_the_idle_slot_is_taken_for_what_differs() -> None:
    (change,) = slots.changes(PLAN, facts(), WANTED, ["shop"], False).values()
    assert (change["live"], change["slot"]["name"], change["before"]) == ("blue", "green", "aaaaaaaaaaaa")
    assert change["release"] == WANTED["shop"]


def test_a_restart_takes_the_idle_slot_though_nothing_differs() -> None:
    assert slots.changes(PLAN, facts(), WANTED, [], True)["shop"]["slot"]["name"] == "green"


@pytest.mark.parametrize(
    "blue",
    [
        slot(),
        slot("aaaaaaaaaaaa", True),
        slot("aaaaaaaaaaaa", True, (process(8000),)),
        slot("aaaaaaaaaaaa", True, (process(8000), process(8001, "FATAL"))),
        slot("aaaaaaaaaaaa", True, (process(8000), process(8001, nofile=1024))),
    ],
    ids=["never deployed", "no process", "one missing", "one given up", "limit too low"],
)
def test_a_live_slot_that_does_not_serve_as_planned_is_replaced(blue: dict[str, Any]) -> None:
    assert "shop" in slots.changes(PLAN, facts(blue=blue), WANTED, [], False)


def test_a_process_that_is_just_starting_is_no_reason_to_deploy() -> None:
    starting = slot("aaaaaaaaaaaa", True, (process(8000), process(8001, "STARTING")))
    assert slots.changes(PLAN, facts(blue=starting), WANTED, [], False) == {}


def test_the_formerly_live_slot_retires_on_the_ports_that_it_had() -> None:
    four = slot("aaaaaaaaaaaa", True, tuple(process(port) for port in range(8000, 8004)))
    (leaving,) = slots.retiring(PLAN, facts(blue=four), ["shop"]).values()
    assert leaving["slot"]["name"] == "blue"
    assert leaving["ports"] == [8000, 8001, 8002, 8003]


def test_what_an_interrupted_run_left_in_the_idle_slot_retires_though_nothing_changed() -> None:
    left = slot("bbbbbbbbbbbb", True, (process(9000),))
    assert slots.retiring(PLAN, facts(green=left), [])["shop"]["slot"]["name"] == "green"
    assert slots.retiring(PLAN, facts(), []) == {}


def test_a_run_cut_short_after_the_switch_retires_the_other_slot() -> None:
    green = slot("bbbbbbbbbbbb", True, (process(9000), process(9001)))
    cut_short = facts("green", green=green)
    assert slots.changes(PLAN, cut_short, WANTED, [], False) == {}
    assert slots.retiring(PLAN, cut_short, [])["shop"]["slot"]["name"] == "blue"


def test_a_record_has_the_release_and_the_apps_environment_goes_before_the_roles() -> None:
    app = {**SHOP_PLAN, "environment": {"LANG": "de_DE.UTF-8", "GREETING": "hello"}}
    record = slots.slot_record(app, "green", WANTED["shop"])
    assert record["python"] == "/srv/shop/environments/eeeeeeeeeeee/bin/python"
    assert record["environment"]["LANG"] == "de_DE.UTF-8"
    assert record["environment"]["GREETING"] == "hello"
    assert record["environment"]["TORNADO_APP_RELEASE"] == "bbbbbbbbbbbb"
    assert record["environment"]["TORNADO_APP_SLOT"] == "green"


def test_an_environment_follows_from_requirements_and_python_alone() -> None:
    digest = slots.environment_digest
    assert digest("r1", "3.11") == digest("r1", "3.11")
    assert len({digest("r1", "3.11"), digest("r1", "3.13"), digest("r2", "3.11")}) == 3


def test_each_source_of_a_fleet_is_built_once() -> None:
    elsewhere = {"shop": {**SHOP_PLAN, "source": "/srv/sources/shop"}}
    found = slots.sources([PLAN, PLAN, elsewhere], "/project")
    assert [source["source"] for source in found] == ["/project/files/app", "/srv/sources/shop"]
    results = [{"item": source, "release": f"r{index}"} for index, source in enumerate(found)]
    assert slots.artifacts_of(PLAN, results, "/project")["shop"]["release"] == "r0"
    assert slots.artifacts_of(elsewhere, results, "/project")["shop"]["release"] == "r1"


def test_an_app_without_requirements_gets_an_empty_environment() -> None:
    (environment,) = slots.environments(PLAN, WANTED, {"shop": {"requirements_digest": ""}})
    assert environment["requirements"] == ""
    (environment,) = slots.environments(PLAN, WANTED, {"shop": {"requirements_digest": "abc"}})
    assert environment["requirements"] == "/srv/shop/releases/bbbbbbbbbbbb/requirements.txt"


def test_only_releases_that_are_missing_are_installed() -> None:
    assert slots.new_releases(PLAN, facts(), WANTED) == ["shop"]
    assert slots.new_releases(PLAN, facts(), {"shop": {"release": "aaaaaaaaaaaa"}}) == []


def test_the_gate_names_the_hosts_that_keep_it_closed() -> None:
    hosts = [
        {"inventory_hostname": "web-1", "__tornado_app_gate": {"results": [{"healthy": True}]}},
        {"inventory_hostname": "web-2", "__tornado_app_gate": {"results": [{"healthy": False, "msg": "refused"}]}},
        {"inventory_hostname": "web-3", "__tornado_app_gate": {"results": [{"msg": "the module failed"}]}},
        {"inventory_hostname": "web-4", "__tornado_app_gate": {"results": []}},
        {"inventory_hostname": "web-5"},
    ]
    assert slots.unhealthy(hosts) == {"web-2": "refused", "web-3": "the module failed"}


@pytest.mark.parametrize(("status", "passes"), [(200, True), (302, True), (399, True), (404, False), (500, False), (-1, False)])
def test_the_smoke_check_takes_success_for_success(status: int, passes: bool) -> None:
    host = {"inventory_hostname": "web-1", "__tornado_app_smoke": {"results": [{"status": status, "msg": "said"}]}}
    assert slots.unanswered([host]) == ({} if passes else {"web-1": "said"})


def test_a_switch_that_failed_is_no_success_though_the_old_slot_answers() -> None:
    host = {
        "inventory_hostname": "web-1",
        "__tornado_app_switch": {"results": [{"failed": True, "msg": "read-only file system"}]},
        "__tornado_app_smoke": {"results": [{"status": 200}]},
    }
    assert slots.unanswered([host]) == {"web-1": "read-only file system"}


def test_a_host_that_cannot_be_reached_after_the_switch_did_not_answer() -> None:
    hosts = [
        {"inventory_hostname": "web-1", "__tornado_app_smoke": {"unreachable": True, "msg": "no route"}},
        {"inventory_hostname": "web-2", "__tornado_app_smoke": {"results": [{"skipped": True}]}},
    ]
    assert slots.unanswered(hosts) == {"web-1": "no route"}


def test_the_status_has_a_row_for_each_app() -> None:
    half = slot("aaaaaaaaaaaa", True, (process(8000, uptime=7200, nofile=4096), process(8001, "BACKOFF")))
    host = {"inventory_hostname": "web-1", "__tornado_app_plan": PLAN, "__tornado_app_facts": facts(blue=half)}
    bare = {"inventory_hostname": "web-22", "__tornado_app_plan": PLAN, "__tornado_app_facts": facts(blue=slot())}
    down = {"inventory_hostname": "web-3"}
    assert slots.status_table(slots.status_rows(host) + slots.status_rows(bare) + slots.status_rows(down)).splitlines() == [
        "host    app          live  release       processes  nofile  uptime",
        "web-1   shop         blue  aaaaaaaaaaaa  1/2        4096    2h",
        "web-22  shop         -     -             0/2        -       -",
        "web-3   (no answer)  -     -             -          -       -",
    ]


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (90000, "1d")])
def test_durations_are_short(seconds: int, shown: str) -> None:
    assert slots.duration(seconds) == shown
