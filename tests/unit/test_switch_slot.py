"""switch_slot: the switch, which happens for the run that holds the lock alone."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Mapping
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import PATIENCE, make_slot, run_module, utils

RUN = "r-ana"


class Host:
    """The flags of some apps and a lock, below a directory."""

    def __init__(self, root: Path, *apps: str) -> None:
        self.flags = {app: root / app / "live/green" for app in apps}
        self.lock = root / "run/lock"
        for flag in self.flags.values():
            flag.parent.mkdir(parents=True)

    def take(self, run: str = RUN, lease: float = 900) -> None:
        run_module("run_lock", path=str(self.lock), run=run, holder={"user": run}, lease=lease)

    def switch(self, slots: Mapping[str, str], **options: Any) -> dict[str, Any]:
        given = [make_slot(app, slot, flag=str(self.flags[app])) for app, slot in slots.items()]
        return run_module("switch_slot", slots=given, run=RUN, lock=str(self.lock), **options)

    def live(self) -> dict[str, str]:
        """App -> its live slot; nothing but the flag may be beside the flag."""
        assert all(entry == flag for flag in self.flags.values() for entry in flag.parent.iterdir())
        return {app: "green" if flag.exists() else "blue" for app, flag in self.flags.items()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with two apps, blue is live; nobody holds the lock."""
    return Host(tmp_path, "shop", "api")


def test_green_is_made_live_and_blue_again(host: Host) -> None:
    host.take()
    for slot in ("green", "blue"):
        result = host.switch({"shop": slot})
        assert result["changed"]
        assert host.live() == {"shop": slot, "api": "blue"}


def test_the_moment_is_told_of_those_that_were_switched(host: Host) -> None:
    host.take()
    host.switch({"api": "green"})
    before = time.time()
    result = host.switch({"shop": "green", "api": "green"})
    assert list(result["switched"]) == ["shop"]
    assert before <= result["switched"]["shop"] <= time.time()
    assert host.live() == {"shop": "green", "api": "green"}


def test_apps_may_go_to_different_slots_at_once(host: Host) -> None:
    host.take()
    host.switch({"api": "green"})
    assert set(host.switch({"shop": "green", "api": "blue"})["switched"]) == {"shop", "api"}
    assert host.live() == {"shop": "green", "api": "blue"}


def test_what_is_live_already_is_not_touched(host: Host) -> None:
    host.take()
    host.switch({"shop": "green"})
    before = host.flags["shop"].stat()
    result = host.switch({"shop": "green", "api": "blue"})
    assert (result["changed"], result["switched"]) == (False, {})
    assert host.flags["shop"].stat() == before


def test_no_app_to_switch(host: Host) -> None:
    assert "nothing is switched" in host.switch({})["msg"]  # whoever goes on from here needs the lock
    host.take()
    assert not host.switch({})["changed"]


@pytest.mark.parametrize("holder", ["r-bob", ""])
def test_without_the_lock_no_app_is_switched(host: Host, holder: str) -> None:
    host.take()
    host.switch({"api": "green"})
    run_module("run_lock", path=str(host.lock), run=RUN, state="absent")
    if holder:
        host.take(holder)
    result = host.switch({"shop": "green", "api": "blue"})
    assert result["failed"]
    assert result["msg"].startswith(f"nothing is switched: this host's lock is now {f'that of {holder} on' if holder else 'free'}")
    assert host.live() == {"shop": "blue", "api": "green"}


def test_the_lock_of_another_counts_though_its_lease_is_over(host: Host) -> None:
    """It has taken this run's over."""
    host.take("r-bob", lease=-1)
    assert host.switch({"shop": "green"})["failed"]
    assert host.live()["shop"] == "blue"


def test_its_own_lock_counts_though_its_lease_is_over(host: Host) -> None:
    """Nobody has taken it over."""
    host.take(lease=-1)
    assert host.switch({"shop": "green"})["changed"]


def test_a_switch_renews_the_lease(host: Host) -> None:
    """A run that goes on keeps its lock, however long it takes as a whole."""
    host.take(lease=10)
    write_expiry(host, time.time() + 1)
    before = time.time()
    host.switch({"shop": "green"})
    assert utils("lock").read(host.lock)["expires"] >= before + 10


def write_expiry(host: Host, expires: float) -> None:
    """Change when the lease ends."""
    with utils("lock").opened(host.lock) as stream:
        utils("lock").write(stream, {**utils("lock").parse(stream.read()), "expires": expires})


def test_check_mode_switches_nothing_and_needs_no_lock(host: Host) -> None:
    result = host.switch({"shop": "green"}, check=True)
    assert (result["changed"], result["switched"]) == (True, {})
    assert host.live()["shop"] == "blue"
    assert not host.lock.exists()
    assert not host.switch({"shop": "blue"}, check=True)["changed"]


def refused(host: Host, taken: Event, started: Event) -> None:
    assert taken.wait(PATIENCE)
    started.set()
    assert host.switch({"shop": "green"})["failed"]


def test_a_switch_waits_for_a_run_that_is_just_taking_the_lock_over(host: Host) -> None:
    host.take()
    context = multiprocessing.get_context("fork")
    taken, started = context.Event(), context.Event()
    switching = context.Process(target=refused, args=(host, taken, started))
    switching.start()  # before the lock file is open here, or else it would hold it too
    with utils("lock").opened(host.lock) as stream:
        taken.set()
        assert started.wait(PATIENCE)
        time.sleep(0.3)  # time enough to switch, were it not waiting; with less, nothing else would happen
        assert host.live()["shop"] == "blue"
        utils("lock").write(stream, {"run": "r-bob", "expires": time.time() + 900})
    switching.join(PATIENCE)
    assert switching.exitcode == 0
    assert host.live()["shop"] == "blue"
