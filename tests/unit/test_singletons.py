"""singletons.py, with a real Redis and real processes: of a fleet one runs them, whatever ends, and nobody without the lease."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from tests.unit.loading import ROLE
from tests.redis_server import TOOLS, environment, redis_server
from tests.unit.conftest import process, utils, wait_until

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

TASKS = """
import os
from celery import Celery
app = Celery("tasks", broker=os.environ["REDIS_URL"])
app.conf.beat_schedule = {"tick": {"task": "tick", "schedule": 0.1, "kwargs": {"by": os.environ["HOST_NAME"]}}}
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

    def start(self, name: str, slot: str = "blue", url: str | None = None, **jobs: Any) -> subprocess.Popen[bytes]:
        """The process of a slot; blue is live as long as nothing says otherwise."""
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
            "redis": url != "no",
            "cron": {},
            "singletons": {},
            **(jobs or {"singletons": {"beat": self.beat()}}),
        }
        record = folder / f"{slot}.json"
        record.write_text(json.dumps({"release": "0123456789ab", "python": sys.executable, "jobs": settings}))
        address = {"REDIS_URL": f"redis://127.0.0.1:{self.port}" if url is None else url}
        variables = {**os.environ, "HOST_NAME": name, **address}
        output = self.stack.enter_context((folder / f"{slot}.log").open("ab"))
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


@pytest.fixture
def fleet(tmp_path: Path, ports: Callable[[int], list[int]]) -> Iterator[Fleet]:
    with ExitStack() as stack:
        (port,) = ports(1)
        stack.enter_context(redis_server(tmp_path, port))
        yield Fleet(tmp_path, stack, port)


def never_together(fleet: Fleet) -> None:
    """No two hosts have run at the same time."""
    found = fleet.ran()
    turns = [found[index][0] for index in range(len(found)) if index == 0 or found[index][0] != found[index - 1][0]]
    assert len(turns) == len(set(turns)), turns


def two(fleet: Fleet, **jobs: Any) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """The first one leads, the second one waits."""
    first = fleet.start("web-1", **jobs)
    wait_until(lambda: fleet.leads("web-1"), "a leader")
    second = fleet.start("web-2", **jobs)
    wait_until(lambda: fleet.state("web-2").get("leader") == "web-1/blue", "one that knows of it")
    return first, second


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


def test_a_lease_that_redis_has_forgotten_is_taken_by_one(fleet: Fleet) -> None:
    """Whoever finds it free first."""
    two(fleet)
    for _ in range(5):
        fleet.redis("DEL", "shop:tornado_app:leader")
        time.sleep(0.1)
    wait_until(lambda: fleet.redis("GET", "shop:tornado_app:leader"), "the lease")
    wait_until(lambda: fleet.leads("web-1") != fleet.leads("web-2"), "one leader")
    assert fleet.redis("GET", "shop:tornado_app:leader").startswith("web-1/" if fleet.leads("web-1") else "web-2/")


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


# cron


def cron(name: str, schedule: str, script: str) -> dict[str, Any]:
    """A job of cron that runs a line of shell."""
    return {"cron": {name: {"schedule": schedule, "argv": ["sh", "-c", script]}}}


def scheduled(*texts: str) -> list[str]:
    """The times of the runs that have started, as the logs tell."""
    return [line.rpartition("that of ")[2] for text in texts for line in text.splitlines() if " starts: that of " in line]


def test_a_run_of_cron_comes_once_over_two_leaders(fleet: Fleet) -> None:
    """Each second, as no schedule of an inventory can say."""
    first, _ = two(fleet, **cron("tick", "* * * * * *", "echo ticks"))
    wait_until(lambda: len(scheduled(fleet.text("web-1"))) >= 2, "two runs")
    first.send_signal(signal.SIGTERM)
    wait_until(lambda: len(scheduled(fleet.text("web-2"))) >= 3, "three runs of the other")
    times = scheduled(fleet.text("web-1"), fleet.text("web-2"))
    assert len(times) == len(set(times))
    assert fleet.text("web-2").count("ticks") in range(len(scheduled(fleet.text("web-2"))) - 1, len(times))
    told = fleet.state("web-2")["jobs"]["cron:tick"]
    assert (told["host"], told["release"]) == ("web-2", "0123456789ab")
    assert fleet.state("web-2")["next"]["cron:tick"]
    assert json.loads(fleet.redis("HGET", "shop:tornado_app:jobs", "cron:tick"))["host"] == "web-2"


@pytest.mark.parametrize(("ago", "runs"), [(130, 1), (4000, 0)])
def test_what_was_missed_is_made_up_once_when_it_is_not_old(fleet: Fleet, ago: int, runs: int) -> None:
    """A schedule that comes once an hour, and came between the last run and now; or longer ago than counts."""
    begun = time.time() - ago
    missed = time.gmtime(begun + (70 if runs else 60))
    fleet.redis("HSET", "shop:tornado_app:jobs", "cron:tick", json.dumps({"scheduled": begun}))
    jobs = cron("tick", f"{missed.tm_min} * * * *", f"echo run >>{fleet.root}/ticks")
    fleet.start("web-1", **jobs)
    wait_until(lambda: fleet.leads("web-1") and fleet.state("web-1")["next"], "the next time")
    ticks = fleet.root / "ticks"
    if runs:
        wait_until(ticks.exists, "the run that was missed")
    time.sleep(0.5)
    assert (ticks.read_text().split() if ticks.exists() else []) == ["run"] * runs


def test_a_run_that_was_made_up_is_not_made_up_again(fleet: Fleet) -> None:
    """What was known before it does not take the place of its time in Redis."""
    begun = time.time() - 130
    fleet.redis("HSET", "shop:tornado_app:jobs", "cron:tick", json.dumps({"scheduled": begun}))
    jobs = cron("tick", f"{time.gmtime(begun + 70).tm_min} * * * *", f"echo run >>{fleet.root}/ticks; sleep 3600")
    first = fleet.start("web-1", **jobs)
    wait_until((fleet.root / "ticks").exists, "the run that was missed")
    time.sleep(0.5)
    first.kill()
    fleet.start("web-2", **jobs)
    wait_until(lambda: fleet.leads("web-2") and fleet.state("web-2")["next"], "the next leader")
    time.sleep(0.5)
    assert (fleet.root / "ticks").read_text().split() == ["run"]


def test_a_run_that_goes_on_is_not_started_again(fleet: Fleet) -> None:
    fleet.start("web-1", **cron("long", "* * * * * *", f"echo run >>{fleet.root}/ticks; sleep 3600"))
    wait_until(lambda: fleet.state("web-1").get("jobs", {}).get("cron:long", {}).get("skipped", 0) >= 2, "runs that are left out")
    assert (fleet.root / "ticks").read_text() == "run\n"
    assert "cron:long still runs" in fleet.text("web-1")


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


def test_how_a_run_has_ended_is_kept(fleet: Fleet) -> None:
    fleet.start("web-1", **cron("bad", "* * * * * *", "exit 7"))
    found = wait_until(lambda: "code" in (job := fleet.state("web-1").get("jobs", {}).get("cron:bad", {})) and job, "the end of a run")
    assert (found["code"], found["host"]) == (7, "web-1")
    assert found["seconds"] >= 0


def test_a_schedule_that_cannot_be_read_ends_it_at_the_gate(fleet: Fleet) -> None:
    ended = fleet.start("web-1", **cron("bad", "61 * * * *", "true"))
    assert ended.wait(60) == 1
    assert "cron:bad has the schedule '61 * * * *', which cannot be read: Bad minute" in fleet.text("web-1")


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
