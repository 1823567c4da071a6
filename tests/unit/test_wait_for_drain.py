"""wait_for_drain, with real connections."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import OWN, PATIENCE, make_slot, run_module


class Server:
    """A listening socket and the connections to it."""

    def __init__(self, family: socket.AddressFamily, stack: ExitStack) -> None:
        self.stack = stack
        self.listener = stack.enter_context(socket.socket(family))
        self.listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.listener.listen()
        self.address = f"localhost:{self.listener.getsockname()[1]}"
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


def slot(*addresses: str, app: str = "shop", timeout: int = 0) -> dict[str, Any]:
    """A slot that listens there, with so many seconds for its connections."""
    return make_slot(app, addresses=list(addresses), drain={"timeout": timeout, "signal": ""}, user=OWN["user"])


def drained(*addresses: str, timeout: int = 0, **options: Any) -> dict[str, Any]:
    """What the module reports of one slot that listens there."""
    result = run_module("wait_for_drain", slots=[slot(*addresses, timeout=timeout)], **options)
    assert not result.get("failed")
    assert not result["changed"]
    (found,) = result["apps"]
    return dict(found)


def test_nothing_to_wait_for(server: Server) -> None:
    """A listening socket is no connection, and a deadline of nought is no obstacle."""
    result = drained(server.address)
    assert (result["app"], result["drained"], result["connections"]) == ("shop", True, {})


def test_no_app_to_wait_for() -> None:
    assert run_module("wait_for_drain", slots=[])["apps"] == []


def test_deadline_passes(server: Server) -> None:
    server.connect()
    server.connect()
    result = drained(server.address, "localhost:1", timeout=1, interval=0.05)
    assert (result["drained"], result["connections"]) == (False, {server.address: 2})


def test_who_says_goodbye_on_a_signal_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    """As its processes were started, whatever the plan wants by now."""
    server.connect()
    record = tmp_path / "blue.json"
    told = {**slot(server.address, timeout=int(PATIENCE)), "record": str(record)}
    record.write_text(json.dumps({"goodbye": "TERM"}))
    (found,) = run_module("wait_for_drain", slots=[told])["apps"]
    assert (found["drained"], found["connections"], found["signal"]) == (False, {server.address: 1}, "TERM")
    record.write_text(json.dumps({}))
    wanted = {**told, "drain": {"timeout": 1, "signal": "TERM"}}
    (found,) = run_module("wait_for_drain", slots=[wanted])["apps"]
    assert (found["drained"], found["signal"]) == (False, "")
    assert found["elapsed"] >= 1


def test_a_connection_of_somebody_else_keeps_no_slot(server: Server) -> None:
    """Though its port is that of the slot."""
    server.connect()
    other = {**slot(server.address), "user": "no-such-user"}
    assert run_module("wait_for_drain", slots=[other])["apps"][0]["drained"]


def test_ends_with_the_last_connection(server: Server) -> None:
    server.connect()
    closing = threading.Timer(0.3, server.close)
    closing.start()
    try:
        result = drained(server.address, timeout=int(PATIENCE), interval=0.02)
    finally:
        closing.join()
    assert (result["drained"], result["connections"]) == (True, {})


def test_each_app_has_its_own_deadline(server: Server) -> None:
    """One that is drained at once and one whose deadline passes do not end the wait for the third."""
    with ExitStack() as stack:
        leaving = Server(socket.AF_INET, stack)
        server.connect()
        leaving.connect()
        slots = [
            slot(server.address, app="stays", timeout=1),
            slot(leaving.address, app="leaves", timeout=int(PATIENCE)),
            slot("localhost:1", app="empty", timeout=int(PATIENCE)),
        ]
        closing = threading.Timer(2, leaving.close)
        closing.start()
        try:
            found = run_module("wait_for_drain", slots=slots, interval=0.02)["apps"]
        finally:
            closing.join()
    assert [(app["app"], app["drained"], app["connections"]) for app in found] == [
        ("stays", False, {server.address: 1}),
        ("leaves", True, {}),
        ("empty", True, {}),
    ]
    assert found[2]["elapsed"] <= found[0]["elapsed"] <= found[1]["elapsed"]


def test_both_slots_of_an_app_are_told_apart(server: Server) -> None:
    """A run that was cut short may have left the one that a new run starts from."""
    server.connect()
    slots = [slot("localhost:1"), {**slot(server.address), "name": "green", "group": "shop-green"}]
    assert [app["drained"] for app in run_module("wait_for_drain", slots=slots)["apps"]] == [True, False]


def test_only_named_ports_count(server: Server) -> None:
    """The other end of a connection has a port of its own, where nothing is drained."""
    server.connect()
    assert drained("localhost:1")["drained"]
    assert drained(server.address)["connections"] == {server.address: 1}


def test_check_mode_looks_once(server: Server) -> None:
    """It returns although nothing ever closes the connection."""
    server.connect()
    result = drained(server.address, timeout=int(PATIENCE), check=True)
    assert result["elapsed"] < PATIENCE
    assert (result["drained"], result["connections"]) == (False, {server.address: 1})
