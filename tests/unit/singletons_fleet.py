"""Processes of singletons.py that compete, with a real Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.unit.loading import ROLE
from tests.redis_server import TOOLS, environment, redis_server
from tests.unit.conftest import process, wait_until

LEASE = 1.5  # seconds
SCRIPT = ROLE / "files/singletons.py"
# Notes who runs, until it is told to end; some do not heed that.
JOB = """
import os, signal, subprocess, sys, time
def end(*_):
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in sys.argv else end)
if "parent" in sys.argv:
    subprocess.Popen(["sleep", "3600"])
while True:
    with open(sys.argv[1], "a") as log:
        log.write(f"{os.environ['HOST_NAME']} {time.clock_gettime(time.CLOCK_BOOTTIME)}\\n")
    time.sleep(0.02)
"""


class Fleet:
    """Processes that compete, each of a slot on a host of its own; all of them note what they run in one place."""

    def __init__(self, root: Path, stack: ExitStack, port: int) -> None:
        self.root, self.stack, self.port = root, stack, port
        (root / "job.py").write_text(JOB)
        self.log = root / "ran"
        self.log.touch()

    def host(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        return folder

    def record(self, name: str, slot: str, **jobs: Any) -> Path:
        """What a slot has of its jobs."""
        folder = self.host(name)
        settings = {
            "app": "shop",
            "host": name,
            "slot": slot,
            "flag": f"{folder}/green",
            "drained": f"{folder}/drained",
            "state": f"{folder}/singletons.json",
            "stop_timeout": 0.3,
            "lease": LEASE,
            "cron": {},
            "singletons": {},
            **jobs,
        }
        record = folder / f"{slot}.json"
        record.write_text(json.dumps({"release": "0123456789ab", "python": sys.executable, "jobs": settings}))
        return record

    def start(self, name: str, slot: str = "blue", url: str | None = None, **jobs: Any) -> subprocess.Popen[bytes]:
        """The process of a slot; blue is live as long as nothing says otherwise."""
        record = self.record(name, slot, redis=url != "no", **(jobs or {"singletons": {"beat": self.beat()}}))
        address = {"REDIS_URL": f"redis://127.0.0.1:{self.port}" if url is None else url}
        variables = {**os.environ, "HOST_NAME": name, **address}
        output = self.stack.enter_context((self.host(name) / f"{slot}.log").open("ab"))
        return self.stack.enter_context(process(sys.executable, "-I", SCRIPT, record, env=variables, stdout=output, stderr=output))

    def beat(self, *how: str) -> list[str]:
        return ["{python}", str(self.root / "job.py"), str(self.log), *how]

    def ran(self) -> list[tuple[str, float]]:
        """Who ran, and when."""
        found = [line.split() for line in self.log.read_text().splitlines()]
        return [(line[0], float(line[1])) for line in found if len(line) == 2]

    def is_run_by(self, name: str) -> bool:
        """Whether that host alone runs now."""
        before = len(self.ran())
        wait_until(lambda: len(self.ran()) > before + 1, "a sign of life")
        return {host for host, _ in self.ran()[before:]} == {name}

    def rests(self) -> bool:
        """Whether nobody runs."""
        before = self.log.read_text()
        time.sleep(0.2)
        return self.log.read_text() == before

    def state(self, name: str) -> dict[str, Any]:
        path = self.host(name) / "singletons.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def text(self, name: str, slot: str = "blue") -> str:
        """What its process has printed."""
        return (self.host(name) / f"{slot}.log").read_text()

    def leads(self, name: str) -> bool:
        return bool(self.state(name).get("leads"))

    def redis(self, *command: str) -> str:
        done = subprocess.run(
            [TOOLS / "bin/redis-cli", "-p", str(self.port), *command], env=environment(), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


@contextmanager
def competing(root: Path, ports: Callable[[int], list[int]], *options: str) -> Iterator[Fleet]:
    """A fleet, and its Redis with these options."""
    with ExitStack() as stack:
        (port,) = ports(1)
        stack.enter_context(redis_server(root, port, *options))
        yield Fleet(root, stack, port)


def two(fleet: Fleet, **jobs: Any) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """The first one leads, the second one waits."""
    first = fleet.start("web-1", **jobs)
    wait_until(lambda: fleet.leads("web-1"), "a leader")
    second = fleet.start("web-2", **jobs)
    wait_until(lambda: fleet.state("web-2").get("leader") == "web-1/blue", "one that knows of it")
    return first, second


def cron(name: str, schedule: str, script: str) -> dict[str, Any]:
    """A job of cron that runs a line of shell."""
    return {"cron": {name: {"schedule": schedule, "argv": ["sh", "-c", script]}}}


def scheduled(*texts: str) -> list[str]:
    """The times of the runs that have started, as the logs tell."""
    return [line.rpartition("that of ")[2] for text in texts for line in text.splitlines() if " starts: that of " in line]
