"""Wait until the live slot of an app answers: ready.py SETTINGS, the watchdog's. For systemd, which calls it after supervisord's start.

So the unit of the app is active when it serves. It ends well whatever it finds: an app that does not answer is no reason to stop it.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

ASKING = 5.0  # seconds for one answer
PAUSE = 0.2


class TooLateError(Exception):
    """All the time that there was is over."""


def over(*_: object) -> None:
    """End the wait, whatever it is in."""
    raise TooLateError


def live_addresses(settings: Any) -> list[str]:
    """Where the processes of the live slot listen; none when nothing is deployed. A deploy may change it meanwhile."""
    slot = settings["slots"]["green" if Path(settings["flag"]).exists() else "blue"]
    try:
        return [str(address) for address in json.loads(Path(slot["record"]).read_text(encoding="utf-8"))["addresses"]]
    except FileNotFoundError:
        return []


def answers(address: str, host: str, path: str) -> bool:
    """Whether who listens at host:port or unix:path answers 200 to 399."""
    place, _, rest = address.rpartition(":")
    with closing(http.client.HTTPConnection("localhost")) as asking:
        try:
            asking.sock = socket.socket(socket.AF_UNIX if place == "unix" else socket.AF_INET)
            asking.sock.settimeout(ASKING)
            asking.sock.connect(rest if place == "unix" else (place, int(rest)))
            asking.request("GET", path, headers={"Host": host, "Connection": "close"})
            return 200 <= asking.getresponse().status < 400
        except (OSError, ValueError, http.client.HTTPException):
            return False


def runs(pid: int) -> bool:
    """Whether a process of this user is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Wait, for as long as supervisord runs: without it, systemd begins again when this ends."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    path, seconds = settings["health"]["path"], settings["health"]["timeout"]
    supervisord = int(os.environ["MAINPID"])
    signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        while runs(supervisord) and not all(answers(address, settings["host"], path) for address in live_addresses(settings)):
            time.sleep(PAUSE)
    except TooLateError:
        print(f"after {seconds} s not every process of the live slot answers on {path}; systemd does not wait for them any more")


if __name__ == "__main__":
    main()
