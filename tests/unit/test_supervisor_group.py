"""supervisor_group, with a real supervisord: one group comes and goes, no other is touched."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import PATIENCE, Supervisor, run_module, utils, wait_until

Slot = Mapping[str, Any]


def pids(supervisor: Supervisor, slot: Slot) -> dict[str, int]:
    """The slot's processes, by name."""
    return {name: pid for name, pid in supervisor.pids().items() if name.startswith(f"{slot['group']}:")}


@pytest.fixture(scope="module")
def bystander(supervisor: Supervisor) -> Slot:
    """The group that must never be touched."""
    slot = supervisor.write_slot("bystander", ["200", "200"])
    assert supervisor.group(slot, "started")["changed"]
    assert supervisor.health(slot, timeout=PATIENCE)["healthy"]
    return slot


@pytest.fixture(autouse=True)
def untouched(supervisor: Supervisor, bystander: Slot) -> Iterator[None]:
    """Its process ids are the same after each test."""
    before = pids(supervisor, bystander)
    assert all(before.values())
    assert len(before) == 2
    yield
    assert pids(supervisor, bystander) == before


def test_started_then_absent(supervisor: Supervisor) -> None:
    slot = supervisor.write_slot("one", ["200", "200", "200"])
    assert supervisor.group(slot, "started")["changed"]
    started = wait_until(lambda: all(pids(supervisor, slot).values()) and pids(supervisor, slot), "three processes")
    assert sorted(started) == [f"{slot['group']}:{port}" for port in slot["ports"]]

    assert not supervisor.group(slot, "started")["changed"]
    assert pids(supervisor, slot) == started

    assert supervisor.group(slot, "absent")["changed"]
    assert pids(supervisor, slot) == {}
    assert not any(utils("proc").describe(pid) for pid in started.values())

    assert not supervisor.group(slot, "absent")["changed"]


def test_what_changed_on_disk_restarts_nobody(supervisor: Supervisor, bystander: Slot) -> None:
    """The files of a running group may be new: `supervisorctl update` would restart it for that."""
    config = Path(bystander["config"])
    before = config.read_text()
    config.write_text(before.replace("numprocs = 2", "numprocs = 1").replace("startsecs = 2", "startsecs = 3"))
    try:
        slot = supervisor.write_slot("two", ["200"])
        supervisor.group(slot, "started")
        assert not supervisor.group(bystander, "started")["changed"]
        supervisor.group(slot, "absent")
    finally:
        config.write_text(before)


def test_comes_back_as_its_file_is_now(supervisor: Supervisor) -> None:
    slot = supervisor.write_slot("three", ["200"])
    supervisor.group(slot, "started")
    supervisor.group(slot, "absent")
    wider = supervisor.write_slot("three", ["200", "200"])
    supervisor.group(wider, "started")
    assert sorted(pids(supervisor, slot)) == [f"{slot['group']}:{port}" for port in wider["ports"]]
    supervisor.group(slot, "absent")


def test_process_that_does_not_end_is_killed(supervisor: Supervisor) -> None:
    slot = supervisor.write_slot("stubborn", ["stubborn"])
    supervisor.group(slot, "started")
    assert supervisor.health(slot, timeout=PATIENCE)["healthy"]
    (pid,) = pids(supervisor, slot).values()
    assert supervisor.group(slot, "absent", timeout=PATIENCE)["changed"]
    assert utils("proc").describe(pid) is None


def test_process_that_does_not_end_in_time(supervisor: Supervisor) -> None:
    slot = supervisor.write_slot("slow", ["stubborn"], stopwaitsecs="3600")
    supervisor.group(slot, "started")
    assert supervisor.health(slot, timeout=PATIENCE)["healthy"]
    (pid,) = pids(supervisor, slot).values()
    try:
        result = supervisor.group(slot, "absent", timeout=0.2)
        assert result["failed"]
        assert result["msg"].startswith(f"{slot['group']} was still running")
    finally:
        os.kill(pid, signal.SIGKILL)
    assert supervisor.group(slot, "absent")["changed"]


def test_group_that_crashes_can_be_removed(supervisor: Supervisor) -> None:
    """Whichever state it is in: starting, backing off or given up."""
    slot = supervisor.write_slot("crashing", ["crash", "crash"])
    for _ in range(2):
        assert supervisor.group(slot, "started")["changed"]
        assert supervisor.group(slot, "absent")["changed"]
        assert pids(supervisor, slot) == {}


def test_what_is_live_is_not_stopped(supervisor: Supervisor, tmp_path: Path) -> None:
    """Whoever asks for it: what is left of a run whose controller was killed, for instance."""
    slot = supervisor.write_slot("live", ["200"])
    supervisor.group(slot, "started")
    for name, flag in (("blue", tmp_path / "nowhere"), ("green", tmp_path)):
        result = supervisor.group(slot, "absent", slot=name, flag=str(flag))
        assert result["failed"]
        assert result["msg"].endswith(f"is not stopped: the {name} slot is live")
    assert pids(supervisor, slot)
    assert supervisor.group(slot, "absent")["changed"]


def test_another_runs_group_is_not_stopped(supervisor: Supervisor) -> None:
    slot = supervisor.write_slot("theirs", ["200"])
    supervisor.group(slot, "started")
    result = supervisor.group(slot, "absent", run="r-dead")
    assert result["failed"]
    assert "is not stopped: this host's lock is now that of" in result["msg"]
    assert pids(supervisor, slot)
    assert supervisor.group(slot, "absent")["changed"]


def test_check_mode(supervisor: Supervisor, bystander: Slot) -> None:
    slot = supervisor.write_slot("check", ["200"])
    for group, state, changed in (
        (slot["group"], "started", True),
        (slot["group"], "absent", False),
        (bystander["group"], "started", False),
        (bystander["group"], "absent", True),
    ):
        assert supervisor.group({"group": group}, state, check=True)["changed"] == changed
    assert pids(supervisor, slot) == {}


def test_group_without_a_file(supervisor: Supervisor) -> None:
    result = supervisor.group({"group": "shop-nowhere"}, "started")
    assert result["failed"]
    assert "refused started of shop-nowhere" in result["msg"]
    assert "configuration file is not among those that supervisord includes" in result["msg"]


@pytest.mark.parametrize("bad", ["numprocs = many", "[program", "startsecs = soon"])
def test_bad_file(supervisor: Supervisor, bad: str) -> None:
    """supervisord's words arrive; once the file is right, the group starts."""
    slot = supervisor.write_slot("bad", ["200"])
    good = Path(slot["config"]).read_text()
    Path(slot["config"]).write_text(f"{good}\n{bad}\n")
    result = supervisor.group(slot, "started")
    assert result["failed"]
    assert "refused started of shop-bad: CANT_REREAD" in result["msg"]
    Path(slot["config"]).write_text(good)
    assert supervisor.group(slot, "started")["changed"]
    assert supervisor.group(slot, "absent")["changed"]


def test_no_socket(tmp_path: Path) -> None:
    result = run_module("supervisor_group", socket=str(tmp_path / "none"), group="shop-blue", state="started")
    assert result["failed"]
    assert result["msg"].startswith(f"supervisord does not answer on {tmp_path}/none: ")
    assert "No such file or directory" in result["msg"]
    assert "systemctl status" in result["msg"]


def test_socket_that_nobody_answers(tmp_path: Path) -> None:
    """What a supervisord that was killed leaves behind."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "sock"))
    result = run_module("supervisor_group", socket=str(tmp_path / "sock"), group="shop-blue", state="started")
    assert result["failed"]
    assert "Connection refused" in result["msg"]


def test_socket_of_something_else(tmp_path: Path) -> None:
    """A web server is no supervisord."""

    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(404)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: Any) -> None: ...

    with socketserver.UnixStreamServer(str(tmp_path / "sock"), Refuse) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        result = run_module("supervisor_group", socket=str(tmp_path / "sock"), group="shop-blue", state="started")
        answering.join()
    assert result["failed"]
    assert result["msg"].startswith(f"supervisord does not answer on {tmp_path}/sock: ")
