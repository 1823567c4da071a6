"""What the modules of the role are called with."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.loading import plugin
from tests.unit.test_plan import DEFAULTS, HOST, SHOP

arguments = plugin("plugin_utils", "arguments")
make_plan = plugin("plugin_utils", "plan").plan
PLAN = make_plan(
    {
        "shop": {**SHOP, "processes": 2},
        "api": {**SHOP, "port": 8500, "server_names": ["api.test"], "drain": {"timeout": 7}},
    },
    DEFAULTS,
    HOST,
)
SHOP_PLAN = PLAN["shop"]
RELEASES = {name: {"release": name[0] * 12, "environment": "e" * 12, "commands": {}} for name in PLAN}


def slot_of(app: dict[str, Any], **workers: int) -> dict[str, Any]:
    """The app's green slot."""
    slot = app["slots"]["green"]
    return {"app": app, "slot": slot, "ports": slot["ports"], "addresses": slot["addresses"], "workers": workers}


SLOTS = {name: slot_of(app) for name, app in PLAN.items()}
SECRETS = {name: {"TOKEN": "hunter2"} for name in PLAN}


def with_workers(processes: int, **workers: int) -> dict[str, Any]:
    """The shop's green slot with workers."""
    app = make_plan({"shop": {**SHOP, "processes": processes}}, DEFAULTS, HOST)["shop"]
    return {
        "shop": {
            "app": app,
            "slot": app["slots"]["green"],
            **{key: app["slots"]["green"][key] for key in ("ports", "addresses")},
            "workers": workers,
        }
    }


@given(st.integers(1, 128), st.integers(0, 128))
def test_all_log_files_together_stay_within_their_budget(processes: int, workers: int) -> None:
    slots = with_workers(processes, worker=workers)
    (variables,) = arguments.template_variables(slots)
    files = 2 * (processes + workers) * 2  # slots, processes, current and rotated
    assert files * variables["log_max_bytes"] <= slots["shop"]["app"]["log_budget"] == 1 << 30


def test_the_gate_is_told_of_each_worker() -> None:
    (check,) = arguments.health_checks(with_workers(2, worker=2, clock=1))
    assert check["workers"] == ["worker.1", "worker.2", "clock.1"]


def test_a_command_takes_the_place_of_the_web_line_alone() -> None:
    release = {**RELEASES["shop"], "commands": {"web": "w", "worker": "x {y}"}}
    record = arguments.slot_record(SHOP_PLAN, SHOP_PLAN["slots"]["green"], release)
    assert record["commands"]["web"] == SHOP_PLAN["argv"]
    assert record["commands"]["worker"] == ["/bin/sh", "-uc", "exec env x {{y}}"]


def test_each_module_is_told_of_the_slots_of_all_apps() -> None:
    lists = [getattr(arguments, name)(SLOTS) for name in ("switches", "groups", "drains", "health_checks", "requests", "watched")]
    assert [len(found) for found in lists] == [2] * 6
    assert [getattr(arguments, name)({}) for name in ("switches", "groups", "drains", "health_checks", "requests", "watched")] == [[]] * 6


def test_ports_are_noted_of_all_that_is_there() -> None:
    noted = json.loads(arguments.noted_ports(PLAN, {"old": 8300, "gone": 8400, "shop": 1}, {"gone": {}}))
    assert noted == {"old": 8300, **{name: app["port"] for name, app in PLAN.items()}}


def test_directories_of_sockets_are_made_where_an_older_unit_has_not() -> None:
    slots = {"shop": {**SLOTS["shop"], "app": {**SHOP_PLAN, "listen": "sockets"}}}
    found = arguments.runtime_directories(slots, {"apps": {"shop": {"sockets": False}}})
    assert [(directory["path"], directory["mode"]) for directory in found] == [("/run/shop", "0751"), ("/run/shop/sockets", "2750")]
    assert arguments.runtime_directories(slots, {"apps": {"shop": {"sockets": True}}}) == []
    assert arguments.runtime_directories(SLOTS, {"apps": {name: {"sockets": False} for name in SLOTS}}) == []


def test_the_logs_of_ports_that_are_no_more_go_with_the_slot_that_had_them() -> None:
    had = {"shop": {**SLOTS["shop"], "ports": [9000, 9001, 9002, 9003]}}
    assert [len(slot["ports"]) for slot in SHOP_PLAN["slots"].values()] == [2, 2]
    gone = [f"/var/log/shop/{port}.log" for port in (8002, 8003, 9002, 9003)]
    assert [file["path"] for file in arguments.stale_logs(had)] == [f"{path}{age}" for path in gone for age in ("", ".1")]
    assert arguments.stale_logs({"shop": {**SLOTS["shop"], "ports": [9000]}}) == []


def test_a_slot_in_the_words_of_each_module() -> None:
    addresses = ["127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:9002"]
    shop = {"shop": {**SLOTS["shop"], "ports": [9000, 9001, 9002], "addresses": addresses}}
    flag, socket = SHOP_PLAN["flag"], SHOP_PLAN["socket"]
    assert arguments.switches(shop) == [{"app": "shop", "slot": "green", "flag": flag}]
    assert arguments.groups(shop) == [{"socket": socket, "group": "shop-green", "slot": "green", "flag": flag, "stop_timeout": 10}]
    assert arguments.drains(shop) == [{"app": "shop", "addresses": addresses, "timeout": SHOP_PLAN["drain"]["timeout"]}]
    assert arguments.watched(shop) == [{"app": "shop", "path": SHOP_PLAN["access_log"], "slot": "green"}]
    assert arguments.requests(shop) == [{"app": "shop", "host": SHOP_PLAN["host"], "prefix": "", "path": "/", "slot": "green"}]
    (check,) = arguments.health_checks(shop)
    assert (check["socket"], check["group"], check["ports"]) == (socket, "shop-green", [9000, 9001, 9002])


def test_the_apps_have_as_long_as_they_say_unless_the_caller_says_otherwise() -> None:
    assert [drain["timeout"] for drain in arguments.drains(SLOTS)] == [60, 7]
    assert [check["timeout"] for check in arguments.health_checks(SLOTS)] == [60, 60]
    assert [check["timeout"] for check in arguments.health_checks(SLOTS, 10)] == [10, 10]


def test_a_slot_proves_itself_at_the_gate_and_has_to_be_the_same_afterwards() -> None:
    assert [check["steady"] for check in arguments.health_checks(SLOTS)] == [2, 2]
    assert [check["steady"] for check in arguments.health_checks(SLOTS, 10)] == [0, 0]
    gate = {"apps": [{"app": "shop", "processes": [{"pid": 11}, {"pid": 12}]}]}
    assert [check["pids"] for check in arguments.health_checks(SLOTS, 10, gate)] == [[11, 12], []]
    assert [check["pids"] for check in arguments.health_checks(SLOTS)] == [[], []]


def test_the_files_of_a_slot_are_the_apps_alone_and_its_supervision_is_judged() -> None:
    record, secrets, config = arguments.slot_files({"shop": SLOTS["shop"]}, RELEASES, ["[program]\n"], "check", SECRETS)
    assert json.loads(record["content"])["release"] == "s" * 12
    assert config["content"] == "[program]\n"
    assert config["validate"] == f"check {SHOP_PLAN['config']} %s"
    assert json.loads(secrets["secret"]) == SECRETS["shop"]
    assert "hunter2" not in record["content"] + config["content"]
    assert json.loads(record["content"])["secrets"] == secrets["path"]
    for file in (record, secrets, config):
        assert (file["group"], file["mode"]) == ("shop", "0640")
    gone = arguments.slot_removals({"shop": SLOTS["shop"]})
    assert {file["path"] for file in gone} == {record["path"], secrets["path"], config["path"]}
    assert {file["state"] for file in gone} == {"absent"}


def test_every_slot_gets_its_own_text() -> None:
    assert [file.get("content") for file in arguments.slot_files(SLOTS, RELEASES, ["one", "two"], "check", SECRETS)][2::3] == ["one", "two"]
    assert [file["content"] for file in arguments.upstream_files(SLOTS, ["one", "two"])] == ["one", "two"]
    assert [file["content"] for file in arguments.site_files(PLAN, ["one", "two"])] == ["one", "two"]
    with pytest.raises(ValueError, match="shorter"):
        arguments.upstream_files(SLOTS, ["one"])


def test_a_link_leads_to_the_release_and_a_release_is_recorded_beside_it() -> None:
    (link, _) = arguments.slot_links(SLOTS, RELEASES)
    assert link == {"path": "/srv/shop/slots/green", "state": "link", "target": "/srv/shop/releases/ssssssssssss"}
    (record, _) = arguments.release_records(PLAN, RELEASES)
    assert record["path"] == "/srv/shop/releases/ssssssssssss.json"
    assert json.loads(record["content"]) == RELEASES["shop"]


def test_only_histories_that_are_new_are_written() -> None:
    (file,) = arguments.slot_histories(SLOTS, {"api": {"sequence": 2, "releases": []}})
    assert file["path"] == PLAN["api"]["slots"]["green"]["history"]
    assert json.loads(file["content"])["sequence"] == 2


def test_a_record_has_the_release_and_the_apps_environment_goes_before_the_roles() -> None:
    app = {**SHOP_PLAN, "environment": {"LANG": "de_DE.UTF-8", "GREETING": "hello"}}
    record = arguments.slot_record(app, app["slots"]["green"], RELEASES["shop"])
    assert record["python"] == "/srv/shop/environments/eeeeeeeeeeee/bin/python"
    assert record["environment"]["LANG"] == "de_DE.UTF-8"
    assert record["environment"]["GREETING"] == "hello"
    assert record["environment"]["TORNADO_APP_RELEASE"] == "ssssssssssss"
    assert record["environment"]["TORNADO_APP_SLOT"] == "green"


def test_the_cookie_secret_is_for_root_alone() -> None:
    assert arguments.cookie_files({"shop": SLOTS["shop"]}, {"shop": "s3"}) == [
        {"path": "/etc/shop/cookie_secret", "secret": "s3", "mode": "0600"}
    ]


def test_where_the_cookie_secrets_are() -> None:
    assert arguments.cookie_paths(PLAN) == {"shop": "/etc/shop/cookie_secret", "api": "/etc/api/cookie_secret"}


@pytest.mark.parametrize(
    ("listen", "ports", "addresses", "listeners", "children"),
    [
        ("ports", [9000, 9001], ["127.0.0.1:9000", "127.0.0.1:9001"], 0, 0),
        ("sockets", [9000, 9001], ["unix:/run/shop/sockets/9000.sock", "unix:/run/shop/sockets/9001.sock"], 0, 0),
        ("shared", [9000, 9001], ["127.0.0.1:9000"], 2, 0),
        ("fork", [9000], ["127.0.0.1:9000"], 0, 2),
    ],
)
def test_what_is_checked_of_each_way_to_listen(listen: str, ports: list[int], addresses: list[str], listeners: int, children: int) -> None:
    command = "{python} app.py {socket}" if listen == "sockets" else SHOP["command"]
    app = make_plan({"shop": {**SHOP, "processes": 2, "listen": listen, "command": command}}, DEFAULTS, HOST)["shop"]
    (check,) = arguments.health_checks({"shop": slot_of(app)})
    assert (check["ports"], check["addresses"], check["listeners"], check["children"]) == (ports, addresses, listeners, children)


def test_apps_that_share_names_share_a_site_in_the_file_of_the_first() -> None:
    names = ["shop.test", "www.test"]
    plan = make_plan(
        {
            "shop": {**SHOP, "server_names": names},
            "api": {**SHOP, "port": 8300, "server_names": ["api.test"]},
            "admin": {**SHOP, "port": 8400, "server_names": ["WWW.test", "shop.test"], "path": "/admin/"},
        },
        DEFAULTS,
        HOST,
    )
    assert [[app["name"] for app in variables["apps"]] for variables in arguments.site_variables(plan)] == [["shop", "admin"], ["api"]]
    files = arguments.site_files(plan, ["one", "two"])
    assert [(file["path"], file["app"]) for file in files] == [("conf.d/shop.conf", "shop"), ("conf.d/api.conf", "api")]
    assert arguments.site_absent(plan) == ["conf.d/admin.conf"]
