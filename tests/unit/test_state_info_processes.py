"""state_info: what it says of processes and connections, with a real supervisord and without one."""

from __future__ import annotations

import os
import resource
import socket
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tests.unit.app_on_disk import App, app, apps, run
from tests.unit.conftest import PATIENCE, Supervisor, utils, wait_until

__all__ = ["app"]  # a fixture

supervisord = utils("supervisor")


def test_running_app(supervisor: Supervisor) -> None:
    """supervisord's word for the state, the kernel's for all else."""
    blue = supervisor.write_slot("blue", ["200", "200"])
    green = supervisor.write_slot("green", ["crash"])
    for slot in (blue, green):
        supervisor.group(slot, "started")
    assert supervisor.health(blue, timeout=PATIENCE)["healthy"]
    state = run({**supervisor.app, "slots": {"blue": blue, "green": green}})
    pids = supervisor.pids()
    assert [(found["name"], found["port"], found["pid"]) for found in state["slots"]["blue"]["processes"]] == [
        (f"shop-blue:{port}", port, pids[f"shop-blue:{port}"]) for port in blue["ports"]
    ]
    assert state["supervisord"]["pid"] == supervisor.pid
    for found in (*state["slots"]["blue"]["processes"], state["supervisord"]):
        assert found["uid"] == os.getuid()
        assert found["nofile"] == resource.prlimit(found["pid"], resource.RLIMIT_NOFILE)[0]
        assert found["uptime"] >= 0
    assert {found["state"] for found in state["slots"]["blue"]["processes"]} == {"RUNNING"}
    (crashed,) = state["slots"]["green"]["processes"]
    assert crashed["state"] in ("STARTING", "BACKOFF", "FATAL", "RUNNING")  # the last where it took long to get as far as its crash
    assert state["slots"]["blue"]["deployed"]
    assert state["foreign_ports"] == {}


def test_connections_are_those_to_the_processes_of_a_slot(supervisor: Supervisor) -> None:
    one, other = supervisor.write_slot("one", ["200", "200"]), supervisor.write_slot("other", ["200"])
    for slot in (one, other):
        supervisor.group(slot, "started")
        assert supervisor.health(slot, timeout=PATIENCE)["healthy"]
    app = {**supervisor.app, "slots": {"blue": {**one, "name": "blue"}, "green": {**other, "name": "green"}}}

    def counted() -> tuple[int, int]:
        found = run(app)["slots"]
        return found["blue"]["connections"], found["green"]["connections"]

    with ExitStack() as stack:
        for port in (*one["ports"], one["ports"][0]):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        wait_until(lambda: counted() == (3, 0), "the three connections, and none of the health checks")


def test_a_unit_that_is_newer_than_its_supervisord(supervisor: Supervisor, tmp_path: Path) -> None:
    unit = tmp_path / "shop.service"
    app = {**supervisor.app, "unit_file": str(unit)}
    assert run(app)["outdated"] == ""
    unit.touch()
    now = time.time()
    os.utime(unit, (now, now - 3600))
    assert run(app)["outdated"] == ""
    os.utime(unit, (now, now + 3600))
    since = datetime.strptime(run(app)["outdated"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    assert now - 3600 < since < now + 3600
    assert run({**app, "socket": str(tmp_path / "no.sock")})["outdated"] == ""


def test_process_that_does_not_run() -> None:
    info = supervisord.ProcessInfo("shop-blue", "8000", "FATAL", 0, "", None)
    expected = {
        "name": "shop-blue:8000",
        "port": 8000,
        "children": 0,
        "state": "FATAL",
        "pid": 0,
        "nofile": 0,
        "uid": -1,
        "unit": "",
        "uptime": 0,
    }
    assert apps.process_state(info, {}) == expected


def test_socket_without_a_supervisord(app: App) -> None:
    Path(app["run"]).mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(app["socket"])
    assert run(app)["supervisord"] is None
