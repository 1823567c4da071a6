"""A job that runs, and what is left of one whose parent was killed. Of singletons.py, which lies beside it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

# The kernel ends a child whose parent is gone.
DYING = ("/usr/bin/setpriv", "--pdeathsig", "KILL", "--")


def started(pid: int) -> str:
    """What tells a process from a later one with its number; empty when it is not there."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def sweep(state: Mapping[str, Any]) -> None:
    """End what a process of this host has left that was killed: its children, and theirs."""
    pid, children = state.get("pid"), state.get("children")
    if type(pid) is not int or not isinstance(children, list) or started(pid) == state.get("started"):
        return
    for child in children:
        # No process gets the number of a session of which somebody is left.
        if isinstance(child, list) and [type(part) for part in child] == [int, str] and started(child[0]) in ("", child[1]):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child[0], signal.SIGKILL)


class Child:
    """A job that runs, as the leader of a session of its own; ``began`` is when."""

    def __init__(self, argv: Sequence[str], began: float) -> None:
        self.process = subprocess.Popen([*DYING, *argv], stdin=subprocess.DEVNULL, start_new_session=True)
        self.began, self.started = began, started(self.process.pid)

    def end(self, number: int) -> None:
        """Send a signal to it; SIGKILL to all that it has started, too."""
        with suppress(ProcessLookupError, PermissionError):
            (os.killpg if number == signal.SIGKILL else os.kill)(self.process.pid, number)
