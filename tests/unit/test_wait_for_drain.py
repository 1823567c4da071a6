"""wait_for_drain, with real connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.unit.conftest import PATIENCE, run_module


class Server:
    """A listening socket and the connections to it."""

    def __init__(self, family: socket.AddressFamily, stack: ExitStack) -> None:
        self.stack = stack
        self.listener = stack.enter_context(socket.socket(family))
        self.listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.listener.listen()
        self.port: int = self.listener.getsockname()[1]
        self.open: list[socket.socket] = []

    def connect(self) -> None:
        """Open one connection, seen from both its ends."""
        self.open += [self.stack.enter_context(socket.create_connection(self.listener.getsockname()[:2]))]
        self.open += [self.stack.enter_context(self.listener.accept()[0])]

    def close(self) -> None:
        """Close all connections."""
        for end in self.open:
            end.close()


@pytest.fixture(params=["IPv4", "IPv6"])
def server(request: pytest.FixtureRequest, has_ipv6: bool) -> Iterator[Server]:
    if request.param == "IPv6" and not has_ipv6:
        pytest.skip("no IPv6 here")
    with ExitStack() as stack:
        yield Server(socket.AF_INET6 if request.param == "IPv6" else socket.AF_INET, stack)


def test_nothing_to_wait_for(server: Server) -> None:
    """A listening socket is no connection, and a deadline of nought is no obstacle."""
    result = run_module("wait_for_drain", ports=[server.port], timeout=0)
    assert (result["drained"], result["connections"], result["changed"]) == (True, {}, False)


def test_deadline_passes(server: Server) -> None:
    server.connect()
    server.connect()
    result = run_module("wait_for_drain", ports=[server.port, 1], timeout=0.3, interval=0.05)
    assert (result["drained"], result["connections"]) == (False, {str(server.port): 2})
    assert not result.get("failed")


def test_ends_with_the_last_connection(server: Server) -> None:
    server.connect()
    closing = threading.Timer(0.3, server.close)
    closing.start()
    try:
        result = run_module("wait_for_drain", ports=[server.port], timeout=PATIENCE, interval=0.02)
    finally:
        closing.join()
    assert (result["drained"], result["connections"]) == (True, {})


def test_only_named_ports_count(server: Server) -> None:
    """The other end of a connection has a port of its own, where nothing is drained."""
    server.connect()
    assert run_module("wait_for_drain", ports=[1], timeout=0)["drained"]
    assert run_module("wait_for_drain", ports=[server.port], timeout=0)["connections"] == {str(server.port): 1}


def test_check_mode_looks_once(server: Server) -> None:
    """It returns although nothing ever closes the connection."""
    server.connect()
    result = run_module("wait_for_drain", check=True, ports=[server.port], timeout=PATIENCE)
    assert result["elapsed"] < PATIENCE
    assert (result["drained"], result["connections"]) == (False, {str(server.port): 1})
