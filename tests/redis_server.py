"""A Redis server of Debian's package, on this machine, for a test."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.unit.loading import ROOT

TOOLS = ROOT / ".tools/redis-tools/usr"
PATIENCE = 60.0  # seconds in which it has to answer; a bound, never a measure


def environment() -> dict[str, str]:
    """What its programs need, which are unpacked and not installed."""
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(map(str, (TOOLS / "lib").glob("*-linux-gnu*")))}


def answers(port: int, *options: str) -> bool:
    """Whether a server there answers a PING, if only that it wants a password."""
    done = subprocess.run([TOOLS / "bin/redis-cli", "-p", str(port), *options, "PING"], capture_output=True, text=True, env=environment())
    return "PONG" in done.stdout or "NOAUTH" in done.stdout + done.stderr


@contextmanager
def redis_server(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on a port of loopback, with more options such as `--requirepass x`; its data is in a folder."""
    program = TOOLS / "bin/redis-check-rdb"
    assert program.exists(), f"{program} is missing: run `python3 tools/bootstrap.py --with-nginx`, which unpacks it"
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", *options]
    # The package has it under one name, and it goes by the name that it is called by.
    server = subprocess.Popen(command, executable=program, env=environment(), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(port):
            assert server.poll() is None, f"redis-server ended with {server.returncode}"
            assert time.monotonic() < deadline, f"no redis-server on port {port}"
            time.sleep(0.05)
        yield server
    finally:
        server.terminate()
        server.wait()
