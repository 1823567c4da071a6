"""What stands against a run before it begins: each finding names host, setting and figure."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import checks, files, layout
from tests.unit.builders import (
    HOST,
    PLAN,
    SHOP,
    SHOP_PLAN,
    A,
    absent,
    app_state,
    artifact,
    host_settings,
    host_state,
    line,
    planned,
    process,
    release,
    slot,
    unfinished,
)


def state(system: dict[str, Any] | None = None, app: dict[str, Any] | None = None) -> State:
    """A host where all is well, but for what is given."""
    return {"host": host_state(**(system or {})), "apps": {"shop": app_state(**(app or {}))}, "differences": []}


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
        ({}, {"foreign_group": True}, {}, "tornado_apps.shop: there is a group shop already that is not the role's; rename the app"),
        ({}, {"missing_paths": ["/mnt/uploads"]}, {}, "tornado_apps.shop.sandbox: /mnt/uploads is not there; create it, or do not name it"),
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
    (found,) = checks.host_problems(PLAN, state(system, app), host_settings(**host))
    assert found.startswith(f"web-1: {said}") or said in found


def test_a_ceiling_that_can_be_raised_is_no_problem() -> None:
    assert checks.host_problems(PLAN, state({"nofile_ceiling": 4096}), HOST) == []


@pytest.mark.parametrize(
    ("distribution", "release"), [("Debian", "11"), ("Debian", "13"), ("Ubuntu", "22.04"), ("Ubuntu", "22.10"), ("Ubuntu", "24.04")]
)
def test_supported_systems_are_supported(distribution: str, release: str) -> None:
    assert checks.host_problems(PLAN, state(), host_settings(distribution=distribution, distribution_version=release)) == []


def test_a_release_without_room_is_refused_before_it_is_copied() -> None:
    artifacts = {"shop": artifact("cccccccccccc", size=600_000_000)}
    (found,) = checks.room_problems(PLAN, state(), artifacts, "web-1")
    assert found.startswith("web-1: /srv has 1000 MB free, releases of shop need 1300 MB")
    assert checks.room_problems(PLAN, state({"free_bytes": 1_300_000_000}), artifacts, "web-1") == []
    assert checks.room_problems(PLAN, state({"free_bytes": 0}), {"shop": artifact("aaaaaaaaaaaa", size=600_000_000)}, "web-1") == []


def test_a_source_that_cannot_be_built_is_named_with_its_setting() -> None:
    results = [{"item": {"app": "shop"}, "msg": "source /x is not there"}, {"item": {"app": "api"}, "release": "aaaaaaaaaaaa"}]
    assert checks.build_problems(results) == ["tornado_apps.shop.source: source /x is not there"]


BUILT: dict[str, Any] = {"processes": {"worker": line("QUEUE")}}


def source_problems(built: dict[str, Any] | None = None, **settings: Any) -> list[str]:
    """What stands against the shop with these settings, of a source that says this."""
    apps = planned({"shop": {**SHOP, "environment": {"QUEUE": "q"}, **settings}})
    return checks.source_problems(apps, state(), {"shop": artifact(**{**BUILT, **(built or {})})}, "web-1")


def test_a_source_that_fits_its_settings_and_the_host() -> None:
    assert source_problems() == []
    assert source_problems(scale={"worker": 0}, python="3.12") == []
    assert source_problems({"processes": {"web": line("PORT", "HOME", "PWD")}}, command=None) == []


@pytest.mark.parametrize(
    ("built", "settings", "said"),
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
def test_what_of_a_source_fits_neither_settings_nor_host(built: dict[str, Any], settings: dict[str, Any], said: str) -> None:
    (found,) = source_problems(built, **settings)
    assert found.startswith(said)


def test_the_web_line_does_not_matter_beside_a_command() -> None:
    assert source_problems({"processes": {"web": line("NO", problem="bad"), "worker": line("QUEUE")}}) == []


def test_a_line_that_is_scaled_to_nothing_does_not_matter() -> None:
    assert source_problems({"processes": {"worker": line("NO", problem="bad")}}, scale={"worker": 0}) == []


def test_the_variables_that_every_process_has_are_known() -> None:
    record = files.record(SHOP_PLAN, SHOP_PLAN["slots"]["blue"], release(A))
    assert set(record["environment"]) == checks.VARIABLES


def test_a_release_that_nothing_says_how_to_start() -> None:
    apps = planned({"shop": {**SHOP, "command": None}})
    assert checks.start_problems(apps, {"shop": release("aaa", commands={"web": "x"})}) == []
    assert checks.start_problems(PLAN, {"shop": release("aaa")}) == []
    (found,) = checks.start_problems(apps, {"shop": release("aaa", commands={"worker": "x"})})
    assert found.startswith("tornado_apps.shop has neither command nor wsgi, and release aaa has no Procfile with a line for web")


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


# What the live slot, the operation, and the fleet say


def test_a_slot_that_would_meet_the_live_one_is_refused() -> None:
    """The port of the app was changed by as much as its slots are apart."""
    moved = planned({"shop": {**SHOP, "processes": 2, "port": 7000}})
    assert checks.host_problems(moved, state(), HOST) == [
        f"web-1: tornado_apps.shop.port 7000: the green slot would need port {port}, on which the live blue slot runs; choose another port"
        for port in (8000, 8001)
    ]
    assert checks.host_problems(planned({"shop": {**SHOP, "processes": 2, "port": 7002}}), state(), HOST) == []
    assert checks.host_problems(moved, state(app={"slots": {"blue": slot(A, True), "green": slot()}}), HOST) == []


def test_nothing_can_be_restarted_where_nothing_is_live() -> None:
    assert checks.restart_problems(PLAN, state(), "web-1") == []
    bare = state(app={"slots": {"blue": slot(A), "green": slot(A, True, (process(9000),))}})
    assert checks.restart_problems(PLAN, bare, "web-1") == ["shop has no release on web-1 to restart: run --tags deploy first"]


@pytest.mark.parametrize(
    ("way_out", "said"),
    [
        ("start", "shop.service does not run on web-1: run --tags start first"),
        ("provision", "shop.service does not run on web-1: run site.yml without --tags, or with --tags provision, first"),
    ],
)
def test_without_supervisord_no_slot_can_be_filled(way_out: str, said: str) -> None:
    stopped = state(app={"supervisord": None})
    assert checks.supervisord_problems(PLAN, stopped, ["shop"], "web-1", way_out) == [said]
    assert checks.supervisord_problems(PLAN, stopped, [], "web-1", way_out) == []
    assert checks.supervisord_problems(PLAN, unfinished(), ["shop"], "web-1", way_out) == []


def test_hosts_that_are_missing_are_named_with_two_ways_out() -> None:
    assert checks.missing_problems([], 0, "tornado") == checks.missing_problems(["web-2"], 1, "tornado") == []
    (found,) = checks.missing_problems(["web-2", "web-3"], 1, "tornado")
    assert found.startswith("web-2, web-3 did not get this far, see above; ")
    assert "--limit 'tornado:!web-2:!web-3'" in found
    assert found.endswith("-e tornado_app_max_missing=2")


# Apps that are no more


def host_with(*begun: str, users: tuple[str, ...] = (), sites: tuple[dict[str, list[str]], ...] = ()) -> State:
    """A host on which these apps are."""
    return state({"begun": list(begun), "users": [*begun, *users], "sites": list(sites)})


def test_an_app_that_nobody_lists_is_named() -> None:
    assert checks.unlisted(PLAN, {}, host_with("shop", "old")) == ["old"]
    assert checks.unlisted(PLAN, absent("old"), host_with("shop", "old")) == []


def test_names_of_an_app_that_nobody_lists_any_more_are_taken() -> None:
    found = host_with(
        "old",
        "other",
        sites=(
            {"server_names": ["WEB-1", "www.example.com"], "apps": ["other", "old"]},
            {"server_names": ["elsewhere.example.com"], "apps": ["older"]},
        ),
    )
    assert checks.name_problems(PLAN, absent("other"), found, "web-1") == [
        "tornado_apps.shop.server_names: web-1 on web-1 is also for old, which runs there and is not listed; "
        "list it too, with state: absent if it is to go, or give this app other names"
    ]
    assert checks.name_problems(PLAN, absent("other", "old"), found, "web-1") == []
    leading = planned({"shop": {**SHOP, "server_names": ["shop.test"], "redirect_names": ["WEB-1"]}})
    assert "web-1 on web-1 is also for old" in checks.name_problems(leading, absent("other"), found, "web-1")[0]
    # An app that moves to other names takes its site's file with it.
    moved = host_with("old", "other", sites=({"server_names": ["before.example.com"], "apps": ["shop", "old"]},))
    (said,) = checks.name_problems(PLAN, {}, moved, "web-1")
    assert "before.example.com on web-1 is also for old" in said


def test_what_is_to_be_absent_is_removed_where_something_is_left() -> None:
    kept, purged = (layout.absent({"old": {"state": "absent", "purge": purge}}) for purge in (False, True))
    assert [app["name"] for app in checks.removals(kept, host_with("old"))] == ["old"]
    assert checks.removals(kept, host_with(users=("old",))) == []
    assert [app["name"] for app in checks.removals(purged, host_with(users=("old",)))] == ["old"]
    assert checks.removals(purged, host_with("shop")) == []


def test_a_dependency_that_is_an_option_of_pip_is_refused() -> None:
    """It would be read by root's pip otherwise, and shown in its message."""
    built = {
        "item": {"app": "shop"},
        "release": "a",
        "dependencies": ["tornado>=6", "-r/etc/shadow", "--index-url=http://x", "shop @ https://x/y.whl"],
    }
    assert [said.partition("dependency ")[2].partition(",")[0] for said in checks.build_problems([built])] == [
        "'-r/etc/shadow'",
        "'--index-url=http://x'",
    ]


@pytest.mark.parametrize(
    "difference", [("tmpfiles", "shop"), ("directory", "/run/tornado_app/sockets"), ("directory", "/run/tornado_app/sockets/shop")]
)
def test_an_app_that_listens_on_sockets_needs_their_directory_from_boot_to_boot(difference: tuple[str, str]) -> None:
    apps = planned({"shop": {**SHOP, "listen": "sockets", "command": "{python} app.py {socket}"}})
    found = state()
    assert checks.socket_problems(apps, found, "web-1") == []
    found["differences"] = [{"kind": difference[0], "name": difference[1], "reason": "missing"}]
    (problem,) = checks.socket_problems(apps, found, "web-1")
    assert problem.startswith("tornado_apps.shop.listen: web-1 does not have the directory of the sockets, /run/tornado_app/sockets/shop, ")
    assert checks.socket_problems(PLAN, found, "web-1") == []
