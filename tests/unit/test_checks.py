"""What stands against a run, and what is short after it: each finding names host, setting and figure."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.loading import plugin
from tests.unit.test_plan import DEFAULTS, SHOP
from tests.unit.test_plan import HOST as PLAN_HOST
from tests.unit.test_slots import PLAN, facts, slot

checks = plugin("plugin_utils", "checks")
make_plan = plugin("plugin_utils", "plan").plan
HOST = {"name": "web-1", "distribution": "Debian", "distribution_version": "12.7", "nofile": 65536, "sysctl": True}
SYSTEM = {
    "python": "3.11",
    "nginx_version": "1.22.1",
    "port_80": "nginx (pid 812)",
    "nofile_ceiling": 1048576,
    "nofile_raisable": True,
    "free_bytes": 10**9,
    "nginx": [{"pid": 813, "nofile": 65536, "uid": 33}],
}


def state(system: dict[str, Any] | None = None, app: dict[str, Any] | None = None) -> dict[str, Any]:
    """The facts of a host where all is well, but for what is given."""
    found = copy.deepcopy(facts())
    found["host"] = {**SYSTEM, **(system or {})}
    found["apps"]["shop"] |= {
        "foreign_user": False,
        "foreign_paths": [],
        "foreign_unit": "",
        "foreign_ports": {},
        "supervisord": {"pid": 7, "nofile": 65536, "uid": 998},
        "static_file": "app.css",
        **(app or {}),
    }
    return found


def test_a_host_where_all_is_well_has_no_problem() -> None:
    assert checks.host_problems(PLAN, state(), HOST) == []
    assert checks.host_problems(PLAN, state({"nginx_version": "", "port_80": ""}, {"supervisord": None}), HOST) == []


@pytest.mark.parametrize(
    ("system", "app", "host", "said"),
    [
        ({}, {}, {"distribution": "Fedora"}, "Fedora 12.7 is not supported; supported are Debian 11 or newer, Ubuntu 22.04 or newer"),
        ({}, {}, {"distribution_version": "10.13"}, "Debian 10.13 is not supported"),
        ({}, {}, {"distribution": "Ubuntu", "distribution_version": "20.04"}, "Ubuntu 20.04 is not supported"),
        ({"python": "3.8"}, {}, {}, "/usr/bin/python3 is 3.8; 3.9 or newer is needed"),
        ({"python": ""}, {}, {}, "/usr/bin/python3 is missing"),
        ({"nginx_version": "1.14.2"}, {}, {}, "nginx 1.14.2 is too old; 1.18.0 or newer is needed"),
        ({"port_80": "apache2 (pid 9)"}, {}, {}, "port 80, which nginx needs, is held by apache2 (pid 9)"),
        ({"nofile_ceiling": 4096, "nofile_raisable": False}, {}, {}, "tornado_app_nofile 65536 is above 4096"),
        ({"nofile_ceiling": 4096}, {}, {"sysctl": False}, "set tornado_app_sysctl: true"),
        ({}, {"foreign_user": True}, {}, "tornado_apps.shop: there is a user shop already"),
        ({}, {"foreign_paths": ["/etc/ssl"]}, {}, "tornado_apps.shop: /etc/ssl is there already and is not the role's"),
        ({}, {"foreign_unit": "/lib/systemd/system/shop.service"}, {}, "tornado_apps.shop: the distribution has a unit of that name"),
        ({}, {"foreign_ports": {"9001": "redis (pid 5)"}}, {}, "tornado_apps.shop.port 8000: port 9001 is held by redis (pid 5)"),
        (
            {"nofile_raisable": False},
            {"supervisord": {"pid": 7, "nofile": 1024, "uid": 998}},
            {},
            "tornado_app_nofile 65536: shop's supervisord runs with 1024",
        ),
    ],
)
def test_what_stands_against_a_run_is_named(system: dict[str, Any], app: dict[str, Any], host: dict[str, Any], said: str) -> None:
    (found,) = checks.host_problems(PLAN, state(system, app), {**HOST, **host})
    assert found.startswith(f"web-1: {said}") or said in found


def test_a_ceiling_that_can_be_raised_is_no_problem() -> None:
    assert checks.host_problems(PLAN, state({"nofile_ceiling": 4096}), HOST) == []


@pytest.mark.parametrize(
    ("distribution", "release"), [("Debian", "11"), ("Debian", "13"), ("Ubuntu", "22.04"), ("Ubuntu", "22.10"), ("Ubuntu", "24.04")]
)
def test_supported_systems_are_supported(distribution: str, release: str) -> None:
    assert checks.host_problems(PLAN, state(), {**HOST, "distribution": distribution, "distribution_version": release}) == []


def test_a_release_without_room_is_refused_before_it_is_copied() -> None:
    artifacts = {"shop": {"release": "cccccccccccc", "size": 600_000_000}}
    (found,) = checks.room_problems(PLAN, state(), artifacts, "web-1")
    assert found.startswith("web-1: /srv has 1000 MB free, releases of shop need 1300 MB")
    assert checks.room_problems(PLAN, state({"free_bytes": 1_300_000_000}), artifacts, "web-1") == []
    assert checks.room_problems(PLAN, state({"free_bytes": 0}), {"shop": {**artifacts["shop"], "release": "aaaaaaaaaaaa"}}, "web-1") == []


def test_a_source_that_cannot_be_built_is_named_with_its_setting() -> None:
    results = [{"item": {"app": "shop"}, "msg": "source /x is not there"}, {"item": {"app": "api"}, "release": "aaaaaaaaaaaa"}]
    assert checks.build_problems(results) == ["tornado_apps.shop.source: source /x is not there"]


def line(*variables: str, mentions: tuple[str, ...] = (), problem: str = "") -> dict[str, Any]:
    """What is told of a line of a Procfile."""
    return {"command": "x", "problem": problem, "variables": list(variables), "mentions": [*variables, *mentions]}


ARTIFACT: dict[str, Any] = {"processes": {"worker": line("QUEUE")}, "python": ""}


def source_problems(artifact: dict[str, Any] | None = None, **settings: Any) -> list[str]:
    """What stands against the shop with these settings, of a source that says this."""
    plan = make_plan({"shop": {**SHOP, "environment": {"QUEUE": "q"}, **settings}}, DEFAULTS, PLAN_HOST)
    system = {"host": {"pythons": {"3.11": "/usr/bin/python3", "3.12": "/usr/bin/python3.12"}}}
    found: list[str] = checks.source_problems(plan, system, {"shop": {**ARTIFACT, **(artifact or {})}}, "web-1")
    return found


def test_a_source_that_fits_its_settings_and_the_host() -> None:
    assert source_problems() == []
    assert source_problems(scale={"worker": 0}, python="3.12") == []
    assert source_problems({"processes": {"web": line("PORT", "HOME", "PWD")}}, command=None) == []


@pytest.mark.parametrize(
    ("artifact", "settings", "said"),
    [
        ({}, {"command": None}, "tornado_apps.shop has neither command nor wsgi, and its source has no Procfile with a line for web"),
        ({}, {"scale": {"clock": 1}}, "tornado_apps.shop.scale.clock: the Procfile of its source has no such line; it has worker"),
        (
            {"processes": {}},
            {"scale": {"clock": 1}},
            "tornado_apps.shop.scale.clock: the Procfile of its source has no such line; it has none",
        ),
        (
            {},
            {"environment": {}, "secrets": {"QUEUE": "q"}},
            "tornado_apps.shop: the line worker of its Procfile names $QUEUE, which is a s",
        ),
        ({"processes": {"worker": line(mentions=("COOKIE_SECRET",))}}, {}, "tornado_apps.shop: the line worker of its Procfile names $COO"),
        ({"processes": {"worker": line(problem="bad")}}, {}, "tornado_apps.shop: the line worker of its Procfile cannot be started: bad"),
        ({}, {"environment": {}}, "tornado_apps.shop: the line worker of its Procfile names $QUEUE, which is not set"),
        (
            {"processes": {"worker": line("PORT")}},
            {},
            "tornado_apps.shop: the line worker of its Procfile names $PORT, which is not set",
        ),
        ({}, {"python": "3.9"}, "web-1: tornado_apps.shop.python is 3.9, which the host does not have; it has 3.11, 3.12"),
        ({"python": "3.9"}, {}, "web-1: tornado_apps.shop: its runtime.txt asks for 3.9, which the host does not have; it has 3.11, 3.12"),
    ],
)
def test_what_of_a_source_fits_neither_settings_nor_host(artifact: dict[str, Any], settings: dict[str, Any], said: str) -> None:
    (found,) = source_problems(artifact, **settings)
    assert found.startswith(said)


def test_the_web_line_does_not_matter_beside_a_command() -> None:
    assert source_problems({"processes": {"web": line("NO", problem="bad"), "worker": line("QUEUE")}}) == []


def test_a_line_that_is_scaled_to_nothing_does_not_matter() -> None:
    assert source_problems({"processes": {"worker": line("NO", problem="bad")}}, scale={"worker": 0}) == []


def test_the_variables_that_every_process_has_are_known() -> None:
    release = {"release": "r", "environment": "e", "commands": {}}
    record = plugin("plugin_utils", "arguments").slot_record(PLAN["shop"], PLAN["shop"]["slots"]["blue"], release)
    assert set(record["environment"]) == checks.VARIABLES


def test_a_release_command_that_fails_is_told_on_all_hosts_with_what_it_said() -> None:
    bad = {"item": "shop", "rc": 3, "stdout": "\n".join(f"line {number}" for number in range(40)), "stderr": "no database"}
    hosts = [
        {"inventory_hostname": "web-1", "__tornado_app_released": {"results": [{"item": "api", "rc": 0}, {"skipped": True}, bad]}},
        {"inventory_hostname": "web-2", "__tornado_app_released": {"results": []}},
        {"inventory_hostname": "web-3"},
    ]
    (found,) = checks.release_problems(hosts)
    assert found.startswith("tornado_apps.shop: the line release of its Procfile, on web-1, ended with 3: line 21\nline 22\n")
    assert found.endswith("\nline 39\nno database")
    assert checks.release_problems(hosts[1:]) == []


def test_a_release_that_nothing_says_how_to_start() -> None:
    plan = make_plan({"shop": {**SHOP, "command": None}}, DEFAULTS, PLAN_HOST)
    assert checks.start_problems(plan, {"shop": {"release": "aaa", "commands": {"web": "x"}}}) == []
    assert checks.start_problems(PLAN, {"shop": {"release": "aaa", "commands": {}}}) == []
    (found,) = checks.start_problems(plan, {"shop": {"release": "aaa", "commands": {"worker": "x"}}})
    assert found.startswith("tornado_apps.shop has neither command nor wsgi, and release aaa has no Procfile with a line for web")


def test_workers_that_are_short_are_told() -> None:
    found = state()
    found["apps"]["shop"]["records"]["a" * 12]["commands"] = {"worker": "x", "web": "y", "release": "z"}
    shortfalls = checks.shortfalls(PLAN, found, {"apps": []}, {"answers": []}, "web-1")
    assert shortfalls == ["web-1: shop-blue has 0 of 1 processes worker running"]
    worker = {"name": "shop-blue:worker.1", "state": "RUNNING", "pid": 5, "nofile": 1024, "uid": 998}
    found["apps"]["shop"]["slots"]["blue"]["workers"] = [worker]
    shortfalls = checks.shortfalls(PLAN, found, {"apps": []}, {"answers": []}, "web-1")
    assert shortfalls == ["web-1: shop-blue:worker.1 (pid 5) may open 1024 files instead of 65536"]


def test_a_repository_that_cannot_be_fetched_is_named_with_its_version() -> None:
    item = {"app": "shop", "repository": "https://git.test/shop.git", "version": "v9"}
    results = [{"item": item, "msg": "Failed to checkout v9", "stderr": "unknown revision"}, {"item": item, "after": "0f9c2d6"}]
    assert checks.fetch_problems(results) == [
        "tornado_apps.shop.source https://git.test/shop.git, version v9: Failed to checkout v9 unknown revision"
    ]


LINUX = {
    "net.core.somaxconn": "128",
    "net.ipv4.ip_local_port_range": "32768 60999",
    "net.ipv4.ip_local_reserved_ports": "",
    "fs.file-max": "100000",
    "fs.nr_open": "1048576",
}


def test_what_is_lower_is_raised_and_what_is_higher_is_left_alone() -> None:
    assert checks.sysctls(LINUX, 65536, PLAN) == {
        "net.core.somaxconn": "4096",
        "fs.file-max": "262144",
        "net.ipv4.ip_local_port_range": "10240 65535",
    }


@given(st.fixed_dictionaries({key: st.integers(1, 2**40).map(str) for key in ("net.core.somaxconn", "fs.file-max", "fs.nr_open")}))
def test_nothing_is_ever_lowered_and_a_second_run_writes_the_same(current: dict[str, str]) -> None:
    written = checks.sysctls(current, 65536, PLAN)
    assert all(int(value) >= int(current[key]) for key, value in written.items())
    assert checks.sysctls({**current, **written}, 65536, PLAN) == written


def test_a_wider_port_range_is_left_alone_and_its_ports_are_reserved() -> None:
    wide = {**LINUX, "net.ipv4.ip_local_port_range": "1024 65535", "net.ipv4.ip_local_reserved_ports": "7000,8001-8005"}
    written = checks.sysctls(wide, 65536, PLAN)
    assert "net.ipv4.ip_local_port_range" not in written
    assert written["net.ipv4.ip_local_reserved_ports"] == "7000,8000-8005,9000-9001"
    assert checks.sysctls({**wide, **written}, 65536, PLAN)["net.ipv4.ip_local_reserved_ports"] == "7000,8000-8005,9000-9001"


@given(st.sets(st.integers(1, 65535), min_size=1))
def test_port_numbers_survive_the_kernels_notation(ports: set[int]) -> None:
    assert checks.numbers(checks.ranges(ports)) == ports


STATIC = {"static_file": "app.css"}
HEALTH, VERSIONED, PLAIN = "/", "/static/app.css?v=1", "/static/app.css"


def answer(path: str, header: str = "", error: str = "") -> dict[str, Any]:
    return {"app": "shop", "path": path, "cache_control": header, "error": error}


HEALTHY: dict[str, Any] = {"apps": []}
ANSWERED: dict[str, Any] = {"answers": []}
GOOD_ANSWERS = [answer(HEALTH), answer(VERSIONED, "max-age=315360000"), answer(PLAIN, "no-cache")]


def test_a_host_that_delivers_has_no_shortfall() -> None:
    assert (
        checks.shortfalls(PLAN, state(app=STATIC), {"apps": [{"processes": [{"healthy": True}]}]}, {"answers": GOOD_ANSWERS}, "web-1") == []
    )


@pytest.mark.parametrize(
    ("system", "app", "said"),
    [
        ({"nginx": []}, {}, "nginx has no worker running"),
        ({"nginx": [{"pid": 813, "nofile": 1024, "uid": 33}]}, {}, "nginx worker 813 may open 1024 files instead of 65536"),
        ({"nginx": [{"pid": 813, "nofile": 65536, "uid": 0}]}, {}, "nginx worker 813 runs as root"),
        ({}, {"supervisord": None}, "shop's supervisord does not answer"),
        (
            {},
            {"supervisord": {"pid": 7, "nofile": 1024, "uid": 998}},
            "shop's supervisord (pid 7) may open 1024 files instead of 65536",
        ),
        ({}, {"supervisord": {"pid": 7, "nofile": 65536, "uid": 0}}, "shop's supervisord (pid 7) runs as root"),
    ],
)
def test_what_is_short_is_named_with_its_figure(system: dict[str, Any], app: dict[str, Any], said: str) -> None:
    (found,) = checks.shortfalls(PLAN, state(system, app), HEALTHY, ANSWERED, "web-1")
    assert found.startswith(f"web-1: {said}")


def test_missing_processes_and_low_limits_are_named() -> None:
    short = state()
    short["apps"]["shop"]["slots"]["blue"]["processes"][1]["state"] = "FATAL"
    assert checks.shortfalls(PLAN, short, HEALTHY, ANSWERED, "web-1") == ["web-1: shop-blue has 1 of 2 processes running"]
    low = state()
    low["apps"]["shop"]["slots"]["blue"]["processes"][1] |= {"nofile": 1024, "uid": 0}
    assert checks.shortfalls(PLAN, low, HEALTHY, ANSWERED, "web-1") == [
        "web-1: shop-blue:8001 (pid 8001) may open 1024 files instead of 65536",
        "web-1: shop-blue:8001 (pid 8001) runs as root",
    ]


def test_an_app_without_release_is_named() -> None:
    bare = state()
    bare["apps"]["shop"]["slots"]["blue"] = slot()
    assert checks.shortfalls(PLAN, bare, HEALTHY, ANSWERED, "web-1") == ["web-1: shop has no release yet; run --tags deploy"]
    assert checks.probes(PLAN, bare) == []


def test_a_check_that_broke_is_no_success() -> None:
    assert checks.shortfalls(PLAN, state(), {"module_stderr": "no memory"}, {"msg": "MODULE FAILURE"}, "web-1") == [
        "web-1: cannot be verified: no memory",
        "web-1: cannot be verified: MODULE FAILURE",
    ]


def test_an_unhealthy_process_is_named() -> None:
    health = {"apps": [{"processes": [{"name": "shop-blue:8000", "healthy": False, "error": "/ answered 500"}]}]}
    assert checks.shortfalls(PLAN, state(), health, ANSWERED, "web-1") == ["web-1: shop-blue:8000: / answered 500"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (answer(HEALTH, error="shop through nginx: / answered 502"), "answered 502"),
        (answer(VERSIONED, "max-age=315360000", error="it was answered by blue"), "it was answered by blue"),
        (answer(VERSIONED, "no-cache"), "/static/app.css?v=1 has Cache-Control 'no-cache', too short"),
        (answer(VERSIONED), "too short"),
        (answer(PLAIN, "max-age=315360000"), "too long"),
    ],
)
def test_what_nginx_answers_wrongly_is_named(bad: dict[str, Any], said: str) -> None:
    (found,) = checks.shortfalls(PLAN, state(app=STATIC), HEALTHY, {"answers": [bad]}, "web-1")
    assert said in found


def test_nginx_is_asked_for_the_health_path_and_a_static_file() -> None:
    common = {"app": "shop", "host": PLAN["shop"]["host"], "prefix": ""}
    assert checks.probes(PLAN, state(app={"static_file": "a b.css"})) == [
        {**common, "path": "/", "slot": "blue"},
        {**common, "path": "/static/a%20b.css?v=1"},
        {**common, "path": "/static/a%20b.css"},
    ]
    assert len(checks.probes(PLAN, state(app={"static_file": ""}))) == 1


# Apps that are no more


def host_with(*units: str, users: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"host": {"begun": list(units), "users": [*units, *users]}}


def test_an_app_that_nobody_lists_is_told_of() -> None:
    assert checks.unlisted(PLAN, {}, host_with("shop", "old")) == ["old"]
    assert checks.unlisted(PLAN, {"old": {}}, host_with("shop", "old")) == []


def test_names_of_an_app_that_nobody_lists_any_more_are_taken() -> None:
    facts = host_with("old", "other")
    facts["host"]["sites"] = [
        {"server_names": ["WEB-1", "www.example.com"], "apps": ["other", "old"]},
        {"server_names": ["elsewhere.example.com"], "apps": ["older"]},
    ]
    found = checks.name_problems(PLAN, {"other": {}}, facts, "web-1")
    assert found == [
        "tornado_apps.shop.server_names: web-1 on web-1 is also for old, which runs there and is not listed; "
        "list it too, with state: absent if it is to go, or give this app other names"
    ]
    assert checks.name_problems(PLAN, {"other": {}, "old": {}}, facts, "web-1") == []
    # An app that moves to other names takes its site's file with it.
    facts["host"]["sites"] = [{"server_names": ["before.example.com"], "apps": ["shop", "old"]}]
    (found,) = checks.name_problems(PLAN, {}, facts, "web-1")
    assert "before.example.com on web-1 is also for old" in found


def test_what_is_to_be_absent_is_removed_where_something_is_left() -> None:
    absent = plugin("plugin_utils", "plan").absent
    kept, purged = (absent({"old": {"state": "absent", "purge": purge}}) for purge in (False, True))
    assert [app["name"] for app in checks.removals(kept, host_with("old"))] == ["old"]
    assert checks.removals(kept, host_with(users=("old",))) == []
    assert [app["name"] for app in checks.removals(purged, host_with(users=("old",)))] == ["old"]
    assert checks.removals(purged, host_with("shop")) == []
