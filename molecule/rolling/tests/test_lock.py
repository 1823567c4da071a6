"""Two operators do not get into each other's way, and no lock outlives who took it."""

import json
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fleet import LOCK, Fleet, wait_until

TAKE_OVER = "-e tornado_app_take_over=true"


@pytest.fixture
def foreign(shop: Fleet) -> Iterator[Callable[[float], None]]:
    """Lets somebody else lock one of the hosts, for some seconds from now on."""
    host = shop.hosts["web-2"]

    def lock(seconds: float) -> None:
        found = {"run": "theirs", "controller": "build-9", "machine": "build-9-0123456789ab", "user": "ana", "pid": 4711}
        found |= {"operation": "deploy", "since": "2026-01-01T00:00:00Z", "expires": time.time() + seconds}
        host.check_output(f"echo {shlex.quote(json.dumps(found))} > {LOCK}")

    yield lock
    host.check_output(f"rm --force {LOCK}")


def test_a_second_run_is_refused_while_another_one_goes_on(shop: Fleet) -> None:
    before = shop.release()
    shop.change("locked")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(shop.run, "--tags", "deploy")
        wait_until(lambda: first.done() or all(shop.locks().values()))
        (pid,) = {lock["pid"] for lock in shop.locks().values()}
        os.kill(pid, signal.SIGSTOP)  # it goes on for as long as this test wants
        try:
            (lock,) = {json.dumps({**lock, "expires": 0}, sort_keys=True) for lock in shop.locks().values()}
            output = shop.refused("--tags", "restart")
        finally:
            os.kill(pid, signal.SIGCONT)
    holder = json.loads(lock)
    for text in (holder["user"], holder["controller"], f"process {pid}", "deploy", holder["since"], TAKE_OVER):
        assert text in output
    assert first.result().returncode == 0
    assert shop.release() != before
    assert not any(shop.locks().values())


def test_the_lock_of_another_controller_holds_until_it_is_taken_over(shop: Fleet, foreign: Callable[[float], None]) -> None:
    foreign(3600)
    theirs = shop.locks()
    output = shop.refused("--tags", "deploy")
    for text in ("web-2", "ana", "build-9", "4711", "deploy", "2026-01-01T00:00:00Z", TAKE_OVER):
        assert text in output
    assert shop.locks() == theirs
    assert "build-9" in shop.play("--tags", "status")
    assert shop.locks() == theirs
    shop.play("--tags", "deploy", *TAKE_OVER.split())
    assert not any(shop.locks().values())


def test_a_run_waits_for_the_lock_of_another_one_when_it_is_told_to(shop: Fleet, foreign: Callable[[float], None]) -> None:
    foreign(15)
    shop.change("after a lock that ends soon")
    shop.play("--tags", "deploy", "-e", "tornado_app_lock_wait=300")
    assert not any(shop.locks().values())


def test_a_lock_that_has_expired_is_taken_without_a_question(shop: Fleet, foreign: Callable[[float], None]) -> None:
    foreign(-1)
    shop.play("--tags", "restart", "--limit", "web-2")
    assert not any(shop.locks().values())
