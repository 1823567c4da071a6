"""The fleet as one process sees it: each process says about once a second that it is there, and at the end that it leaves."""

import os
import platform
import time
from datetime import UTC, datetime
from typing import Any

import tornado

Event = dict[str, Any]

NAME = os.environ.get("TORNADO_APP_NAME", "app")
"""The app's name. Apps that share a Redis are told apart by it."""
BEAT = 1.0
"""Seconds between two signs of life of a process."""
EXPIRY = 4.0
"""Seconds after which a process that is silent counts as gone."""


def identity(host: str, port: int) -> dict[str, object]:
    """Describe this process; a worker has no port."""
    return {
        "app": NAME,
        "host": host,
        "port": port,
        "pid": os.getpid(),
        "release": os.environ.get("TORNADO_APP_RELEASE", "development"),
        "slot": os.environ.get("TORNADO_APP_SLOT", ""),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "tornado": tornado.version,
    }


def sign_of_life(who: dict[str, object], role: str, sockets: int = 0, *, stopping: bool = False, gone: bool = False) -> Event:
    """Say what this process is and does; `role` is web or worker."""
    shown = {key: who[key] for key in ("host", "port", "pid", "release", "slot")}
    return {"kind": "process", **shown, "role": role, "sockets": sockets, "stopping": stopping, "gone": gone}


class Fleet:
    """The processes that said something lately."""

    def __init__(self) -> None:
        """Know nobody."""
        self.seen: dict[tuple[str, int], tuple[float, Event]] = {}

    def take(self, event: Event) -> bool:
        """Hear a sign of life; tell whether it is news."""
        key = event["host"], event["pid"]
        _, before = self.seen.pop(key, (0, None))
        if not event["gone"]:
            self.seen[key] = time.monotonic(), event
        return event != before

    def processes(self) -> list[Event]:
        """List those that are alive, in an order that stays: by host, workers last."""
        oldest = time.monotonic() - EXPIRY
        self.seen = {key: (at, event) for key, (at, event) in self.seen.items() if at > oldest}
        return sorted((event for _, event in self.seen.values()), key=place)


def place(process: Event) -> tuple[Any, ...]:
    """Return where a process stands among the others."""
    return process["host"], process["role"] == "worker", process["port"], process["pid"]
