"""state_info: what an app does in the place of its supervisord is its own loss, and not that of the other apps of a host."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.unit.app_on_disk import App, app
from tests.unit.conftest import OWN, PATIENCE, Supervisor, run_module
from tests.unit.impostor import Behaviour, drips, http, impostor, is_silent, lists, says

__all__ = ["app"]  # a fixture

HOSTILE: dict[str, tuple[Behaviour, str]] = {
    "silent": (is_silent, ""),
    "slow": (drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), ""),
    "garbage": (says(b"\x1b[2J\r\n\r\n"), "its answer is none of HTTP's: "),
    "huge": (says(http(b"<methodResponse>" + b" " * 5_000_000)), "it answers more than 4000000 bytes"),
    "liar": (lists({"pid": "1"}, {"name": "/etc/passwd"}), "a process without pid"),
}


def beside(app: App, name: str, run: Path) -> App:
    """Another app like this one, whose supervisord listens below that directory."""
    return {**app, **OWN, "name": name, "socket": str(run / f"{name}.sock"), "run": str(run)}


def look(found: dict[str, App]) -> dict[str, Any]:
    """What is said of these apps."""
    result = run_module("state_info", apps=found)
    assert not result.get("failed")
    return dict(result["apps"])


def test_the_other_apps_are_told_whole(supervisor: Supervisor, app: App, tmp_path: Path) -> None:
    blue = supervisor.write_slot("blue", ["200", "200"])
    supervisor.group(blue, "started")
    assert supervisor.health(blue, timeout=PATIENCE)["healthy"]
    with ExitStack() as stack:
        found = {name: beside(app, name, tmp_path) for name in HOSTILE}
        for name, (behave, _) in HOSTILE.items():
            stack.enter_context(impostor(tmp_path / f"{name}.sock", behave))
        state = look({**found, "shop": {**supervisor.app, "slots": {**supervisor.app["slots"], "blue": blue}}})
    assert (state["shop"]["supervisord"]["pid"], state["shop"]["untrusted"]) == (supervisor.pid, [])
    assert [process["state"] for process in state["shop"]["slots"]["blue"]["processes"]] == ["RUNNING", "RUNNING"]
    for name, (_, said) in HOSTILE.items():
        assert "".join(state[name]["untrusted"]).startswith(said), name
        assert bool(state[name]["untrusted"]) == bool(said), name
        assert state[name]["slots"]["blue"]["processes"] == []


def test_all_are_asked_at_the_same_time(app: App, tmp_path: Path) -> None:
    """Each of these answers when the other one was asked, too."""
    both = threading.Barrier(2)

    def behave(connection: socket.socket) -> None:
        both.wait(PATIENCE)
        lists({"pid": os.getpid()})(connection)

    found = {name: beside(app, name, tmp_path) for name in ("one", "other")}
    with impostor(tmp_path / "one.sock", behave), impostor(tmp_path / "other.sock", behave):
        state = look(found)
    for name in found:
        assert [process["pid"] for process in state[name]["slots"]["blue"]["processes"]] == [os.getpid()]


def test_who_answers_has_to_be_of_the_unit(app: App, tmp_path: Path) -> None:
    with impostor(tmp_path / "shop.sock", lists({})):
        state = look({"shop": {**beside(app, "shop", tmp_path), "unit": "other.service"}})["shop"]
    assert (state["supervisord"], state["untrusted"]) == (None, ["who answers is not of other.service"])
