"""The plan of a host: its invariants, and what apps do to each other."""

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import SLOT
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import files, layout, plan, settings
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import HostSettings
from tests.unit.builders import DEFAULTS, HOST, SHOP, SHOP_PLAN, host_settings


def problems(apps: Any, **host: Any) -> list[str]:
    return plan.plan_problems(apps, DEFAULTS, host_settings(**host))


def ports(planned: Mapping[str, Any]) -> list[int]:
    return list(chain.from_iterable(slot["ports"] for app in planned.values() for slot in app["slots"].values()))


def is_free(name: str) -> bool:
    return name not in settings.RESERVED_NAMES


names = st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True).filter(is_free)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[dict[str, Any], HostSettings]:
    """Apps whose ports may or may not overlap, and a host."""
    apps = {
        name: {**SHOP, "port": draw(st.integers(0, 70000)), "processes": draw(st.integers(1, 128)), "server_names": [f"{name}.example.com"]}
        for name in draw(st.lists(names, min_size=1, max_size=4, unique=True))
    }
    return apps, host_settings(slot_stride=draw(st.integers(1, 5000)))


def given_out(apps: dict[str, Any], **host: Any) -> dict[str, int]:
    """App -> its port."""
    return {name: app["port"] for name, app in plan.plan(apps, DEFAULTS, host_settings(**host)).items()}


def shops(*names: str, **settings: Any) -> dict[str, Any]:
    return {name: {**SHOP, "server_names": [f"{name}.example.com"], **settings} for name in names}


def test_an_app_without_a_port_gets_the_first_free_one() -> None:
    assert given_out(shops("a", "b", "c")) == {"a": 8000, "b": 8100, "c": 8200}
    assert given_out({**shops("a", "b"), **shops("c", port=8100)}) == {"a": 8000, "b": 8200, "c": 8100}
    assert given_out(shops("a", "b", processes=128)) == {"a": 8000, "b": 8200}
    # The green slots lie between: from 9000 on, with this stride.
    many = given_out(shops(*"abcdefghijkl"))
    assert [many["j"], many["k"], many["l"]] == [8900, 10000, 10100]


def test_a_port_that_was_given_out_stays() -> None:
    known = {"a": 8100, "gone": 8000}
    assert given_out(shops("b", "a"), ports=known) == {"a": 8100, "b": 8200}
    # Of two apps that change at once the one that says its port gets it, and the other one does not move.
    overlap = "tornado_apps.b.port 8100 overlaps a's 8100-8103 on web-1"
    assert overlap in problems({**shops("a"), **shops("b", port=8100)}, ports=known)
    # What is removed in this run, or moves in it, is still there when the others start.
    assert given_out({**shops("b"), "gone": {"state": "absent"}}, ports=known) == {"b": 8200}
    assert given_out({**shops("a", port=9500), **shops("b")}, ports={"a": 8000}) == {"a": 9500, "b": 8100}


@pytest.mark.parametrize("path", ["/static/", "/favicon.ico/", "/.tornado_app/"])
def test_a_path_that_nginx_serves_itself_for_another_app(path: str) -> None:
    apps = {**shops("a", server_names=["both.test"]), **shops("b", server_names=["both.test"], path=path)}
    (found,) = problems(apps)
    assert found == f"tornado_apps.b.path '{path}' meets what nginx serves itself for a, which has /; choose another"


@given(st.lists(names, min_size=1, max_size=30, unique=True), st.integers(1, 128), st.data())
def test_ports_are_free_and_stay_whatever_comes_and_goes(given_names: list[str], processes: int, data: st.DataObject) -> None:
    apps = shops(*given_names, processes=processes)
    first = given_out(apps)
    fewer = data.draw(st.permutations(given_names).map(lambda order: order[: len(order) // 2 + 1]))
    assert given_out({name: apps[name] for name in fewer}, ports=first) == {name: first[name] for name in fewer}
    assert given_out({**shops("newcomer"), **apps}, ports=first).items() >= first.items()


def test_debug_is_one_process_that_is_run_by_the_reloader() -> None:
    settings = {**SHOP, "debug": True, "watch": ["/etc/shop.ini"]}
    app = plan.plan({"shop": settings}, DEFAULTS, HOST)["shop"]
    assert (app["processes"], app["static"]) == (1, "")
    assert app["reloader"][-4:] == ["/opt/tornado_app/reload.py", "--source=/usr/local/src/shop", "--watch=/etc/shop.ini", "--"]
    assert plan.plan({"shop": SHOP}, DEFAULTS, HOST)["shop"]["reloader"] == []


@given(fleets())
def test_a_plan_shares_no_port_and_is_the_same_each_time(fleet: tuple[dict[str, Any], HostSettings]) -> None:
    apps, host = fleet
    if plan.plan_problems(apps, DEFAULTS, host):
        with pytest.raises(AnsibleFilterError):
            plan.plan(apps, DEFAULTS, host)
        return
    planned = plan.plan(apps, DEFAULTS, host)
    used = ports(planned)
    assert len(used) == len(set(used))
    assert all(1024 <= port <= 65535 for port in used)
    for name, app in planned.items():
        for slot in app["slots"].values():
            assert len(slot["ports"]) == len(slot["addresses"]) == apps[name]["processes"]
    assert plan.plan(apps, DEFAULTS, host) == planned


@given(st.integers(1, 128))
def test_as_many_processes_as_cpus(cpus: int) -> None:
    planned = plan.plan({"shop": SHOP}, {**DEFAULTS, "processes": cpus}, HOST)["shop"]
    assert planned["slots"]["blue"]["ports"] == list(range(8000, 8000 + cpus))
    assert planned["slots"]["green"]["ports"] == list(range(9000, 9000 + cpus))


def test_an_apps_own_values_go_before_the_defaults_key_by_key() -> None:
    app = plan.plan({"shop": {**SHOP, "health": {"path": "/healthz"}, "stop_timeout": 3}}, DEFAULTS, HOST)["shop"]
    assert app["health"] == {"path": "/healthz", "timeout": 60}
    assert app["stop_timeout"] == 3
    assert app["drain"] == {"timeout": 60, "signal": ""}


def test_types_are_converted() -> None:
    app = plan.plan({"shop": {**SHOP, "processes": "2", "port": "8100", "environment": {"WORKERS": 3}}}, DEFAULTS, HOST)["shop"]
    assert (app["processes"], app["port"]) == (2, 8100)
    assert app["environment"] == {"WORKERS": "3"}


def test_names_and_paths_follow_from_the_apps_name() -> None:
    app = plan.plan({"shop": SHOP}, DEFAULTS, HOST)["shop"]
    assert (app["user"], app["unit"], app["home"], app["etc"]) == ("shop", "shop.service", "/srv/shop", "/etc/shop")
    assert app["slots"]["green"]["group"] == "shop-green"
    assert app["slots"]["green"]["upstream"] == "shop_green"
    assert app["argv"] == ["{python}", "app.py", "--port={port}"]


def test_a_slot_is_whole_by_itself() -> None:
    """The modules get it, and nothing else of the app."""
    app = plan.plan({"shop": {**SHOP, "path": "/a/", "server_names": ["*.test"], "stop_timeout": 3}}, DEFAULTS, HOST)["shop"]
    for name, slot in app["slots"].items():
        assert set(slot) == set(SLOT)
        for key in ("unit", "user", "socket", "flag", "listen", "processes", "host", "prefix", "health", "drain", "stop_timeout"):
            assert slot[key] == app[key]
        assert (slot["app"], slot["name"], slot["workers"], slot["access_log"]) == ("shop", name, {}, app["access_log"])
        assert Path(slot["cwd"]).name == name


def test_an_app_has_all_that_others_know_of_it() -> None:
    assert set(SHOP_PLAN) == set(App.__annotations__)


@pytest.mark.parametrize(("port", "shown"), [(80, "80-83"), (1023, "1023-1026"), (65000, "66000-66003"), (65534, "65534-65537")])
def test_ports_out_of_range_are_refused(port: int, shown: str) -> None:
    found = problems({"shop": {**SHOP, "port": port}})
    assert any(f"tornado_apps.shop.port {port}: " in text and f"{shown} on web-1" in text for text in found)


def test_two_apps_that_overlap_are_named_with_ports_and_host() -> None:
    apps = {"shop": {**SHOP, "port": 8000, "server_names": ["a"]}, "api": {**SHOP, "port": 8001, "server_names": ["b"]}}
    assert "tornado_apps.api.port 8001 overlaps shop's 8000-8003 on web-1" in problems(apps)


def test_an_app_whose_blue_meets_anothers_green_is_refused() -> None:
    apps = {"shop": {**SHOP, "port": 8000, "server_names": ["a"]}, "api": {**SHOP, "port": 9003, "server_names": ["b"]}}
    assert problems(apps) == ["tornado_apps.api.port 9003 overlaps shop's 9000-9003 on web-1"]


def test_two_apps_of_one_server_name_are_refused() -> None:
    apps = {"shop": SHOP, "api": {**SHOP, "port": 8100, "server_names": ["WEB-1"]}}
    (found,) = problems(apps)
    assert found.startswith("tornado_apps.api.server_names: web-1/ on web-1 is shop's already")


def test_a_key_without_a_value_is_not_given() -> None:
    app = plan.plan({"shop": {**SHOP, "processes": None, "health": None}}, DEFAULTS, HOST)["shop"]
    assert (app["processes"], app["health"]["path"]) == (4, "/")


@pytest.mark.parametrize("wsgi", ["shop:app", "shop.web:app", "shop.web:made.application", "_a1:_b2"])
def test_a_wsgi_application_is_served_by_the_roles_own_launcher(wsgi: str) -> None:
    app = plan.plan({"shop": {**SHOP, "command": "", "wsgi": wsgi}}, DEFAULTS, HOST)["shop"]
    assert app["argv"] == ["{python}", "/opt/tornado_app/wsgi.py", wsgi, "--port={port}", "--max-body=52428800"]


@pytest.mark.parametrize("apps", [{}, None, [], "shop"])
def test_no_apps_are_refused(apps: Any) -> None:
    (found,) = problems(apps)
    assert found.startswith("tornado_apps is empty")


def test_all_problems_are_named_at_once() -> None:
    assert len(problems({"Shop": SHOP, "api": {**SHOP, "processes": 0}, "web": {**SHOP, "port": 1}}, nofile=10)) >= 4


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["shop.test", "*.shop.test"], "shop.test"),
        (["*.shop.test", "shop.test"], "shop.test"),
        (["*.shop.test"], "tornado-app.shop.test"),  # www would be another app's as like as not
    ],
)
def test_an_app_is_asked_for_by_a_name_that_is_its_own(names: list[str], host: str) -> None:
    assert plan.plan({"shop": {**SHOP, "server_names": names}}, DEFAULTS, HOST)["shop"]["host"] == host


# Apps that are to be absent


def test_an_app_that_is_to_be_absent_needs_nothing_and_is_in_no_plan() -> None:
    apps = {"old": {"state": "absent"}, "shop": SHOP}
    assert problems(apps) == []
    assert list(plan.plan(apps, DEFAULTS, HOST)) == ["shop"]
    assert plan.plan({"old": {"state": "absent"}}, DEFAULTS, HOST) == {}
    assert problems({"old": {"state": "absent", "purge": "ja"}}) == ["tornado_apps.old.purge is 'ja': true or false is needed"]
    assert problems({"old": {"state": "absent", "purg": True}}) == ["tornado_apps.old.purg is not a setting; did you mean purge?"]


def test_what_is_removed_of_an_app() -> None:
    (kept,) = layout.absent({"old": {"state": "absent"}, "shop": SHOP}).values()
    (purged,) = layout.absent({"old": {"state": "absent", "purge": "yes"}}).values()
    assert kept["user"] == ""
    assert "/srv/old" not in kept["paths"]
    assert not any("shared" in path for path in kept["paths"])
    assert (purged["user"], "/srv/old" in purged["paths"]) == ("old", True)
    # Nothing that the plan of such an app names stays.
    app = plan.plan({"old": SHOP}, DEFAULTS, HOST)["old"]
    upstreams = {slot["upstream_config"] for slot in app["slots"].values()}
    assert set(purged["nginx"]) == {app["site_config"], "tornado_app/old.pem", *upstreams}
    named = [app["home"], app["etc"], app["logs"], *(entry["path"] for entry in app["directories"])]
    for path in named:
        assert any(path == gone or path.startswith(f"{gone}/") for gone in purged["paths"])
        assert path in (app["home"], app["shared"]) or any(path == gone or path.startswith(f"{gone}/") for gone in kept["paths"])


# Apps that share their names


def test_apps_may_share_all_of_their_names_with_a_path_each() -> None:
    names = ["shop.test", "www.shop.test"]
    one, other = {**SHOP, "server_names": names}, {**SHOP, "server_names": names[::-1], "port": 8300, "path": "/api/"}
    assert problems({"shop": one, "api": other}) == []
    planned = plan.plan({"shop": one, "api": other}, DEFAULTS, HOST)
    assert (planned["shop"]["prefix"], planned["api"]["prefix"]) == ("", "/api")
    (found,) = problems({"shop": one, "api": {**other, "path": "/"}})
    assert found.startswith("tornado_apps.api.server_names: shop.test, www.shop.test/ on web-1 is shop's already; give each app its own")
    (found,) = problems({"shop": one, "api": {**other, "server_names": ["shop.test"]}})
    assert found.startswith("tornado_apps.api.server_names has some of shop's names on web-1 and not others")


@pytest.mark.parametrize(("strip", "asked"), [(True, "/healthz"), (False, "/jupyter/healthz")])
def test_all_that_ask_a_process_know_whether_it_has_the_prefix(strip: bool, asked: str) -> None:
    """The gate, the watchdog and what waits for a boot; nginx is asked as a client would ask."""
    app = plan.plan({"shop": {**SHOP, "path": "/jupyter/", "strip_path": strip, "health": {"path": "/healthz"}}}, DEFAULTS, HOST)["shop"]
    watchdog = json.loads(files.watchdog_settings(app))
    for slot in (*app["slots"].values(), watchdog):
        assert slot["health"] == {"path": asked, "timeout": 60}
    assert {slot["health_url"] for slot in app["slots"].values()} == {"/jupyter/healthz"}


def test_nginx_has_to_tell_the_names_of_apps_apart() -> None:
    other = {**SHOP, "server_names": ["other.test"], "port": 8300}
    (found,) = problems({"a-b": SHOP, "a_b": other})
    assert found.startswith("tornado_apps.a_b: nginx cannot tell its name from a-b")
