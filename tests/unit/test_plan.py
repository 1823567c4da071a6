"""The plan: its invariants, its conversions, and what it refuses."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.loading import ROLE
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import SLOT
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import layout, plan, setting_types, settings
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import App
from tests.unit.builders import DEFAULTS, HOST, SHOP, SHOP_PLAN


def problems(apps: Any, **host: Any) -> list[str]:
    return plan.plan_problems(apps, DEFAULTS, {**HOST, **host})


def problem(**settings: Any) -> str:
    """The only problem of the app shop with these settings."""
    (found,) = problems({"shop": {**SHOP, **settings}})
    return found


def ports(planned: Mapping[str, Any]) -> list[int]:
    return list(chain.from_iterable(slot["ports"] for app in planned.values() for slot in app["slots"].values()))


def is_free(name: str) -> bool:
    return name not in settings.RESERVED_NAMES


names = st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True).filter(is_free)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Apps whose ports may or may not overlap, and a host."""
    apps = {
        name: {**SHOP, "port": draw(st.integers(0, 70000)), "processes": draw(st.integers(1, 128)), "server_names": [f"{name}.example.com"]}
        for name in draw(st.lists(names, min_size=1, max_size=4, unique=True))
    }
    return apps, {**HOST, "slot_stride": draw(st.integers(1, 5000))}


def given_out(apps: dict[str, Any], **host: Any) -> dict[str, int]:
    """App -> its port."""
    return {name: app["port"] for name, app in plan.plan(apps, DEFAULTS, {**HOST, **host}).items()}


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


def test_debug_is_refused_where_it_does_harm() -> None:
    assert problems({"shop": {**SHOP, "debug": True, "processes": 1}}) == []
    for inventory in (
        ["tornado", "production"],
        ["tornado", "/ops/prod", "/ops/prod/hosts.yml"],
        ["tornado", "/ops", "/ops/production.yml"],
    ):
        assert problems({"shop": {**SHOP, "debug": True}}, inventory=inventory) == [
            "tornado_apps.shop.debug is for development, and the inventory of web-1 calls itself production"
        ]
    assert problems({"shop": {**SHOP, "debug": True}}, inventory=["tornado", "/ops/products", "/ops/products/hosts.yml"]) == []
    assert problem(debug=True, processes=2).endswith("has debug and 2 processes: with debug there is one, leave out processes")
    assert problem(debug=True, listen="fork").endswith("which is for several processes; with debug there is one")
    assert problem(watch=["x"]) == "tornado_apps.shop.watch is for debug: true; without that nothing is watched"


@given(fleets())
def test_a_plan_shares_no_port_and_is_the_same_each_time(fleet: tuple[dict[str, Any], dict[str, Any]]) -> None:
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
    assert app["drain"] == {"timeout": 60}


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


@pytest.mark.parametrize("name", ["Shop", "1shop", "shop.example", "../shop", "my shop", "", "-shop", "a" * 33, "nginx", "root", "café", 7])
def test_a_name_that_is_no_user_unit_and_path_is_refused(name: Any) -> None:
    (found,) = problems({name: SHOP})
    assert f"tornado_apps.{name}: {name!r} cannot name a user" in found


def test_a_name_of_32_characters_is_the_longest() -> None:
    assert problems({"a" * 32: SHOP}) == []


@pytest.mark.parametrize(
    ("key", "near"), [("proceses", "processes"), ("sorce", "source"), ("helth", "health"), ("server_name", "server_names")]
)
def test_an_unknown_key_is_named_with_the_nearest_one(key: str, near: str) -> None:
    assert problem(**{key: 1}) == f"tornado_apps.shop.{key} is not a setting; did you mean {near}?"


def test_an_unknown_key_that_is_near_nothing_lists_the_known_ones() -> None:
    assert problem(xyzzy=1).startswith("tornado_apps.shop.xyzzy is not a setting; known keys: state, purge, source, version, ")


def test_an_unknown_key_in_a_nested_dictionary_is_named() -> None:
    assert problem(health={"pth": "/"}) == "tornado_apps.shop.health.pth is not a setting; did you mean path?"


@pytest.mark.parametrize("count", [0, -1])
def test_no_processes_are_refused(count: int) -> None:
    assert problem(processes=count) == f"tornado_apps.shop.processes is {count}: at least 1 is needed"


def test_a_number_in_words_is_refused() -> None:
    assert problem(processes="many").startswith("tornado_apps.shop.processes: ")
    assert "many" in problem(processes="many")


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


def test_slots_that_overlap_are_refused() -> None:
    assert problems({"shop": SHOP}, slot_stride=3) == [
        "tornado_apps.shop.processes 4 is above tornado_app_slot_stride 3: raise the stride",
    ]


def test_two_apps_of_one_server_name_are_refused() -> None:
    apps = {"shop": SHOP, "api": {**SHOP, "port": 8100, "server_names": ["WEB-1"]}}
    (found,) = problems(apps)
    assert found.startswith("tornado_apps.api.server_names: web-1/ on web-1 is shop's already")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("{python} app.py", "has no {port}"),
        ("{python} app.py --port={port} {prot}", "{prot} is not known"),
        ("{python} app.py --port={port} {", "cannot be read"),
        ("{python} app.py --port={port} 'open", "cannot be read"),
        ("{python} app.py --port={}", "has no {port}"),
    ],
)
def test_a_command_that_cannot_work_is_refused(command: str, said: str) -> None:
    found = problems({"shop": {**SHOP, "command": command}})
    assert any(said in text and "tornado_apps.shop.command" in text for text in found)


def test_a_literal_brace_is_written_twice() -> None:
    assert problems({"shop": {**SHOP, "command": "{python} app.py --port={port} --json={{}}"}}) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"health": {"path": "healthz"}}, "tornado_apps.shop.health.path"),
        ({"health": {"path": "/a b"}}, "tornado_apps.shop.health.path"),
        ({"health": {"timeout": 0}}, "tornado_apps.shop.health.timeout"),
        ({"drain": {"timeout": -1}}, "tornado_apps.shop.drain.timeout"),
        ({"stop_timeout": 0}, "tornado_apps.shop.stop_timeout"),
        ({"proxy_read_timeout": 0}, "tornado_apps.shop.proxy_read_timeout"),
        ({"server_names": []}, "tornado_apps.shop.server_names"),
        ({"server_names": ["a; return 200"]}, "tornado_apps.shop.server_names"),
        ({"client_max_body_size": "50 MB"}, "tornado_apps.shop.client_max_body_size"),
        ({"static": "../secrets"}, "tornado_apps.shop.static"),
        ({"static": "/etc"}, "tornado_apps.shop.static"),
        ({"static": "."}, "tornado_apps.shop.static"),
        ({"server_names": ["_"]}, "tornado_apps.shop.server_names"),
        ({"command": "{python} app.py --port={port} {port!r}"}, "tornado_apps.shop.command"),
        ({"requirements": "a/../../b"}, "tornado_apps.shop.requirements"),
        ({"environment": {"A=B": "x"}}, "tornado_apps.shop.environment"),
        ({"environment": {"DEBUG": True}}, "tornado_apps.shop.environment.DEBUG"),
        ({"environment": {"NUL": "a\0b"}}, "tornado_apps.shop.environment.NUL"),
        ({"secrets": {"A=B": "x"}}, "tornado_apps.shop.secrets: 'A=B' is not a valid name of an environment variable"),
        ({"secrets": {"DEBUG": True}}, "tornado_apps.shop.secrets.DEBUG is a boolean: write it in quotes"),
        ({"secrets": {"A": "x"}, "environment": {"A": "y"}}, "tornado_apps.shop has A in both environment and secrets"),
        ({"secrets": "TOKEN=x"}, "tornado_apps.shop.secrets is not a dictionary of variables"),
        (
            {"listen": "sockets", "command": "{python} app.py"},
            "tornado_apps.shop.command has no {socket}: without it all processes would listen on the same socket",
        ),
        ({"listen": "pipes"}, "tornado_apps.shop.listen: "),
        ({"listen": "fork", "wsgi": "a:b", "command": None}, "tornado_apps.shop.listen is fork, which is a matter of the app's own code"),
        ({"scale": {"web": 2}}, "tornado_apps.shop.scale.web: its processes are counted by `processes`"),
        ({"scale": {"worker": -1}}, "tornado_apps.shop.scale.worker is -1: a number of processes is needed"),
        ({"scale": {"worker": True}}, "tornado_apps.shop.scale.worker is True: a number of processes is needed"),
        ({"scale": {"a b": 1}}, "tornado_apps.shop.scale: 'a b' is not a valid type of process"),
        ({"python": "3"}, "tornado_apps.shop.python '3' is not a valid version of Python like 3.12, in quotes"),
        ({"logs": "syslog"}, "tornado_apps.shop.logs: "),
        ({"log_budget": "1K"}, "tornado_apps.shop.log_budget is 1024: at least 1000000 bytes are needed"),
    ],
)
def test_a_value_that_cannot_work_is_named(settings: dict[str, Any], named: str) -> None:
    assert problem(**settings).startswith(named)


def test_a_key_without_a_value_is_not_given() -> None:
    app = plan.plan({"shop": {**SHOP, "processes": None, "health": None}}, DEFAULTS, HOST)["shop"]
    assert (app["processes"], app["health"]["path"]) == (4, "/")


@pytest.mark.parametrize("nofile", [0, 1023, 2147483585])
def test_a_limit_that_no_kernel_takes_is_refused(nofile: int) -> None:
    (found,) = problems({"shop": SHOP}, nofile=nofile)
    assert found.startswith(f"tornado_app_nofile is {nofile}: a number from 1024 to 2147483584 is needed")


@pytest.mark.parametrize("serial", [1, "1", "25%", "100%", "007", [1], [1, "25%", "100%"], ["1", 5]])
def test_batches_in_the_form_of_ansibles_serial_are_taken(serial: Any) -> None:
    assert problems({"shop": SHOP}, serial=serial) == []


@pytest.mark.parametrize(
    "serial", [0, "0", "0%", "101%", -1, "", "all", "1,2", "[1, 2]", 0.5, True, None, {}, [], [[1]], [1, 0], [1, None]]
)
def test_batches_that_ansible_would_take_otherwise_than_they_look_are_refused(serial: Any) -> None:
    (found,) = problems({"shop": SHOP}, serial=serial)
    assert found.startswith(f"tornado_app_serial is {serial!r}: a number of hosts, a percentage like 25%, or a list of these is needed")


def test_a_time_of_watching_below_nought_is_refused() -> None:
    (found,) = problems({"shop": SHOP}, bake=-1)
    assert found == "tornado_app_bake is -1: a number of seconds is needed, 0 for none"


@pytest.mark.parametrize("share", [0, 0.01, 1])
def test_a_share_of_errors_is_taken(share: float) -> None:
    assert problems({"shop": SHOP}, bake_max_errors=share) == []


@pytest.mark.parametrize("share", [-0.01, 1.01, 5, float("nan")])
def test_what_is_no_share_of_errors_is_refused(share: float) -> None:
    (found,) = problems({"shop": SHOP}, bake_max_errors=share)
    assert found.startswith(f"tornado_app_bake_max_errors is {share}: a share from 0 to 1 is needed")


def test_what_is_required_is_named() -> None:
    assert problems({"shop": {}}) == ["tornado_apps.shop.source is missing"]


def test_one_thing_starts_a_process() -> None:
    assert problem(wsgi="shop.web:app").startswith("tornado_apps.shop has both command and wsgi: one of them")
    assert problems({"shop": {**SHOP, "command": None}}) == []  # the source may have a Procfile


@pytest.mark.parametrize("wsgi", ["shop", "shop:", ":app", "shop.web:app()", "shop web:app", "../shop:app", "shop..web:app", "shöp:app"])
def test_what_names_no_wsgi_application(wsgi: str) -> None:
    assert problem(command="", wsgi=wsgi) == (
        f"tornado_apps.shop.wsgi {wsgi!r} names no WSGI application: it has the form package.module:app"
    )


@pytest.mark.parametrize("wsgi", ["shop:app", "shop.web:app", "shop.web:made.application", "_a1:_b2"])
def test_a_wsgi_application_is_served_by_the_roles_own_launcher(wsgi: str) -> None:
    app = plan.plan({"shop": {**SHOP, "command": "", "wsgi": wsgi}}, DEFAULTS, HOST)["shop"]
    assert app["argv"] == ["{python}", "/opt/tornado_app/wsgi.py", wsgi, "--port={port}"]


@pytest.mark.parametrize("apps", [{}, None, [], "shop"])
def test_no_apps_are_refused(apps: Any) -> None:
    (found,) = problems(apps)
    assert found.startswith("tornado_apps is empty")


def test_all_problems_are_named_at_once() -> None:
    assert len(problems({"Shop": SHOP, "api": {**SHOP, "processes": 0}, "web": {**SHOP, "port": 1}}, nofile=10)) >= 4


def test_defaults_that_lack_a_key_are_refused() -> None:
    defaults = {key: value for key, value in DEFAULTS.items() if key != "stop_timeout"}
    (found,) = plan.plan_problems({"shop": SHOP}, defaults, HOST)
    assert found.startswith("tornado_app_defaults.stop_timeout is missing")


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


def test_purge_alone_removes_nothing() -> None:
    assert problem(purge=True).startswith("tornado_apps.shop.purge is for state: absent")


def test_what_is_removed_of_an_app() -> None:
    (kept,) = layout.absent({"old": {"state": "absent"}, "shop": SHOP}).values()
    (purged,) = layout.absent({"old": {"state": "absent", "purge": "yes"}}).values()
    assert kept["user"] == ""
    assert "/srv/old" not in kept["paths"]
    assert not any("shared" in path for path in kept["paths"])
    assert (purged["user"], "/srv/old" in purged["paths"]) == ("old", True)
    # Nothing that the plan of such an app names stays.
    app = plan.plan({"old": SHOP}, DEFAULTS, HOST)["old"]
    assert set(purged["nginx"]) == {app["site_config"], *(slot["upstream_config"] for slot in app["slots"].values())}
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


@pytest.mark.parametrize("path", ["api/", "/api", "api", "", "//", "/a b/", "/a$b/", "/a//b/"])
def test_a_prefix_begins_and_ends_with_a_slash(path: str) -> None:
    assert problem(path=path).startswith(f"tornado_apps.shop.path {path!r} is not a valid prefix")


def test_nginx_has_to_tell_the_names_of_apps_apart() -> None:
    other = {**SHOP, "server_names": ["other.test"], "port": 8300}
    (found,) = problems({"a-b": SHOP, "a_b": other})
    assert found.startswith("tornado_apps.a_b: nginx cannot tell its name from a-b")


# What YAML makes of a word without quotes


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("version: 1.10", "version is 1.1, a number: write it in quotes"),
        ("version: 2024-01-02", "version is 2024-01-02, a date: write it in quotes"),
        ("version: yes", "version is true, a boolean: write it in quotes"),
        ("python: 3.10", "python is 3.1, a number: write it in quotes"),
        ("source: 1.0", "source is 1.0, a number: write it in quotes"),
        ("static: off", "static is false, a boolean: write it in quotes"),
        ("logs: no", "logs is false, a boolean: write it in quotes"),
        ("client_max_body_size: 1.5", "client_max_body_size is 1.5, a number: write it in quotes"),
        ("command: [python, app.py]", "command is ['python', 'app.py'], a list: text is needed"),
        ("path: {a: b}", "path is {'a': 'b'}, a dictionary: text is needed"),
        ("health: {path: 1.0}", "health.path is 1.0, a number: write it in quotes"),
        ("server_names: [a.test, 1.10]", "server_names[1] is 1.1, a number: write it in quotes"),
        ("server_names: 1.10", "server_names[0] is 1.1, a number: write it in quotes"),
        ("server_names: [a.test, ~]", "server_names[1] is empty"),
        ("processes: yes", "processes is true, a boolean: a number is needed"),
        ("health: {timeout: on}", "health.timeout is true, a boolean: a number is needed"),
        ("log_budget: 2024-01-02", "log_budget is 2024-01-02, a date: a number is needed"),
        ("environment: {V: 1.10}", "environment.V is a number: write it in quotes"),
        ("environment: {V: 2024-01-02}", "environment.V is a date: write it in quotes"),
        ("environment: {V: [a]}", "environment.V is a list: write it in quotes"),
        ("environment: {V: }", "environment.V is empty: write it in quotes"),
        ("environment: {on: x}", "environment: True is not text: write it in quotes"),
        ("environment: {~: x}", "environment: None is not text: write it in quotes"),
        ("secrets: {V: 1.10}", "secrets.V is a number: write it in quotes"),
        ("secrets: {V: 2024-01-02 10:00:00}", "secrets.V is a date: write it in quotes"),
        ("secrets: {yes: x}", "secrets: True is not text: write it in quotes"),
        ("scale: {on: 1}", "scale: True is not text: write it in quotes"),
        ("scale: {1: 1}", "scale: 1 is not text: write it in quotes"),
    ],
)
def test_what_yaml_does_not_read_as_it_was_written_is_refused(written: str, said: str) -> None:
    assert problem(**yaml.safe_load(written)) == f"tornado_apps.shop.{said}"


@pytest.mark.parametrize(
    "option",
    [*((name, option) for name, option in setting_types.APP_OPTIONS.items() if option["type"] == "str")],
    ids=lambda option: option[0],
)
def test_no_text_of_an_app_takes_a_number_with_a_point(option: tuple[str, Any]) -> None:
    assert f"tornado_apps.shop.{option[0]} is 1.1, a number: write it in quotes" in problems({"shop": {**SHOP, option[0]: 1.10}})


def test_a_default_that_yaml_has_read_otherwise_is_refused_too() -> None:
    (found,) = plan.plan_problems({"shop": SHOP}, {**DEFAULTS, "python": 3.10}, HOST)
    assert found == "tornado_apps.shop.python is 3.1, a number: write it in quotes"


def test_a_whole_number_has_lost_nothing() -> None:
    settings = {"version": 20240102, "client_max_body_size": 0, "environment": {"N": 10}, "secrets": {"PIN": 1234}}
    app = plan.plan({"shop": {**SHOP, **settings}}, DEFAULTS, HOST)["shop"]
    assert (app["version"], app["client_max_body_size"], app["environment"]) == ("20240102", "0", {"N": "10"})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("tornado_app_release", 12e4, "is 120000.0, a number: write it in quotes"),
        ("tornado_app_release", 123456789012, "is 123456789012, a number: write it in quotes"),
        ("tornado_app_wheelhouse", 1.10, "is 1.1, a number: write it in quotes"),
        ("tornado_app_wheelhouse", False, "is false, a boolean: write it in quotes"),
        ("tornado_app_bake", True, "is true, a boolean: a number is needed"),
    ],
)
def test_an_input_of_the_role_that_yaml_does_not_read_as_it_was_written_is_refused(name: str, value: Any, said: str) -> None:
    assert problems({"shop": SHOP}, inputs={name: value}) == [f"{name} {said}"]


def test_the_inputs_of_the_role_are_looked_at_as_they_were_given() -> None:
    """All that are text or a number, by their own names, with no filter between."""
    looked_at = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__tornado_app_host"]["inputs"]
    assert looked_at == {
        name: f"{{{{ {name} }}}}" for name, option in setting_types.INPUTS.items() if option["type"] in ("str", "int", "float")
    }
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    assert problems({"shop": SHOP}, inputs={name: defaults[name] for name in looked_at}) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"health": {"path": "healthz"}}, "health.path 'healthz' is not a valid URL path: it starts with / and has no spaces"),
        ({"server_names": ["a_", "a; b"]}, "server_names: 'a; b' is not a valid host name"),
        ({"server_names": []}, "server_names is empty: nginx would never serve the app"),
        ({"client_max_body_size": "50 MB"}, "client_max_body_size '50 MB' is not a valid size of nginx, like 50m"),
        ({"static": "../{x}"}, "static '../{x}' is not a valid relative path inside the source"),
        ({"requirements": "/r.txt"}, "requirements '/r.txt' is not a valid relative path inside the source"),
        ({"environment": {"A=B": "x"}}, "environment: 'A=B' is not a valid name of an environment variable"),
        ({"drain": {"timeout": 0}}, "drain.timeout is 0: a number of seconds above 0 is needed"),
        ({"log_budget": 5}, "log_budget is 5: at least 1000000 bytes are needed, as in 500M"),
    ],
)
def test_a_message_names_setting_value_and_way_out(settings: dict[str, Any], said: str) -> None:
    assert problem(**settings) == f"tornado_apps.shop.{said}"


def test_each_rule_is_of_a_setting_and_lets_the_defaults_pass() -> None:
    app = plan.plan({"shop": SHOP}, DEFAULTS, HOST)["shop"]
    for setting, is_wrong, message in settings.RULES:
        assert setting.split(".")[0] in setting_types.APP_OPTIONS
        assert not is_wrong(settings._value(app, setting), app), message
