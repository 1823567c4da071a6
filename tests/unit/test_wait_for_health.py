"""wait_for_health, with processes of a real supervisord that behave well and badly."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import plugin
from tests.unit.conftest import OWN, PATIENCE, Supervisor, make_slot, process, run_module, wait_until
from tests.unit.impostor import http, impostor, lists, says

waiting = plugin("modules", "wait_for_health")
health = plugin("module_utils", "health")

Slot = Mapping[str, Any]
NOBODY = 2**22 + 1  # a process id above the highest that Linux gives
SLOTS = {
    "fine": ["200", "204", "302", "399"],
    "mixed": ["200", "500", "404", "200"],
    "deaf": ["refuse"],
    "hung": ["hang", "200"],
    "crashing": ["200", "crash"],
    "young": ["200"],
    "brief": ["brief", "200"],
    "working": ["200"],
    "lazy": ["200"],
}


@pytest.fixture(scope="module")
def slots(supervisor: Supervisor) -> dict[str, Slot]:
    """All groups, started at the same time."""
    settings: dict[str, Any] = {
        "young": {"startsecs": "3600"},
        "working": {"workers": {"worker": "sleep 3600", "web": "not this"}},
        "lazy": {"workers": {"worker": "sh -c 'echo no queue; exit 3'"}},
    }
    made: dict[str, Slot] = {name: supervisor.write_slot(name, behaviours, **settings.get(name, {})) for name, behaviours in SLOTS.items()}
    for slot in made.values():
        supervisor.group(slot, "started")
    return made


def by_port(result: Mapping[str, Any], slot: Slot) -> list[dict[str, Any]]:
    """What the result says of each process; in the order of the ports, each once."""
    assert [process["port"] for process in result["processes"]] == slot["ports"]
    assert [process["name"] for process in result["processes"]] == [f"{slot['group']}:{port}" for port in slot["ports"]]
    return list(result["processes"])


def test_all_healthy(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    """It returns once supervisord calls them running, too."""
    result = supervisor.health(slots["fine"], timeout=PATIENCE)
    found = by_port(result, slots["fine"])
    assert result["healthy"]
    assert not result.get("failed")
    assert not result["changed"]
    assert [process["status"] for process in found] == [200, 204, 302, 399]
    assert {process["state"] for process in found} == {"RUNNING"}
    assert all(process["healthy"] and process["error"] == "" and process["log"] == [] for process in found)


def test_asks_for_the_path_of_the_host(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    supervisor.health(slots["fine"], timeout=PATIENCE, health={"path": "/healthz?deep=1", "timeout": 1}, host="shop.example.com")
    for port in slots["fine"]["ports"]:
        asked = (Path(slots["fine"]["cwd"]) / f"{port}.asked").read_text().splitlines()
        assert json.loads(asked[-1]) == {"path": "/healthz?deep=1", "host": "shop.example.com"}


def test_one_of_several_answers_badly(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    supervisor.health(slots["fine"], timeout=PATIENCE)  # the others are running by now, too
    result = supervisor.health(slots["mixed"], timeout=1)
    found = by_port(result, slots["mixed"])
    assert (result["failed"], result["healthy"]) == (True, False)
    assert [process["healthy"] for process in found] == [True, False, False, True]
    assert [process["status"] for process in found] == [200, 500, 404, 200]
    assert [process["error"] for process in found] == ["", "/ answered 500", "/ answered 404", ""]
    bad, good = slots["mixed"]["ports"][1], slots["mixed"]["ports"][0]
    assert found[1]["log"] == [f"line {number} of {bad}" for number in range(10, 30)]
    assert found[0]["log"] == []
    assert f"{slots['mixed']['group']}:{bad} is not healthy" in result["msg"]
    assert "/ answered 500" in result["msg"]
    assert f"    line 29 of {bad}" in result["msg"]
    assert f"line 9 of {bad}" not in result["msg"]
    assert f":{good} " not in result["msg"]


def test_nobody_listens(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    result = supervisor.health(slots["deaf"], timeout=0.5)
    (process,) = by_port(result, slots["deaf"])
    assert (result["failed"], process["status"]) == (True, 0)
    assert "Connection refused" in process["error"]


def test_a_slot_has_the_time_that_it_says_itself(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    """Unless the call says another one."""
    for result in (
        supervisor.health(slots["deaf"], health={"path": "/", "timeout": 0}),
        supervisor.health(slots["deaf"], health={"path": "/", "timeout": int(5 * PATIENCE)}, timeout=0),
    ):
        assert result["failed"]
        assert result["elapsed"] < 5 * PATIENCE


def test_one_hangs(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    """It neither makes the deadline longer nor hides what the other one answered."""
    result = supervisor.health(slots["hung"], timeout=1)
    hung, good = by_port(result, slots["hung"])
    assert (result["failed"], hung["status"], hung["error"]) == (True, 0, "/: timed out")
    assert good["status"] == 200


def test_crash_at_start_ends_the_wait(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    """There is no need to wait for the deadline once supervisord has given up."""
    result = supervisor.health(slots["crashing"], timeout=5 * PATIENCE)
    assert result["elapsed"] < 5 * PATIENCE
    good, crashed = by_port(result, slots["crashing"])
    assert (result["failed"], good["status"], crashed["status"]) == (True, 200, 0)
    # Who looks often enough has seen it die three times before supervisord has said so.
    assert "supervisord: FATAL Exited too quickly" in crashed["error"] or "it died 3 times meanwhile" in crashed["error"]
    assert crashed["log"][-2:] == [f"line 29 of {crashed['port']}", "no database"]
    assert len(crashed["log"]) == 20
    assert "no database" in result["msg"]


def test_what_dies_after_it_answered_well_is_not_healthy_and_ends_the_wait(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    """supervisord calls it running each time that it is started anew."""
    result = supervisor.health(slots["brief"], timeout=5 * PATIENCE, steady=4)
    assert result["elapsed"] < 5 * PATIENCE
    brief, good = by_port(result, slots["brief"])
    assert (result["failed"], good["healthy"], good["error"]) == (True, True, "")
    assert "it died 3 times meanwhile" in brief["error"]


def test_what_answers_in_time_has_the_time_to_prove_itself(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    supervisor.health(slots["fine"], timeout=PATIENCE)
    result = supervisor.health(slots["fine"], timeout=1, steady=2)
    assert result["healthy"]
    assert result["elapsed"] >= 2


def test_the_processes_of_before_are_still_there_or_not(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    before = supervisor.health(slots["fine"], timeout=PATIENCE)
    pids = [process["pid"] for process in before["processes"]]
    assert [Path(f"/proc/{pid}").exists() for pid in pids] == [True] * 4
    assert supervisor.health(slots["fine"], timeout=PATIENCE, passed=[before])["healthy"]
    others = {"app": "another", "processes": [{**process, "pid": NOBODY} for process in before["processes"]]}
    assert supervisor.health(slots["fine"], timeout=PATIENCE, passed=[others])["healthy"]
    changed = {**before, "processes": [*before["processes"][:3], {**before["processes"][3], "pid": NOBODY}]}
    result = supervisor.health(slots["fine"], timeout=5 * PATIENCE, passed=[changed])
    assert result["elapsed"] < 5 * PATIENCE
    *good, other = by_port(result, slots["fine"])
    assert [process["healthy"] for process in good] == [True] * 3
    assert (other["healthy"], other["error"]) == (False, f"it is not process {NOBODY} any more")


def test_answering_is_not_enough(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    """A process that supervisord may still give up is not healthy."""
    supervisor.health(slots["fine"], timeout=PATIENCE)
    result = supervisor.health(slots["young"], timeout=1)
    (process,) = by_port(result, slots["young"])
    assert (result["failed"], process["status"], process["state"]) == (True, 200, "STARTING")
    assert "supervisord: STARTING" in process["error"]


def test_group_that_supervisord_does_not_know(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    """Somebody else's answer on its port does not make it healthy."""
    result = supervisor.health({**slots["fine"], "group": "shop-other"}, timeout=0.1)
    assert result["failed"]
    for found in result["processes"]:
        assert (found["healthy"], found["state"], found["log"][-1]) == (False, "UNKNOWN", f"line 29 of {found['port']}")


def test_supervisord_does_not_answer(supervisor: Supervisor, slots: Mapping[str, Slot], tmp_path: Path) -> None:
    result = supervisor.health(slots["fine"], socket=str(tmp_path / "none.sock"), timeout=0.1)
    assert result["failed"]
    assert f"supervisord: UNKNOWN no supervisord that answers on {tmp_path}/none.sock knows it" in result["msg"]


def test_workers_have_to_run(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    result = supervisor.health(slots["working"], timeout=PATIENCE)
    assert result["healthy"]
    assert [(process["name"], process["port"], process["state"]) for process in result["processes"]][1:] == [
        ("shop-working:worker.1", 0, "RUNNING")
    ]


def test_a_worker_that_ends_is_told_with_its_log(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    result = supervisor.health(slots["lazy"], timeout=5 * PATIENCE)
    web, worker = result["processes"]
    assert (web["healthy"], worker["healthy"], worker["state"]) == (True, False, "FATAL")
    assert worker["log"][-1] == "no queue"


def test_check_mode_asks_once(supervisor: Supervisor, slots: Mapping[str, Slot]) -> None:
    """It returns although the group never becomes healthy."""
    result = supervisor.health(slots["deaf"], check=True, timeout=PATIENCE)
    assert result["elapsed"] < PATIENCE
    assert (result["failed"], result["healthy"]) == (True, False)


def test_slots_of_several_apps_wait_side_by_side(slots: Mapping[str, Slot]) -> None:
    """Each for as long as its app may take: the one that is given up does not end the other's wait, which ends by itself."""
    names = {"api": "crashing", "shop": "fine"}
    patience = {"path": "/", "timeout": int(PATIENCE)}
    given = [{**slots[name], "app": app, "health": patience} for app, name in names.items()]
    result = run_module("wait_for_health", slots=given)
    assert [(app["app"], app["healthy"]) for app in result["apps"]] == [("api", False), ("shop", True)]
    assert not result["healthy"]
    assert slots["crashing"]["group"] in result["msg"]
    assert slots["fine"]["group"] not in result["msg"]


def test_no_slot_to_wait_for() -> None:
    assert run_module("wait_for_health", slots=[])["healthy"]


def test_the_log_is_where_the_plan_has_it_whatever_supervisord_says(tmp_path: Path) -> None:
    """Nor is it what somebody has put there."""
    (tmp_path / "secret").write_text("secret\n")
    slot = make_slot(socket=f"{tmp_path}/sock", logs=str(tmp_path), ports=[8000], addresses=["127.0.0.1:1"], **OWN)
    with impostor(tmp_path / "sock", lists({"statename": "FATAL", "stdout_logfile": f"{tmp_path}/secret"})):
        for made, log in (
            (lambda path: path.write_text("one\n\x1b[31mtwo\t2\n"), ["one", "\N{REPLACEMENT CHARACTER}[31mtwo    2"]),
            (lambda path: path.symlink_to("secret"), [f"({tmp_path}/8000.log is not a file)"]),
            (os.mkfifo, [f"({tmp_path}/8000.log is not a file)"]),
            (Path.exists, [f"({tmp_path}/8000.log: No such file or directory)"]),
        ):
            made(tmp_path / "8000.log")
            (found,) = run_module("wait_for_health", slots=[slot], timeout=0)["apps"][0]["processes"]
            assert (found["state"], found["log"]) == ("FATAL", log)
            (tmp_path / "8000.log").unlink(missing_ok=True)


def test_what_a_supervisord_says_that_cannot_be_believed_is_told(tmp_path: Path) -> None:
    slot = make_slot(socket=f"{tmp_path}/sock", ports=[8000], addresses=["127.0.0.1:1"], **OWN)
    with impostor(tmp_path / "sock", lists({"pid": "1"})):
        result = run_module("wait_for_health", slots=[slot], timeout=0)
    assert f"UNKNOWN no supervisord that answers on {tmp_path}/sock knows it; a process without pid" in result["msg"]


def test_an_app_that_hangs_keeps_no_other_waiting(
    supervisor: Supervisor, slots: Mapping[str, Slot], tmp_path: Path, ports: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its many processes answer when the other one was asked twice meanwhile."""
    assert supervisor.health(slots["fine"], timeout=PATIENCE)["healthy"]
    monkeypatch.setattr(waiting, "REQUEST_TIMEOUT", PATIENCE)
    asked = Path(slots["fine"]["cwd"]) / f"{slots['fine']['ports'][0]}.asked"
    (port,) = ports(1)
    patience = {"path": "/", "timeout": int(PATIENCE)}
    hung = make_slot(socket=f"{tmp_path}/sock", ports=list(range(100)), addresses=[f"127.0.0.1:{port}"], health=patience, **OWN)

    before = len(asked.read_bytes().splitlines())

    def hang(connection: socket.socket) -> None:
        wait_until(lambda: len(asked.read_bytes().splitlines()) > before + 1, "two requests to the other app")
        says(http(b""))(connection)

    with impostor(port, hang), impostor(tmp_path / "sock", lists({"name": "0", "statename": "FATAL"})):
        result = run_module("wait_for_health", slots=[hung, {**slots["fine"], "app": "fine", "health": patience}], steady=2)
    assert [app["healthy"] for app in result["apps"]] == [False, True]
    assert {process["status"] for process in result["apps"][0]["processes"]} == {200}


def test_who_answers_has_to_be_of_the_apps_user(ports: Callable[[int], list[int]]) -> None:
    """Whoever listens on the port of a process that is away answers in its place."""
    (port,) = ports(1)
    answer = {"status": 200, "latency_ms": 1.0, "error": "", "headers": {}, "body": ""}
    addresses = [f"127.0.0.1:{port}", "unix:/run/x.sock"]
    with socket.create_server(("127.0.0.1", port)):
        assert health.of_app([answer, answer], addresses, os.getuid()) == [answer, answer]
        foreign, unix = health.of_app([answer, answer], addresses, NOBODY)
    assert foreign["error"] == f"who listens on 127.0.0.1:{port} is of user id {os.getuid()}, not the app's {NOBODY}"
    assert unix == answer  # its owner is looked at before it is asked
    assert health.of_app([{**answer, "status": 0, "error": "away"}], addresses, NOBODY)[0]["error"] == "away"


# Processes that share an address, of which an answer says nothing


def test_processes_that_share_a_port_have_to_listen_all(ports: Callable[[int], list[int]]) -> None:
    (port,) = ports(1)
    slot = make_slot(listen="shared", ports=[8000, 8001], addresses=[f"127.0.0.1:{port}"], user=OWN["user"])
    with ExitStack() as stack:
        for expected in (f"1 of 2 processes listen on 127.0.0.1:{port}; reuse_port=True lets them share it", ""):
            listener = stack.enter_context(socket.socket())
            for option in (socket.SO_REUSEPORT, socket.SO_REUSEADDR):
                listener.setsockopt(socket.SOL_SOCKET, option, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            assert waiting.missing(slot, 0) == expected


def test_a_process_that_forks_has_to_have_its_children() -> None:
    slot = make_slot(listen="fork", processes=1, ports=[8000], addresses=["127.0.0.1:1"])
    with process("sleep", "3600"):
        assert waiting.missing(slot, os.getpid()) == ""
    assert waiting.missing({**slot, "processes": 9}, os.getpid()).startswith("it has forked ")
    assert waiting.missing(slot, 0) == "it has forked 0 of 1 processes"
