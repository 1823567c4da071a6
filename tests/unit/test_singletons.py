"""singletons.py, with a real Redis and real processes: of a fleet one runs them, whatever ends, and nobody without the lease."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError

from tests.unit.loading import ROLE
from tests.redis_server import redis_server
from tests.unit.conftest import utils, wait_until
from tests.unit.singletons_fleet import LEASE, Fleet, competing, cron, scheduled, two

TASKS = """
import os
from celery import Celery
app = Celery("tasks", broker=os.environ["REDIS_URL"])
app.conf.beat_schedule = {"tick": {"task": "tick", "schedule": 0.1, "kwargs": {"by": os.environ["HOST_NAME"]}}}
"""


@pytest.fixture
def fleet(tmp_path: Path, ports: Callable[[int], list[int]]) -> Iterator[Fleet]:
    with competing(tmp_path, ports) as found:
        yield found


def never_together(fleet: Fleet) -> None:
    """No two hosts have run at the same time."""
    found = fleet.ran()
    turns = [found[index][0] for index in range(len(found)) if index == 0 or found[index][0] != found[index - 1][0]]
    assert len(turns) == len(set(turns)), turns


def test_of_two_one_runs_and_the_other_takes_over_when_it_is_told_to_end(fleet: Fleet) -> None:
    first, _ = two(fleet)
    assert fleet.is_run_by("web-1")
    assert (fleet.state("web-1")["leader"], fleet.leads("web-2")) == ("web-1/blue", False)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    wait_until(lambda: fleet.leads("web-2"), "the other")
    assert fleet.is_run_by("web-2")
    never_together(fleet)


def test_children_of_a_killed_one_end_with_it_and_the_other_takes_over(fleet: Fleet) -> None:
    first, _ = two(fleet)
    assert fleet.is_run_by("web-1")
    first.kill()
    first.wait(60)
    wait_until(lambda: fleet.leads("web-2"), "the other")
    assert fleet.is_run_by("web-2")
    never_together(fleet)


def test_what_a_killed_one_has_left_is_ended_by_the_next_one_of_its_host(fleet: Fleet) -> None:
    jobs = {"beat": fleet.beat("parent")}
    first = fleet.start("web-1", singletons=jobs)
    wait_until(lambda: fleet.state("web-1").get("children"), "a child that is noted")
    (pid, _), *_ = fleet.state("web-1")["children"]
    left = wait_until(lambda: [one for one in utils("proc").children(pid) if one], "what it starts itself")
    first.kill()
    first.wait(60)
    assert os.path.exists(f"/proc/{left[0]}")
    fleet.start("web-1", singletons=jobs)
    wait_until(lambda: is_gone(left[0]), "the end of what is left")


def is_gone(pid: int) -> bool:
    """Whether a process has ended, though nobody may have asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("flag", ["green", "drained"])
def test_a_switch_and_a_drained_host_move_it(fleet: Fleet, flag: str) -> None:
    two(fleet)
    (fleet.host("web-1") / flag).touch()
    wait_until(lambda: fleet.leads("web-2"), "the other")
    assert fleet.is_run_by("web-2")
    (fleet.host("web-2") / "drained").touch()
    wait_until(fleet.rests, "the end of all")
    (fleet.host("web-1") / flag).unlink()
    wait_until(lambda: fleet.leads("web-1"), "the first one again")
    assert fleet.is_run_by("web-1")


@pytest.mark.parametrize("how", ["stubborn", "heeding"])
def test_without_redis_all_ends_before_the_lease_does(fleet: Fleet, tmp_path: Path, ports: Any, how: str) -> None:
    (fleet.port,) = ports(1)
    with redis_server(tmp_path, fleet.port) as server:
        two(fleet, singletons={"beat": fleet.beat(how)})
        assert fleet.is_run_by("web-1")
        server.send_signal(signal.SIGSTOP)  # it does not even refuse
        stopped = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            wait_until(lambda: not fleet.leads("web-1") and fleet.rests(), "the end of all")
        finally:
            server.send_signal(signal.SIGCONT)
        assert max(moment for _, moment in fleet.ran()) < stopped + LEASE
        assert fleet.state("web-1")["problem"]
        assert "could not be renewed" in fleet.text("web-1")
        wait_until(lambda: fleet.leads("web-1") or fleet.leads("web-2"), "one of them, again")


def test_a_lease_that_redis_has_forgotten_stays_with_who_uses_it(fleet: Fleet) -> None:
    """As one that was evicted: the other one waits until it would have ended."""
    two(fleet)
    time.sleep(LEASE)  # the other one may take what is free now
    with Redis(port=fleet.port) as redis:
        for _ in range(30):
            redis.delete("shop:tornado_app:leader")
            time.sleep(0.02)
    assert fleet.is_run_by("web-1")
    assert not fleet.leads("web-2")
    never_together(fleet)


def fill(redis: Redis) -> None:
    """Write until it takes nothing more."""
    for size in (100_000, 1000, 1):
        with suppress(OutOfMemoryError):
            for number in range(10_000):
                redis.set(f"queue:{size}:{number}", "x" * size)


def test_a_full_redis_ends_nothing(tmp_path: Path, ports: Any) -> None:
    with competing(tmp_path, ports, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as fleet:
        two(fleet)
        with Redis(port=fleet.port) as redis:
            end = time.monotonic() + 2 * LEASE
            while time.monotonic() < end:
                fill(redis)
            assert fleet.is_run_by("web-1")
            with pytest.raises(OutOfMemoryError):
                redis.set("queue", "x")
        never_together(fleet)


def test_a_log_that_takes_nothing_ends_nothing(fleet: Fleet) -> None:
    (fleet.host("web-1") / "blue.log").symlink_to("/dev/full")
    fleet.start("web-1")
    wait_until(lambda: fleet.leads("web-1"), "a leader")
    assert fleet.is_run_by("web-1")


def test_what_the_system_does_not_start_ends_nothing_else(fleet: Fleet) -> None:
    """Here for the length of its arguments."""
    fleet.start("web-1", singletons={"beat": fleet.beat(), "long": ["echo", "x" * 200_000]})
    wait_until(lambda: "singleton:long cannot be started: [Errno 7]" in fleet.text("web-1"), "its refusal")
    assert fleet.is_run_by("web-1")


def test_a_redis_that_was_started_again_at_once_without_its_data_counts_from_then_on(tmp_path: Path, ports: Any) -> None:
    """Between two questions of one who waits; who led has not asked yet, and may lead."""
    (port,) = ports(1)
    lease = run_path(str(ROLE / "files/lease.py"))["InRedis"](f"redis://127.0.0.1:{port}", "shop", "web-2/blue", LEASE)
    with redis_server(tmp_path, port):
        lease.redis.set(lease.key, "web-1/blue")
        lease.hold(False, wanted=True)
        time.sleep(LEASE)
        assert lease.hold(False, wanted=True)[0] == "web-1/blue"
    with redis_server(tmp_path, port):
        assert lease.hold(False, wanted=True)[0] == ""
        time.sleep(LEASE)
        assert lease.hold(False, wanted=True)[0] == "web-2/blue"


def test_one_that_ends_is_started_again_later_each_time(fleet: Fleet) -> None:
    fleet.start("web-1", singletons={"bad": ["sh", "-c", "echo no queue; exit 3"]})
    found: Mapping[str, Any] = wait_until(
        lambda: (job := fleet.state("web-1").get("jobs", {}).get("singleton:bad", {})).get("tries", 0) >= 3 and job, "three tries"
    )
    assert (found["code"], found["restarts"], found["host"]) == (3, found["tries"], "web-1")
    text = fleet.text("web-1")
    assert "no queue" in text
    assert [f"starts again in {seconds} s" in text for seconds in (1, 2, 4)] == [True] * 3


def test_one_that_cannot_be_started_is_told_and_tried_again(fleet: Fleet) -> None:
    fleet.start("web-1", singletons={"bad": ["/nowhere/program"]})
    wait_until(lambda: "singleton:bad has ended with" in fleet.text("web-1"), "its end")
    assert "/nowhere/program" in fleet.text("web-1")


def test_celerys_beat_runs_on_one_host_of_two(fleet: Fleet) -> None:
    """It goes on at the other one; each of its tasks is sent once."""
    (fleet.root / "tasks.py").write_text(TASKS)

    def start(name: str) -> subprocess.Popen[bytes]:
        own = ["--schedule", str(fleet.host(name) / "schedule"), "--pidfile", ""]
        celery = ["{python}", "-m", "celery", "--workdir", str(fleet.root), "--app", "tasks", "beat", *own]
        return fleet.start(name, singletons={"beat": celery})

    def sent() -> list[str]:
        """The hosts that have sent the tasks, in their order."""
        tasks = fleet.redis("LRANGE", "celery", "0", "-1").splitlines()
        return [re.findall(r"'by': '([^']+)'", json.loads(task)["headers"]["kwargsrepr"])[0] for task in reversed(tasks)]

    begun = {name: start(name) for name in ("web-1", "web-2")}
    wait_until(lambda: len(sent()) > 5, "tasks")
    (first,) = set(sent())
    begun[first].terminate()
    (second,) = begun.keys() - {first}
    wait_until(lambda: sent().count(second) > 5, "tasks of the other host")
    assert sent() == [first] * sent().count(first) + [second] * (len(sent()) - sent().count(first))


@pytest.mark.parametrize(
    ("url", "said"), [("", "is empty"), ("redis+sentinel://a/b", "cannot be used"), ("redis://:s3cret/x@a", "cannot be used")]
)
def test_without_a_url_that_it_can_use_it_ends_at_the_gate(fleet: Fleet, url: str, said: str) -> None:
    """With a lock of its own each host would run them."""
    assert fleet.start("web-1", url=url).wait(60) == 1
    assert f"REDIS_URL {said}" in fleet.text("web-1")
    assert "s3cret" not in fleet.text("web-1")


# One host, without Redis


def test_the_slots_of_one_host_agree_without_redis(fleet: Fleet) -> None:
    jobs = {**cron("tick", "* * * * * *", "true"), "singletons": {"beat": fleet.beat()}}
    fleet.start("web-1", url="no", **jobs)
    wait_until(lambda: len(scheduled(fleet.text("web-1"))) >= 2, "two runs")
    assert fleet.is_run_by("web-1")
    green = fleet.start("web-1", "green", url="no", **jobs)
    (fleet.host("web-1") / "green").touch()
    wait_until(lambda: fleet.state("web-1").get("pid") == green.pid and fleet.leads("web-1"), "the other slot")
    wait_until(lambda: len(scheduled(fleet.text("web-1", "green"))) >= 2, "two runs of the other slot")
    times = scheduled(fleet.text("web-1"), fleet.text("web-1", "green"))
    assert len(times) == len(set(times))
    assert "the other slot is live" in fleet.text("web-1")


def test_the_lock_of_a_killed_one_is_free(fleet: Fleet) -> None:
    first = fleet.start("web-1", url="no")
    wait_until(lambda: fleet.leads("web-1"), "a leader")
    first.kill()
    first.wait(60)
    second = fleet.start("web-1", url="no")
    wait_until(lambda: fleet.state("web-1").get("pid") == second.pid and fleet.leads("web-1"), "the next one")
