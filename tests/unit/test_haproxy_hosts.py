"""Hosts that are drained, die or come, and reloads, while clients ask a running HAProxy: what fails, and what must not."""

from __future__ import annotations

import http.client
import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager

from tests.unit.conftest import PATIENCE, wait_until
from tests.unit.haproxy_host import Balancer, balancer, config, haproxy, host

__all__ = ["balancer", "haproxy"]  # fixtures

TWO = config(host(1), host(2))
CLIENTS = 6


class Load:
    """What became of the requests of clients that keep their connections and repeat nothing."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()  # host and status
        self.failures: list[str] = []

    def total(self) -> int:
        return sum(self.answers.values())


@contextmanager
def load(balancer: Balancer) -> Iterator[Load]:
    """POST without a pause, by clients of which each has one connection."""
    found, stop = Load(), threading.Event()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=PATIENCE)
        while not stop.is_set():
            try:
                connection.request("POST", "/", b"x", {"Host": "shop.example.com"})
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as problem:
                found.failures.append(repr(problem))
                connection.close()
            else:
                found.answers[json.loads(text)["address"] if answer.status in (200, 500) else "", answer.status] += 1
        connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client) for _ in range(CLIENTS)]
        try:
            wait_until(lambda: found.total() > 10 * CLIENTS, "answers")
            yield found
            before = found.total()
            wait_until(lambda: found.total() > before + 10 * CLIENTS, "more answers")
        finally:
            stop.set()
    for each in clients:
        each.result()


@contextmanager
def held_requests(balancer: Balancer) -> Iterator[list[Future[int]]]:
    """The statuses of requests that both hosts have begun, and answer once `released` is there."""
    statuses: list[Future[int]] = []

    def ask(number: int) -> int:
        return balancer.ask(f"/?held=1&number={number}", method="POST", body=b"x")[0].status

    def begun() -> list[int]:
        return [len(balancer.seen(host)) for host in (1, 2)]

    with ThreadPoolExecutor(50) as pool:
        try:
            while not all(begun()) or len(statuses) < 4:  # leastconn; the other clients have a say in it
                statuses.append(pool.submit(ask, len(statuses)))
                wait_until(lambda: sum(begun()) == len(statuses), "the request at a host")
            yield statuses
        finally:
            (balancer.root / "released").touch()


def test_a_drained_host_leaves_and_comes_back_without_a_failed_request(balancer: Balancer) -> None:
    balancer.start_hosts(1, 2)
    balancer.start(TWO)
    balancer.wait_for(1, 2)
    with load(balancer) as found, held_requests(balancer) as held:
        balancer.mark(2, "drained")
        balancer.wait_for(1)
        before = found.answers["127.0.0.3", 200]
        done = found.total()
        wait_until(lambda: found.total() > done + 100, "answers of the other host")
        assert found.answers["127.0.0.3", 200] <= before + CLIENTS  # those in flight
        (balancer.root / "released").touch()
        assert {each.result() for each in held} == {200}
        balancer.mark(2, "drained", there=False)
        balancer.wait_for(1, 2)
        before = found.answers["127.0.0.3", 200]
        wait_until(lambda: found.answers["127.0.0.3", 200] > before, "answers of the host that is back")
    assert {status for _, status in found.answers} == {200}
    assert found.failures == []


def test_a_host_that_dies_costs_what_was_in_flight_on_it_and_nothing_is_sent_twice(balancer: Balancer) -> None:
    balancer.start_hosts(1)
    dying = balancer.start_hosts(2)
    balancer.start(TWO)
    balancer.wait_for(1, 2)
    with load(balancer) as found, held_requests(balancer) as held:
        dying.send_signal(signal.SIGKILL)
        balancer.wait_for(1)
        (balancer.root / "released").touch()
        statuses = Counter(each.result() for each in held)
    assert statuses == {200: len(balancer.seen(1)), 502: len(balancer.seen(2))}
    assert len(balancer.seen(1)) + len(balancer.seen(2)) == len(held)
    wrong = sum(count for (_, status), count in found.answers.items() if status != 200)
    # A process that is being killed closes one socket after the other: a client may have another request in its queue.
    assert len(found.failures) + wrong <= 2 * CLIENTS


def test_a_host_that_refuses_connections_is_out_before_the_next_check(balancer: Balancer) -> None:
    balancer.start_hosts(1)
    dying = balancer.start_hosts(2)
    balancer.start(TWO.replace("inter 1s fastinter 500ms", "inter 1h fastinter 1h"))
    balancer.wait_for(1, 2)
    dying.send_signal(signal.SIGKILL)
    dying.wait()
    with load(balancer) as found:
        balancer.wait_for(1)
    assert set(found.answers) == {("127.0.0.2", 200)}
    assert found.failures == []


def test_a_reload_costs_no_request_whatever_a_drained_host_would_answer(balancer: Balancer) -> None:
    """Clients keep their connections. The host is bad, so one request to it would show."""
    balancer.start_hosts(1, 2)
    balancer.mark(2, "drained")
    balancer.mark(2, "bad")
    balancer.start(TWO)
    balancer.wait_for(1)
    with load(balancer) as found:
        for maxconn in range(201, 205):
            assert balancer.install(config(host(1), host(2), maxconn=maxconn))["reloaded"]
            done = found.total()
            wait_until(lambda done=done: found.total() > done + 100, "answers after the reload")  # type: ignore[misc]
    assert set(found.answers) == {("127.0.0.2", 200)}
    assert found.failures == []


def test_a_client_that_sends_its_header_byte_by_byte_is_cut(balancer: Balancer) -> None:
    balancer.start_hosts(1, 2)
    balancer.start(TWO.replace("timeout http-request 15s", "timeout http-request 1s"))
    balancer.wait_for(1, 2)
    with closing(http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=PATIENCE)) as connection:
        connection.connect()
        connection.sock.sendall(b"GET / HTTP/1.1\r\nHost: shop.exam")
        assert connection.sock.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_new_host_comes_with_the_next_configuration(balancer: Balancer) -> None:
    balancer.start_hosts(1, 2)
    balancer.start(config(host(1)))
    balancer.wait_for(1)
    with load(balancer) as found:
        assert balancer.install(TWO)["reloaded"]
        wait_until(lambda: found.answers["127.0.0.3", 200], "an answer of the new host")
    assert {status for _, status in found.answers} == {200}
    assert found.failures == []
