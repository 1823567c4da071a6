"""ready.py: the unit of an app is active when its live slot answers, and in any case in the end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import ROLE
from tests.unit.conftest import PATIENCE, PYTHON, process, wait_until

Ports = Callable[[int], list[int]]


class Server:
    """Somebody who listens at an address, in nginx's words, and answers each request with `status`; never where that is 0."""

    def __init__(self, address: str, status: int = 200) -> None:
        place, _, rest = address.rpartition(":")
        self.status = status
        self.asked: list[bytes] = []
        self.open: list[socket.socket] = []
        self.socket = socket.socket(socket.AF_UNIX if place == "unix" else socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(rest if place == "unix" else (place, int(rest)))
        self.socket.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.asked.append(connection.recv(10_000))
            if self.status:
                connection.sendall(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\n\r\n".encode())
                connection.close()
            else:
                self.open.append(connection)


class Waiting:
    """ready.py for an app whose files are below a directory, with a process in the place of supervisord."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root, self.stack = root, stack
        self.flag = root / "green"
        self.supervisord = stack.enter_context(process("sleep", "600"))

    def slot(self, name: str, *addresses: str) -> None:
        (self.root / f"{name}.json").write_text(json.dumps({"addresses": addresses}))

    def serve(self, address: str, status: int = 200) -> Server:
        server = Server(address, status)
        self.stack.callback(server.socket.close)
        return server

    def start(self, seconds: int = int(PATIENCE), path: str = "/healthz") -> subprocess.Popen[bytes]:
        settings = {
            "flag": str(self.flag),
            "slots": {name: {"group": f"shop-{name}", "record": str(self.root / f"{name}.json")} for name in ("blue", "green")},
            "host": "shop.test",
            "health": {"path": path, "timeout": seconds},
        }
        (self.root / "settings.json").write_text(json.dumps(settings))
        own: dict[str, Any] = {
            "env": {**os.environ, "MAINPID": str(self.supervisord.pid)},
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
        }
        return self.stack.enter_context(process(PYTHON, "-I", "-S", ROLE / "files/ready.py", self.root / "settings.json", **own))

    @staticmethod
    def ended(running: subprocess.Popen[bytes]) -> str:
        """What it has said; it always ends well."""
        said, _ = running.communicate(timeout=PATIENCE)
        assert running.returncode == 0
        return said.decode()


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    with ExitStack() as stack:
        yield Waiting(tmp_path, stack)


def test_where_nothing_is_deployed_nothing_is_waited_for(waiting: Waiting) -> None:
    assert waiting.ended(waiting.start()) == ""
    waiting.flag.touch()
    assert waiting.ended(waiting.start()) == ""


@pytest.mark.parametrize("kind", ["port", "socket"])
def test_it_ends_when_each_process_answers(waiting: Waiting, ports: Ports, tmp_path: Path, kind: str) -> None:
    one, other = [f"127.0.0.1:{port}" for port in ports(2)] if kind == "port" else [f"unix:{tmp_path}/{name}.sock" for name in "ab"]
    waiting.slot("blue", one, other)
    first = waiting.serve(one)
    running = waiting.start(path="/healthz?a=%20")
    wait_until(lambda: len(first.asked) > 1, "two looks")
    assert running.poll() is None
    last = waiting.serve(other, 500)
    wait_until(lambda: len(last.asked) > 1, "two looks")
    assert running.poll() is None
    last.status = 302
    assert waiting.ended(running) == ""
    request = first.asked[0].split(b"\r\n")
    assert request[0] == b"GET /healthz?a=%20 HTTP/1.1"
    assert b"Host: shop.test" in request


def test_the_slot_that_is_live_counts_also_after_a_switch(waiting: Waiting, ports: Ports) -> None:
    blue, green = [f"127.0.0.1:{port}" for port in ports(2)]
    waiting.slot("blue", blue)
    waiting.slot("green", green)
    waiting.serve(green)
    refusing = waiting.serve(blue, 503)
    running = waiting.start()
    wait_until(lambda: len(refusing.asked) > 1, "two looks")
    assert running.poll() is None
    waiting.flag.touch()
    assert waiting.ended(running) == ""


@pytest.mark.parametrize("listening", [False, True], ids=["nobody listens", "who listens hangs"])
def test_when_the_time_is_over_it_says_so(waiting: Waiting, ports: Ports, listening: bool) -> None:
    address = f"127.0.0.1:{ports(1)[0]}"
    waiting.slot("blue", address)
    if listening:
        waiting.serve(address, 0)
    assert "after 1 s not every process of the live slot answers on /healthz" in waiting.ended(waiting.start(seconds=1))


def test_without_supervisord_there_is_nothing_to_wait_for(waiting: Waiting, ports: Ports) -> None:
    """systemd starts it again as soon as this has ended."""
    address = f"127.0.0.1:{ports(1)[0]}"
    waiting.slot("blue", address)
    refusing = waiting.serve(address, 503)
    running = waiting.start()
    wait_until(lambda: refusing.asked, "a look")
    waiting.supervisord.kill()
    waiting.supervisord.wait()
    assert waiting.ended(running) == ""
