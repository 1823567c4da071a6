"""What clients and hosts see of a running HAProxy: who gets a request, what it says of the client, who is left out."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import PATIENCE, wait_until
from tests.unit.haproxy_host import Balancer, config, given, haproxy, host, made

__all__ = ["haproxy"]  # a fixture

SHOP = given("shop.example.com", "*.shop.example.com", "web.example.com")
ADMIN = given("shop.example.com", "*.shop.example.com", "web.example.com", path="/admin/v2.0/")
API = given("api.shop.example.com")


@pytest.fixture(scope="module")
def balancer(tmp_path_factory: pytest.TempPathFactory, haproxy: Path) -> Iterator[Balancer]:
    """Shop and admin have two hosts, api a third one alone."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        found = made(tmp_path_factory.mktemp("b"), haproxy, stack, patch)
        found.start_hosts(1, 2, 3)
        found.start(config(host(1, {"shop": SHOP, "admin": ADMIN}), host(2, {"shop": SHOP, "admin": ADMIN}), host(3, {"api": API})))
        for app, hosts in (("shop", (1, 2)), ("admin", (1, 2)), ("api", (3,))):
            found.wait_for(*hosts, backend=app)
        yield found


@pytest.mark.parametrize(
    ("name", "path", "hosts"),
    [
        ("shop.example.com", "/", (1, 2)),
        ("SHOP.example.com.:8080", "/x?y=/admin/v2.0/", (1, 2)),
        ("a.b.shop.example.com", "/admin/v2.0x", (1, 2)),
        ("api.shop.example.com", "/", (3,)),  # before the wildcard of another app
        ("api.shop.example.com", "/admin/v2.0/", (3,)),
    ],
)
def test_the_name_decides_who_gets_a_request(balancer: Balancer, name: str, path: str, hosts: tuple[int, ...]) -> None:
    found = balancer.tell(path, host=name)
    assert found["address"] in {f"127.0.0.{number + 1}" for number in hosts}
    assert found["uri"] == path
    assert found["headers"]["Host"] == name


@pytest.mark.parametrize("name", ["example.com", "shop.example.com.evil.test", "xshop.example.com", "127.0.0.1", "web-1"])
def test_a_name_that_no_app_has_is_answered_by_the_balancer(balancer: Balancer, name: str) -> None:
    answer, body = balancer.ask(host=name)
    assert (answer.status, body) == (404, b"This name has no app here.\n")


def test_an_app_with_a_prefix_is_one_of_its_own(balancer: Balancer) -> None:
    """Where it alone has no host left, the other app of its name goes on."""
    try:
        for number in (1, 2):
            balancer.mark(number, "admin.drained")
        balancer.wait_for(backend="admin")
        answers = {path: balancer.ask(path)[0].status for path in ("/admin/v2.0", "/admin/v2.0/", "/admin/v2.0/x")}
        assert answers == dict.fromkeys(answers, 503)
        assert balancer.ask("/admin/v2.0x")[0].status == 200
    finally:
        for number in (1, 2):
            balancer.mark(number, "admin.drained", there=False)
    balancer.wait_for(1, 2, backend="admin")


def test_hosts_are_asked_for_each_app_by_its_name_and_prefix(balancer: Balancer) -> None:
    def asked(number: int) -> list[str]:
        return list(json.loads((balancer.root / f"127.0.0.{number + 1}.asked").read_text() or "[]"))

    for wanted in (["/.tornado_app/ready", "shop.example.com"], ["/admin/v2.0/.tornado_app/ready", "shop.example.com"]):
        wait_until(lambda wanted=wanted: asked(1) == wanted, f"the question {wanted}")  # type: ignore[misc]
    assert asked(3) == ["/.tornado_app/ready", "api.shop.example.com"]


def test_what_clients_say_of_themselves_does_not_reach_the_host(balancer: Balancer) -> None:
    forged = {"X_Forwarded_For": "192.0.2.66", "X_Forwarded_Proto": "https", "X_Request_Id": "forged"}
    first, second = (balancer.tell(**forged)["headers"] for _ in range(2))
    assert (first["X-Forwarded-For"], first["X-Forwarded-Proto"]) == ("127.0.0.1", "http")
    assert first["X-Request-Id"] != second["X-Request-Id"]
    assert all(len(each["X-Request-Id"]) == 32 and int(each["X-Request-Id"], 16) for each in (first, second))


def test_each_request_has_a_connection_of_its_own_to_a_host_and_none_stays(balancer: Balancer) -> None:
    """One that is idle could be closed by nginx just as a request comes. The client keeps its own."""
    sent = b"GET / HTTP/1.1\r\nHost: api.shop.example.com\r\n\r\n"
    peers = []
    with socket.create_connection(("127.0.0.1", balancer.port), timeout=PATIENCE) as connection, connection.makefile("rb") as stream:
        for _ in range(3):
            connection.sendall(sent)
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
            length = 0
            while (line := stream.readline().lower()) != b"\r\n":
                assert line != b"connection: close\r\n"
                length = int(line.split()[1]) if line.startswith(b"content-length") else length
            peers.append(json.loads(stream.read(length))["peer"])
    assert len(set(peers)) == 3


def test_what_an_app_flushes_reaches_the_client_at_once(balancer: Balancer) -> None:
    """Without `http-no-delay` each piece waits for 200 ms in the kernel."""
    with socket.create_connection(("127.0.0.1", balancer.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET /timed HTTP/1.1\r\nHost: api.shop.example.com\r\nConnection: close\r\n\r\n")
        late: list[float] = []
        text = b""
        while came := connection.recv(65536):
            text += came
            moments = text.partition(b"\r\n\r\n")[2].split(b"moment ")[1:]
            if len(moments) > len(late):
                late.append(time.time() - float(moments[-1].split()[0]))
    assert len(late) == 4
    assert min(late) < 0.1


def test_a_header_as_large_as_nginx_takes_it_passes(balancer: Balancer) -> None:
    large = {f"X_{number}": "a" * 7900 for number in range(4)}
    assert balancer.tell(**large)["headers"]["X-3"] == "a" * 7900


def test_a_websocket_passes(balancer: Balancer) -> None:
    from websockets.sync.client import connect

    with connect("ws://shop.example.com/ws", sock=socket.create_connection(("127.0.0.1", balancer.port))) as websocket:
        websocket.send("hello")
        assert websocket.recv(PATIENCE) == "hello"


def test_statistics_are_there_for_people_and_for_prometheus(balancer: Balancer) -> None:
    def get(path: str) -> Any:
        with socket.create_connection(("127.0.0.1", balancer.statistics), timeout=PATIENCE) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    assert 'haproxy_server_status{proxy="shop",server="web-1",state="UP"} 1' in get("/metrics")
    assert "Statistics Report" in get("/")
