"""slot_processes, with real supervisords: groups come and go, no other is touched."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import OWN, PATIENCE, Supervisor, make_slot, process, run_module, utils, wait_until
from tests.unit.impostor import PROCESS, impostor, is_supervisord

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


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """A supervisord of another app."""
    with ExitStack() as stack:
        made = Supervisor(tmp_path_factory.mktemp("o"), stack)
        made.start()
        yield made


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


def test_workers_come_and_go_with_the_slot(supervisor: Supervisor) -> None:
    slot = supervisor.write_slot("busy", ["200"], workers={"worker": "sleep 3600", "clock": "sleep 3601"})
    supervisor.group(slot, "started")
    started = wait_until(lambda: all(pids(supervisor, slot).values()) and pids(supervisor, slot), "three processes")
    assert sorted(started) == [f"shop-busy:{name}" for name in (slot["ports"][0], "clock.1", "worker.1")]
    workers = [started[f"shop-busy:{name}.1"] for name in ("worker", "clock")]
    wait_until(lambda: [utils("proc").name(pid) for pid in workers] == ["sleep", "sleep"], "the commands in the places of their shells")
    supervisor.group(slot, "absent")
    assert pids(supervisor, slot) == {}
    assert [pid for pid in started.values() if Path(f"/proc/{pid}").exists()] == []


FORKS = """
import os, sys, time
parent = os.getpid()
if os.fork() == 0:
    open("child", "w").write(str(os.getpid()))
    while os.getppid() == parent or sys.argv[1] == "stays":
        time.sleep(0.05)
    time.sleep(0.5)
    open("finished", "w").close()
else:
    time.sleep(600)
"""


@pytest.mark.parametrize("child", ["stays", "finishes"])
def test_a_child_that_outlives_its_parent_may_finish_and_then_has_to_end(supervisor: Supervisor, child: str) -> None:
    """As those of a server that forks, which dies at once."""
    (supervisor.root / "forks.py").write_text(FORKS)
    slot = supervisor.write_slot(child, ["200"], workers={"worker": f"{sys.executable} {supervisor.root}/forks.py {child}"})
    supervisor.group(slot, "started")
    place = Path(slot["cwd"])
    pid = int(wait_until(lambda: (place / "child").exists() and (place / "child").read_text(), "the child"))
    supervisor.groups([{**slot, "stop_timeout": 2 if child == "stays" else PATIENCE}], "absent")
    assert pids(supervisor, slot) == {}
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or ") Z " in Path(f"/proc/{pid}/stat").read_text(), "its end")
    assert (place / "finished").exists() == (child == "finishes")


@pytest.mark.parametrize("state", ["started", "absent"])
def test_no_group(tmp_path: Path, state: str) -> None:
    """It needs no lock either."""
    result = run_module("slot_processes", slots=[], state=state, run="r-test", lock=str(tmp_path / "lock"))
    assert (result["changed"], result["groups"]) == (False, [])
    assert not (tmp_path / "lock").exists()


def test_several_groups(supervisor: Supervisor, other: Supervisor) -> None:
    """Of several supervisords, and of one; what is as it is to be is left out."""
    slots = [
        supervisor.write_slot("here", ["200", "200"]),
        supervisor.write_slot("beside", ["200"]),
        other.write_slot("there", ["200"]),
    ]
    names = [slot["group"] for slot in slots]
    supervisor.group(slots[0], "started")
    assert supervisor.groups(slots, "started")["groups"] == names[1:]
    assert [len(pids(runs, slot)) for runs, slot in zip((supervisor, supervisor, other), slots, strict=True)] == [2, 1, 1]
    supervisor.group(slots[1], "absent")
    assert sorted(supervisor.groups(slots, "absent")["groups"]) == sorted([names[0], names[2]])
    assert not supervisor.groups(slots, "absent")["changed"]


@pytest.mark.parametrize("answers", [True, False], ids=["ends at last", "its supervisord ends"])
def test_groups_are_stopped_at_the_same_time(supervisor: Supervisor, other: Supervisor, answers: bool) -> None:
    """The first ends only when the second is gone."""
    slow = other.write_slot("waits", ["stubborn"], stopwaitsecs="3600")
    quick = supervisor.write_slot("quick", ["200"])
    assert supervisor.groups([slow, quick], "started")["groups"] == [slow["group"], quick["group"]]
    assert other.health(slow, timeout=PATIENCE)["healthy"]
    (pid,) = pids(other, slow).values()

    def end() -> None:
        try:
            wait_until(lambda: not pids(supervisor, quick), "the removal of the second")
        finally:
            if not answers:
                os.kill(other.pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)

    ending = threading.Thread(target=end)
    ending.start()
    try:
        result = supervisor.groups([slow, quick], "absent", timeout=2 * PATIENCE)
    finally:
        ending.join()
    assert result["changed"]
    assert result["groups"] == ([slow["group"], quick["group"]] if answers else [quick["group"]])
    assert answers or result["msg"].startswith(f"supervisord does not answer on {other.socket}: ")


def test_what_fails_keeps_no_other_from_it(supervisor: Supervisor, tmp_path: Path) -> None:
    """All that is wrong is told."""
    slot = supervisor.write_slot("fine", ["200"])
    gone, unknown = {**slot, "group": "shop-gone", "socket": str(tmp_path / "none")}, {**slot, "group": "shop-nowhere"}
    started = supervisor.groups([gone, unknown, slot], "started")
    removed = supervisor.groups([gone, slot], "absent")
    for result, problems in (
        (started, [f"supervisord does not answer on {tmp_path}/none: ", "supervisord refused started of shop-nowhere: "]),
        (removed, [f"supervisord does not answer on {tmp_path}/none: "]),
    ):
        assert (result["failed"], result["changed"], result["groups"]) == (True, True, [slot["group"]])
        assert all(line.startswith(problem) for line, problem in zip(result["msg"].split("\n"), problems, strict=True))
    assert pids(supervisor, slot) == {}


def test_all_supervisords_are_spoken_to_at_the_same_time(tmp_path: Path) -> None:
    """Each of these answers when the other one was asked, too: one that hangs keeps no other app waiting."""
    both = threading.Barrier(2)

    def behave(connection: socket.socket) -> None:
        both.wait(PATIENCE)
        is_supervisord({"getAllProcessInfo": [], "reloadConfig": [], "addProcessGroup": True})(connection)

    slots = [make_slot(app, socket=f"{tmp_path}/{app}.sock", **OWN) for app in ("one", "other")]
    with impostor(tmp_path / "one.sock", behave), impostor(tmp_path / "other.sock", behave):
        lock = str(tmp_path / "lock")
        run_module("run_lock", path=lock, run="r-test")
        result = run_module("slot_processes", slots=slots, state="started", run="r-test", lock=lock)
    assert result["groups"] == [slot["group"] for slot in slots]


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
        result = supervisor.group({**slot, "name": name, "own": {"flag": str(flag)}}, "absent")
        assert result["failed"]
        assert result["msg"].endswith(f"is not stopped: the {name} slot is live")
    assert pids(supervisor, slot)
    assert supervisor.group(slot, "absent")["changed"]


def test_nothing_is_stopped_beside_what_is_live(supervisor: Supervisor, tmp_path: Path) -> None:
    idle, live = (supervisor.write_slot(name, ["200"]) for name in ("idle", "serving"))
    supervisor.groups([idle, live], "started")
    before = wait_until(lambda: all(supervisor.pids().values()) and supervisor.pids(), "all processes")
    result = supervisor.groups([idle, {**live, "name": "green", "own": {"flag": str(tmp_path)}}], "absent")
    assert (result["failed"], result["changed"], result["groups"]) == (True, False, [])
    assert result["msg"] == f"{live['group']} is not stopped: the green slot is live"
    assert supervisor.pids() == before
    assert supervisor.groups([idle, live], "absent")["changed"]


def test_another_runs_group_is_not_stopped(supervisor: Supervisor) -> None:
    slot = supervisor.write_slot("theirs", ["200"])
    supervisor.group(slot, "started")
    result = supervisor.group(slot, "absent", run="r-dead")
    assert result["failed"]
    assert "nothing is stopped: this host's lock is now that of" in result["msg"]
    assert pids(supervisor, slot)
    assert supervisor.group(slot, "absent")["changed"]


def test_check_mode(supervisor: Supervisor, bystander: Slot) -> None:
    slot = supervisor.write_slot("check", ["200"])
    for group, state, changed in (
        (slot, "started", True),
        (slot, "absent", False),
        (bystander, "started", False),
        (bystander, "absent", True),
    ):
        assert supervisor.group(group, state, check=True)["changed"] == changed
    assert pids(supervisor, slot) == {}


def test_group_without_a_file(supervisor: Supervisor) -> None:
    result = supervisor.group(make_slot(group="shop-nowhere", socket=supervisor.socket, **OWN), "started")
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


def start_by(path: Path) -> dict[str, Any]:
    """What is told of a group whose supervisord is to listen there."""
    return run_module("slot_processes", slots=[make_slot(socket=str(path), **OWN)], state="started", run="r-test")


def test_no_socket(tmp_path: Path) -> None:
    result = start_by(tmp_path / "none")
    assert result["failed"]
    assert result["msg"].startswith(f"supervisord does not answer on {tmp_path}/none: ")
    assert "No such file or directory" in result["msg"]
    assert "systemctl status" in result["msg"]


def test_socket_that_nobody_answers(tmp_path: Path) -> None:
    """What a supervisord that was killed leaves behind."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "sock"))
    result = start_by(tmp_path / "sock")
    assert result["failed"]
    assert "Connection refused" in result["msg"]


def test_nothing_is_ended_that_is_not_the_apps(tmp_path: Path) -> None:
    """Though its supervisord says that it is the group's."""
    with process("sleep", "3600", start_new_session=True) as bystander:
        listed = [{**PROCESS, "statename": "STOPPED", "pid": bystander.pid}]
        slot = make_slot(socket=f"{tmp_path}/sock", stop_timeout=0, user=OWN["user"], unit="other.service", flag=str(tmp_path))
        with impostor(tmp_path / "sock", is_supervisord({"getAllProcessInfo": listed, "removeProcessGroup": True})):
            run_module("run_lock", path=f"{tmp_path}/lock", run="r-test")
            result = run_module("slot_processes", slots=[slot], state="absent", run="r-test", lock=f"{tmp_path}/lock")
        assert not result["changed"]
        assert bystander.poll() is None


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
        result = start_by(tmp_path / "sock")
        answering.join()
    assert result["failed"]
    assert result["msg"].startswith(f"supervisord does not answer on {tmp_path}/sock: ")
