"""Redis is away: before a process starts, while it runs, and for a moment only."""

import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from fleet import Event
from running import Visitor, free_port, get, heard, redis_url, texts, wait_until, web
from store import RETRY, TIMEOUT, backoff
from tests.redis_server import redis_server


@pytest.fixture
def port_of_redis() -> int:
    """Where it will be."""
    return free_port()


@pytest.fixture
def ports(port_of_redis: int) -> Iterator[list[int]]:
    """The ports of two processes, which have started without it."""
    with ExitStack() as stack:
        yield [stack.enter_context(web(REDIS_URL=redis_url(port_of_redis)))[1] for _ in range(2)]


def restarted(stack: ExitStack, folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """Run a Redis that keeps what it has confirmed."""
    return stack.enter_context(redis_server(folder, port, "--appendonly", "yes", "--appendfsync", "always"))


def connected(ports: list[int]) -> bool:
    """Tell whether all processes have Redis."""
    return all(get(port, "/healthz") == {"status": "ok", "redis": "connected"} for port in ports)


def states(events: list[Event]) -> list[str]:
    """Return what a socket has heard of where the board is kept."""
    return [event["state"] for event in events if event["kind"] == "store"]


def test_nothing_is_lost_or_doubled(ports: list[int], port_of_redis: int, tmp_path: Path) -> None:
    """A process serves without Redis what it can, finds it by itself, and goes on over a restart with what was taken."""
    ana, ben = (Visitor(port) for port in ports)
    assert "Redis is out of reach" in ana.page
    assert get(ports[0], "/healthz") == {"status": "ok", "redis": "out of reach"}
    status, answer = ana.post("/api/board", text="too early", key="early")
    assert status == 503
    assert "may not have been taken" in answer["error"]
    with ExitStack() as stack, ben.listen() as socket:
        server = restarted(stack, tmp_path, port_of_redis)
        wait_until(lambda: connected(ports))
        taken = [str(number) for number in range(20)]
        for number in taken[:10]:
            ana.say(number, key=number)
        server.send_signal(signal.SIGKILL)
        server.wait()
        assert ana.post("/api/board", text=taken[10], key=taken[10])[0] == 503
        wait_until(lambda: get(ports[1], "/healthz")["redis"] == "out of reach")
        assert texts(get(ports[1], "/api/board")["messages"]) == taken[:10]
        restarted(stack, tmp_path, port_of_redis)
        wait_until(lambda: connected(ports[:1]))
        for number in taken[9:]:  # one of them again, for who has not heard that it was taken
            ana.say(number, key=number)
        events = heard(socket, lambda events: taken[-1] in texts(events) and states(events)[-1] == "redis")
    assert texts(events) == taken
    assert states(events)[-2:] == ["away", "redis"]


def test_one_that_hangs_is_away(ports: list[int], port_of_redis: int, tmp_path: Path) -> None:
    """A visitor gets an answer soon, and the page says what is wrong."""
    with redis_server(tmp_path, port_of_redis) as server:
        wait_until(lambda: connected(ports))
        ana = Visitor(ports[0])
        ana.say("before")
        server.send_signal(signal.SIGSTOP)
        try:
            assert ana.post("/api/board", text="hello", key="hello")[0] == 503
            wait_until(lambda: get(ports[0], "/healthz")["redis"] == "out of reach")
        finally:
            server.send_signal(signal.SIGCONT)
        wait_until(lambda: connected(ports))
        ana.say("hello", key="hello")  # Redis may have taken it, and only its answer came too late
        wait_until(lambda: texts(get(ports[1], "/api/board")["messages"]) == ["before", "hello"])


def test_one_that_hangs_for_a_moment_refuses_no_message(ports: list[int], port_of_redis: int, tmp_path: Path) -> None:
    with redis_server(tmp_path, port_of_redis) as server, ThreadPoolExecutor(1) as pool:
        wait_until(lambda: connected(ports))
        ana = Visitor(ports[0])
        server.send_signal(signal.SIGSTOP)
        said = pool.submit(ana.say, "hello")
        time.sleep(TIMEOUT + 1)
        server.send_signal(signal.SIGCONT)
        said.result()
        wait_until(lambda: texts(get(ports[1], "/api/board")["messages"]) == ["hello"])


def test_connections_that_a_restart_has_ended_refuse_no_message(ports: list[int], port_of_redis: int, tmp_path: Path) -> None:
    """There are several, of visitors who came at the same moment; the process finds out with the next message on each."""
    together = 20
    with ExitStack() as stack, ThreadPoolExecutor(together) as pool:
        server = restarted(stack, tmp_path, port_of_redis)
        wait_until(lambda: connected(ports))
        visitors = [Visitor(ports[0]) for _ in range(together)]
        list(pool.map(lambda visitor: visitor.say("before"), visitors))
        server.send_signal(signal.SIGKILL)
        server.wait()
        wait_until(lambda: not connected(ports[:1]))
        restarted(stack, tmp_path, port_of_redis)
        wait_until(lambda: connected(ports))
        list(pool.map(lambda visitor: visitor.say("after"), visitors))


def test_with_a_wrong_password_a_process_serves_what_it_can(port_of_redis: int, tmp_path: Path) -> None:
    wrong = f"redis://:wrong@127.0.0.1:{port_of_redis}/0"
    with redis_server(tmp_path, port_of_redis, "--requirepass", "right"), web(REDIS_URL=wrong) as (_, port):
        ana = Visitor(port)
        assert "Redis is out of reach" in ana.page
        assert get(port, "/healthz") == {"status": "ok", "redis": "out of reach"}
        assert ana.post("/api/board", text="hello")[0] == 503


def test_it_is_tried_again_for_ever() -> None:
    assert 0 < backoff(0) < backoff(5000) <= RETRY[1]
