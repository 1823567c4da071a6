"""What the files of slots and sites say, whose they are, and which of them go."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot, worker_names
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import files
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import planned_slot
from tests.unit.builders import HOST, SHOP, absent, planned, release

PLAN = planned({"shop": {**SHOP, "processes": 2}, "api": {**SHOP, "port": 8500, "server_names": ["api.test"]}})
SHOP_PLAN = PLAN["shop"]
GREEN = SHOP_PLAN["slots"]["green"]
RELEASE = release("s" * 12)


def app(**settings: Any) -> App:
    """The plan of shop with these settings."""
    return planned({"shop": {**SHOP, "processes": 2, **settings}})["shop"]


def had(*ports: int, slot: Slot = GREEN, workers: dict[str, int] | None = None) -> Slot:
    """A slot with other ports and workers than it would get now."""
    return {**slot, "ports": list(ports), "workers": workers or {}}


# The files of a slot


@given(st.integers(1, 128), st.integers(0, 128))
def test_all_log_files_together_stay_within_their_budget(processes: int, workers: int) -> None:
    found = app(processes=processes, scale={"worker": workers})
    slot = planned_slot(found, "green", release("s" * 12, commands={"worker": "x"}))
    written = 2 * (processes + workers) * 2  # slots, processes, current and rotated
    assert len(files.log_files(slot)) == processes + workers
    assert (written + 1) * files.log_max_bytes(found, slot) <= found["log_budget"] == 1 << 30


def test_the_budget_is_for_the_ports_of_the_plan_whatever_a_slot_has() -> None:
    assert files.log_max_bytes(app(processes=64), had(9000)) == (1 << 30) // (4 * 64 + 1)


def test_the_logs_of_a_slot_are_those_of_its_ports_and_workers() -> None:
    workers = release("s" * 12, commands={"worker": "x"})
    slot = planned_slot(app(scale={"worker": 2}), "green", workers)
    assert files.log_files(slot) == [f"/var/log/shop/{name}.log" for name in ("9000", "9001", "green.worker.1", "green.worker.2")]
    assert files.log_files(planned_slot(app(logs="journal"), "green", workers)) == []


def test_the_gate_is_told_of_each_worker() -> None:
    slot = planned_slot(app(scale={"worker": 2}), "green", release("s" * 12, commands={"web": "w", "worker": "x", "clock": "c"}))
    assert worker_names(slot) == ["worker.1", "worker.2", "clock.1"]


def test_the_files_of_a_slot_are_the_apps_alone_and_its_supervision_is_judged() -> None:
    record, secrets, config = files.own_files(SHOP_PLAN, GREEN, RELEASE, "[program]\n", "check", {"TOKEN": "hunter2"})
    assert json.loads(record["content"])["release"] == "s" * 12
    assert config["content"] == "[program]\n"
    assert config["validate"] == f"check {SHOP_PLAN['config']} %s"
    assert json.loads(secrets["secret"]) == {"TOKEN": "hunter2"}
    assert "hunter2" not in record["content"] + config["content"]
    assert json.loads(record["content"])["secrets"] == secrets["path"]
    rotation = files.rotation(SHOP_PLAN, GREEN, "size 1\n")
    for file in (record, secrets, config, rotation):
        assert (file["group"], file["mode"]) == ("shop", "0640")
    gone = files.removals([GREEN])
    assert {file["path"] for file in gone} == {record["path"], secrets["path"], config["path"], rotation["path"]}
    assert {file["state"] for file in gone} == {"absent"}


def test_a_command_takes_the_place_of_the_web_line_alone() -> None:
    record = files.record(SHOP_PLAN, GREEN, release("s" * 12, commands={"web": "w", "worker": "x {y}"}))
    assert record["commands"] == {"web": SHOP_PLAN["argv"], "worker": ["/bin/sh", "-uc", "exec env x {{y}}"]}
    procfile = files.record(app(command=None), GREEN, release("s" * 12, commands={"web": "w"}))
    assert procfile["commands"] == {"web": ["/bin/sh", "-uc", "exec env w"]}


def test_the_reloader_runs_all_but_the_release_command() -> None:
    found = app(processes=1, debug=True, watch=["/etc/{x}"])
    commands = files.record(found, GREEN, release("s" * 12, commands={"worker": "x", "release": "y"}))["commands"]
    assert commands["release"] == ["/bin/sh", "-uc", "exec env y"]
    for kind in ("web", "worker"):
        assert commands[kind][0] == "/usr/bin/python3"
        assert "--watch=/etc/{{x}}" in commands[kind]


def test_a_record_has_the_release_and_the_apps_environment_goes_before_the_roles() -> None:
    record = files.record(app(environment={"LANG": "de_DE.UTF-8", "GREETING": "hello"}), GREEN, RELEASE)
    assert record["python"] == "/srv/shop/environments/eeeeeeeeeeee/bin/python"
    assert record["environment"]["LANG"] == "de_DE.UTF-8"
    assert record["environment"]["GREETING"] == "hello"
    assert record["environment"]["TORNADO_APP_RELEASE"] == "ssssssssssss"
    assert record["environment"]["TORNADO_APP_SLOT"] == "green"
    assert (record["addresses"], record["journal"]) == (GREEN["addresses"], "")
    assert files.record(app(logs="journal"), GREEN, RELEASE)["journal"] == "shop-green"


def test_a_link_leads_to_the_release_and_a_release_is_recorded_beside_it() -> None:
    assert files.link(GREEN, RELEASE) == {"path": "/srv/shop/slots/green", "state": "link", "target": "/srv/shop/releases/ssssssssssss"}
    wanted = {name: release(name[0] * 12, version="v1", commit="c0ffee") for name in PLAN}
    record, other = files.release_records(PLAN, wanted)
    assert (record["path"], other["path"]) == ("/srv/shop/releases/ssssssssssss.json", "/srv/api/releases/aaaaaaaaaaaa.json")
    # What git calls it is in the history: a release is the same by whatever name it was deployed.
    assert json.loads(record["content"]) == release("s" * 12)


def test_a_history_is_written_beside_its_slot() -> None:
    file = files.history(GREEN, {"sequence": 2, "releases": []})
    assert file["path"] == GREEN["history"]
    assert json.loads(file["content"])["sequence"] == 2


def test_the_cookie_secret_is_for_root_alone() -> None:
    assert files.cookie(SHOP_PLAN, "s3") == {"path": "/etc/shop/cookie_secret", "secret": "s3", "mode": "0600"}


# What is noted, and what goes


def test_ports_are_noted_of_all_that_is_there() -> None:
    noted = json.loads(files.noted_ports(PLAN, {"old": 8300, "gone": 8400, "shop": 1}, {"gone": {}}))
    assert noted == {"old": 8300, **{name: app["port"] for name, app in PLAN.items()}}


def test_the_logs_of_ports_that_are_no_more_go_with_the_slot_that_had_them() -> None:
    assert [len(slot["ports"]) for slot in SHOP_PLAN["slots"].values()] == [2, 2]
    gone = [f"/var/log/shop/{port}.log{age}" for port in (8002, 8003, 9002, 9003) for age in ("", ".1")]
    for slot, ports in (("green", (9000, 9001, 9002, 9003)), ("blue", (8000, 8001, 8002, 8003))):
        found = files.stale_logs(PLAN, [had(*ports, slot=SHOP_PLAN["slots"][slot])], 1000)
        assert found == gone
    assert files.stale_logs(PLAN, [had(9000)], 1000) == []


def test_the_logs_of_workers_that_are_too_many_go_too() -> None:
    found = files.stale_logs({"shop": {**SHOP_PLAN, "scale": {"worker": 2}}}, [had(9000, workers={"worker": 3, "beat": 1})], 1000)
    assert found == [f"/var/log/shop/{name}.worker.3.log{age}" for name in ("blue", "green") for age in ("", ".1")]


def test_where_the_journal_has_it_all_no_log_stays() -> None:
    found = files.stale_logs({"shop": {**SHOP_PLAN, "journal": True}}, [had(9000, workers={"worker": 1})], 1000)
    names = ("8000", "9000", "blue.worker.1", "green.worker.1")
    assert found == [f"/var/log/shop/{name}.log{age}" for name in names for age in ("", ".1")]


# Sites


def test_apps_that_share_names_share_a_site_in_the_file_of_the_first() -> None:
    plan = planned(
        {
            "shop": {**SHOP, "server_names": ["shop.test", "www.test"]},
            "api": {**SHOP, "port": 8300, "server_names": ["api.test"]},
            "admin": {**SHOP, "port": 8400, "server_names": ["WWW.test", "shop.test"], "path": "/admin/"},
        },
    )
    found = files.sites(plan)
    assert [[app["name"] for app in together] for together in found] == [["shop", "admin"], ["api"]]
    assert [together[0]["site_config"] for together in found] == ["conf.d/shop.conf", "conf.d/api.conf"]
    unused = [f"tornado_app/{name}.pem" for name in plan]
    assert files.nginx_absent({"apps": plan, "absent": {}, "host": HOST}) == ["sites-enabled/default", "conf.d/admin.conf", *unused]


def test_of_an_app_that_is_to_be_absent_nginx_has_nothing() -> None:
    found = files.nginx_absent({"apps": PLAN, "absent": absent("old"), "host": HOST})
    assert found[0] == "sites-enabled/default"
    assert found[-4:] == ["conf.d/old.conf", "conf.d/old.blue.conf", "conf.d/old.green.conf", "tornado_app/old.pem"]


@pytest.mark.parametrize(
    ("listen", "ports", "addresses"),
    [
        ("ports", [9000, 9001], ["127.0.0.1:9000", "127.0.0.1:9001"]),
        ("sockets", [9000, 9001], ["unix:/run/tornado_app/sockets/shop/9000.sock", "unix:/run/tornado_app/sockets/shop/9001.sock"]),
        ("shared", [9000, 9001], ["127.0.0.1:9000"]),
        ("fork", [9000], ["127.0.0.1:9000"]),
    ],
)
def test_what_a_slot_has_of_each_way_to_listen(listen: str, ports: list[int], addresses: list[str]) -> None:
    command = "{python} app.py {socket}" if listen == "sockets" else SHOP["command"]
    slot = app(listen=listen, command=command)["slots"]["green"]
    assert (slot["ports"], slot["addresses"], slot["listen"], slot["processes"]) == (ports, addresses, listen, 2)
