"""watchdog.py, under a real supervisord: what it starts again, what it replaces, and what it leaves alone."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import ROLE, plugin
from tests.unit.app_on_disk import run
from tests.unit.conftest import OWN, Supervisor, render, run_module, utils, wait_until

Slot = Mapping[str, Any]
SOURCE = (ROLE / "files/watchdog.py").read_text()


class Guarded(Supervisor):
    """A supervisord with its watchdog, which those of other tests lack. It looks often, and finds soon that one hangs; blue is live."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        super().__init__(root, stack)
        self.script = root / "watchdog.py"
        self.install(SOURCE)
        self.without = Path(self.app["config"]).read_text()
        variables = {"__tornado_app_supervisor": str(Path(sys.executable).parents[1]), "__tornado_app_root": str(root)}
        self.config = render("supervisord.conf.j2", {"app": self.app, **variables})
        Path(self.app["config"]).write_text(self.config)
        Path(self.app["flag"]).parent.mkdir(parents=True)
        self.set()

    def install(self, source: str) -> None:
        """Put the script in place, as Ansible does."""
        for name, value in (("LOOK", "0.05"), ("LONGEST", "0.1"), ("PATIENCE", "0.5")):
            source, count = re.subn(rf"^{name} = [0-9.]+", f"{name} = {value}", source, flags=re.MULTILINE)
            assert count == 1
        self.script.with_suffix(".new").write_text(source)
        self.script.with_suffix(".new").replace(self.script)

    def set(self, **changed: Any) -> None:
        """Write its settings, in which something may be as never in a plan."""
        found = json.loads(plugin("plugin_utils", "files").watchdog_settings(self.app))
        usual = {"liveness": {"interval": 0.1, "timeout": 0.3, "failures": 2}, "health": {"path": "/healthz", "timeout": 1}}
        self.write(json.dumps({**found, **usual, **changed}))

    def write(self, settings: str) -> None:
        """The file with its settings."""
        Path(self.app["etc"], "watchdog.new").write_text(settings)
        Path(self.app["etc"], "watchdog.new").replace(Path(self.app["etc"], "watchdog.json"))

    def slot(self, name: str, behaviours: list[str], **options: Any) -> dict[str, Any]:
        """A slot that is started; each of its processes that ends at once is given up at once."""
        retries: dict[str, Any] = {} if options else {"startretries": "0"}
        slot = self.write_slot(name, behaviours, **retries, **options)
        assert self.group(slot, "started")["changed"]
        return slot

    def behave(self, slot: Slot, port: int, how: str) -> None:
        """Let a process behave otherwise from its next start on."""
        record = json.loads(Path(slot["record"]).read_text())
        record["environment"][f"HOW_{port}"] = how
        Path(slot["record"]).write_text(json.dumps(record))

    def infos(self) -> dict[str, dict[str, Any]]:
        """What supervisord says of each process."""
        found = utils("supervisor").Supervisor(self.socket, *OWN.values()).call("getAllProcessInfo")
        return {f"{info['group']}:{info['name']}": info for info in found}

    def restarts(self, name: str) -> int:
        """How often the watchdog says that it has started a process again."""
        return int(utils("watchdog").read(self.app["watchdog"], OWN["user"], [name]).get(name, {"restarts": 0})["restarts"])

    def looks(self, crashing: str) -> None:
        """Wait until the watchdog has looked a few times: it has started what crashes again, and once more."""
        before = self.restarts(crashing)
        wait_until(lambda: self.restarts(crashing) >= before + 2, "two looks of the watchdog")

    def log(self) -> str:
        """What it has printed."""
        return Path(self.app["logs"], "watchdog.log").read_text()


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with ExitStack() as stack:
        made = Guarded(tmp_path_factory.mktemp("g"), stack)
        made.start()
        yield made


def names(slot: Slot) -> list[str]:
    """The web processes of a slot."""
    return [f"{slot['group']}:{port}" for port in slot["ports"]]


def is_replaced(guarded: Guarded, name: str, pid: int) -> bool:
    """Whether supervisord calls another process of that name running."""
    info = guarded.infos()[name]
    return bool(info["statename"] == "RUNNING" and info["pid"] != pid)


def well(guarded: Guarded, slot: Slot) -> dict[str, int]:
    """The process ids, once all of the slot run."""
    wait_until(lambda: all(guarded.infos()[name]["statename"] == "RUNNING" for name in names(slot)), "all processes")
    return {name: pid for name, pid in guarded.pids().items() if name in names(slot)}


def test_what_was_given_up_comes_back_when_it_can(guarded: Guarded) -> None:
    slot = guarded.slot("blue", ["crash", "200"])
    crashing, other = names(slot)
    guarded.looks(crashing)
    before = guarded.pids()[other]
    guarded.behave(slot, slot["ports"][0], "200")
    assert well(guarded, slot)[other] == before
    assert f"{crashing} is started again: supervisord had given it up: Exited too quickly" in guarded.log()
    found = run(guarded.app)
    assert found["watchdog"]["state"] == "RUNNING"
    assert found["watchdog"]["processes"][crashing]["reason"].startswith("supervisord had given it up")
    assert found["untrusted"] == []


def test_what_hangs_is_replaced_and_nothing_else(guarded: Guarded) -> None:
    slot = guarded.slot("blue", ["200", "503", "200", "refuse"])
    before = well(guarded, slot)
    hanging = names(slot)[0]
    os.kill(before[hanging], signal.SIGSTOP)  # SIGTERM does not end it
    wait_until(partial(is_replaced, guarded, hanging, before[hanging]), "another process")
    after = guarded.pids()
    assert {name: after[name] for name in names(slot)[1:]} == {name: before[name] for name in names(slot)[1:]}
    assert f"{hanging} is started again: it listens and did not answer /healthz within 0.3 s, 2 times" in guarded.log()


def test_who_hangs_at_the_same_time_is_replaced_one_after_the_other(guarded: Guarded) -> None:
    """New processes hang too, and keep the others waiting no longer than they have to answer."""
    guarded.set(health={"path": "/healthz", "timeout": 3})
    slot = guarded.slot("blue", ["hang", "hang", "hang"])
    before = well(guarded, slot)

    def replaced() -> bool:
        infos = guarded.infos()
        assert sum(infos[name]["statename"] != "RUNNING" for name in before) <= 1
        return all(infos[name]["pid"] != pid for name, pid in before.items())

    wait_until(replaced, "all others")


GROWN = """
import os, subprocess, sys, time
if len(sys.argv) == 1:
    child = subprocess.Popen([sys.executable, __file__, str(os.getppid())])
    open("child", "w").write(str(child.pid))
    time.sleep(3600)
grown = b"x" * 150_000_000
while os.path.exists(f"/proc/{sys.argv[1]}/exe"):  # nothing stays behind when supervisord has gone
    time.sleep(0.1)
"""


def test_what_grows_is_replaced_with_what_it_has_started(guarded: Guarded) -> None:
    guarded.set(memory_limit=120_000_000)
    (guarded.root / "grown.py").write_text(GROWN)
    slot = guarded.slot("blue", ["200"], workers={"worker": f"{sys.executable} {guarded.root}/grown.py"})
    before = well(guarded, slot)
    place = Path(slot["cwd"], "child")
    child = wait_until(lambda: place.exists() and place.read_text(), "the child")
    wait_until(lambda: guarded.restarts(f"{slot['group']}:worker.1"), "the replacement")
    wait_until(lambda: not Path(f"/proc/{child}").exists() or ") Z " in Path(f"/proc/{child}/stat").read_text(), "the end of its child")
    assert {name: guarded.pids()[name] for name in before} == before
    assert re.search(r"it took 1\d{8} bytes of memory, memory_limit is 120000000", guarded.log())


def test_the_idle_slot_is_left_to_the_gate_until_it_is_live(guarded: Guarded) -> None:
    blue, green = guarded.slot("blue", ["crash"]), guarded.slot("green", ["crash"])
    (live,), (idle,) = names(blue), names(green)
    guarded.looks(live)
    assert guarded.infos()[idle]["statename"] == "FATAL"
    assert guarded.restarts(idle) == 0
    Path(guarded.app["flag"]).touch()
    guarded.looks(idle)


def test_what_was_stopped_stays_so(guarded: Guarded) -> None:
    slot = guarded.slot("blue", ["crash", "200"])
    crashing, stopped = names(slot)
    wait_until(lambda: guarded.infos()[stopped]["statename"] == "RUNNING", "the other process")
    utils("supervisor").Supervisor(guarded.socket, *OWN.values()).call("stopProcess", stopped)
    guarded.looks(crashing)
    assert guarded.infos()[stopped]["statename"] == "STOPPED"


def test_settings_count_at_once_and_bad_ones_end_nothing(guarded: Guarded) -> None:
    guarded.set(liveness={"interval": 0, "timeout": 1, "failures": 1})
    slot = guarded.slot("blue", ["crash", "hang"])
    crashing, hanging = names(slot)
    watchdog = wait_until(lambda: guarded.pids()["watchdog:watchdog.1"], "the watchdog")
    guarded.looks(crashing)
    assert guarded.restarts(hanging) == 0
    guarded.write("{")
    wait_until(lambda: "cannot look: JSONDecodeError" in guarded.log(), "its complaint")
    guarded.set()
    wait_until(lambda: guarded.restarts(hanging), "the replacement")
    assert guarded.pids()["watchdog:watchdog.1"] == watchdog


def test_another_watchdog_takes_its_place_when_its_file_changes(guarded: Guarded) -> None:
    slot = guarded.slot("blue", ["200"])
    before = well(guarded, slot)
    former = guarded.pids()["watchdog:watchdog.1"]
    guarded.install(f"{SOURCE}\n# changed\n")
    wait_until(partial(is_replaced, guarded, "watchdog:watchdog.1", former), "another watchdog")
    assert {name: guarded.pids()[name] for name in before} == before


def sockets_of(pid: int) -> set[str]:
    found = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return {target for target in found if target.startswith("socket:")}


def test_a_supervisord_that_does_not_answer_is_asked_again(guarded: Guarded) -> None:
    (crashing,) = names(guarded.slot("blue", ["crash"]))
    guarded.looks(crashing)
    watchdog = guarded.pids()["watchdog:watchdog.1"]
    os.kill(guarded.pid, signal.SIGSTOP)
    try:
        # Its patience with supervisord ends while nobody reads what it says of that: the call that hangs is given up.
        call = wait_until(lambda: sockets_of(watchdog), "a call")
        wait_until(lambda: not call & sockets_of(watchdog), "its end")
    finally:
        os.kill(guarded.pid, signal.SIGCONT)
    wait_until(lambda: re.search("cannot look: (TimeoutError|timeout)", guarded.log()), "its complaint")
    guarded.looks(crashing)
    assert guarded.pids()["watchdog:watchdog.1"] == watchdog


# In a supervisord that has run for long


def bring(guarded: Guarded, check: bool = False, run: str = "r-test") -> dict[str, Any]:
    lock = Path(guarded.socket).with_name("lock")
    run_module("run_lock", path=str(lock), run="r-test")
    return run_module("watchdogs", apps=[guarded.app], run=run, lock=str(lock), check=check)


@pytest.fixture
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A supervisord whose configuration had no watchdog when it was started, and has one now."""
    with ExitStack() as stack:
        made = Guarded(tmp_path_factory.mktemp("u"), stack)
        Path(made.app["config"]).write_text(made.without)
        made.start()
        Path(made.app["config"]).write_text(made.config)
        yield made


def test_it_comes_into_a_supervisord_that_runs_and_no_process_notices(unguarded: Guarded) -> None:
    slot = unguarded.slot("blue", ["200", "200"], workers={"worker": "sleep 3600"})
    well(unguarded, slot)
    before = unguarded.pids()
    assert run(unguarded.app)["watchdog"] == {"state": "", "processes": {}}
    assert bring(unguarded, check=True)["apps"] == ["shop"]
    assert "now that of" in bring(unguarded, run="r-dead")["msg"]
    assert unguarded.pids() == before
    assert bring(unguarded)["changed"]
    wait_until(lambda: run(unguarded.app)["watchdog"]["state"] == "RUNNING", "the watchdog")
    assert not bring(unguarded)["changed"]
    assert {name: unguarded.pids()[name] for name in before} == before
    utils("supervisor").Supervisor(unguarded.socket, *OWN.values()).call("stopProcessGroup", "watchdog")
    assert run(unguarded.app)["watchdog"]["state"] == "STOPPED"
    assert bring(unguarded)["changed"]
    assert run(unguarded.app)["watchdog"]["state"] in ("STARTING", "RUNNING")


def test_a_supervisord_that_has_no_such_program_is_said(unguarded: Guarded) -> None:
    Path(unguarded.app["config"]).write_text(unguarded.without)
    result = bring(unguarded)
    assert (result["failed"], result["changed"]) == (True, False)
    assert "supervisord refused the watchdog of shop: BAD_NAME" in result["msg"]


def test_it_is_the_first_to_stop_and_keeps_nobody_waiting(guarded: Guarded) -> None:
    slot = guarded.slot("blue", ["stubborn"])
    well(guarded, slot)
    watchdog = wait_until(lambda: guarded.infos()["watchdog:watchdog.1"]["statename"] == "RUNNING", "it") and guarded.pids()
    os.kill(guarded.pid, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{guarded.pid}/fd").exists() or not os.listdir(f"/proc/{guarded.pid}/fd"), "the end of all")
    assert not Path(f"/proc/{watchdog['watchdog:watchdog.1']}").exists()
