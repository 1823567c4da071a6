"""cron of singletons.py, with a real Redis and real processes: each run comes once, whatever the clock does."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from runpy import run_path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.unit.conftest import wait_until
from tests.unit.singletons_fleet import SCRIPT, Fleet, competing, cron, scheduled, two

SINGLETONS = run_path(str(SCRIPT))


@pytest.fixture
def fleet(tmp_path: Path, ports: Callable[[int], list[int]]) -> Iterator[Fleet]:
    with competing(tmp_path, ports) as found:
        yield found


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


@pytest.mark.parametrize(("ago", "former", "runs"), [(130, "", 1), (4000, "", 0), (130, "0 3 * * *", 0)])
def test_what_was_missed_is_made_up_once_when_it_is_not_old(fleet: Fleet, ago: int, former: str, runs: int) -> None:
    """A schedule that comes once an hour, and came between the last run and now; or longer ago than counts; or that is new since."""
    begun = time.time() - ago
    schedule = f"{time.gmtime(begun + (70 if ago < 300 else 60)).tm_min} * * * *"
    fleet.redis("HSET", "shop:tornado_app:jobs", "cron:tick", json.dumps({"scheduled": begun, "schedule": former or schedule}))
    jobs = cron("tick", schedule, f"echo run >>{fleet.root}/ticks")
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
    jobs = cron("tick", f"{time.gmtime(begun + 70).tm_min} * * * *", f"echo run >>{fleet.root}/ticks; exec sleep 3600")
    first = fleet.start("web-1", **jobs)
    wait_until((fleet.root / "ticks").exists, "the run that was missed")
    time.sleep(0.5)
    first.kill()
    fleet.start("web-2", **jobs)
    wait_until(lambda: fleet.leads("web-2") and fleet.state("web-2")["next"], "the next leader")
    time.sleep(0.5)
    assert (fleet.root / "ticks").read_text().split() == ["run"]


def test_a_run_that_goes_on_is_not_started_again(fleet: Fleet) -> None:
    fleet.start("web-1", **cron("long", "* * * * * *", f"echo run >>{fleet.root}/ticks; exec sleep 3600"))
    wait_until(lambda: fleet.state("web-1").get("jobs", {}).get("cron:long", {}).get("skipped", 0) >= 2, "runs that are left out")
    assert (fleet.root / "ticks").read_text() == "run\n"
    assert "cron:long still runs" in fleet.text("web-1")


def test_how_a_run_has_ended_is_kept(fleet: Fleet) -> None:
    fleet.start("web-1", **cron("bad", "* * * * * *", "exit 7"))
    found = wait_until(lambda: "code" in (job := fleet.state("web-1").get("jobs", {}).get("cron:bad", {})) and job, "the end of a run")
    assert (found["code"], found["host"]) == (7, "web-1")
    assert found["seconds"] >= 0


def test_a_schedule_that_cannot_be_read_ends_it_at_the_gate(fleet: Fleet) -> None:
    ended = fleet.start("web-1", **cron("bad", "61 * * * *", "true"))
    assert ended.wait(60) == 1
    assert "cron:bad has the schedule '61 * * * *', which cannot be read: Bad minute" in fleet.text("web-1")


def test_a_switch_between_the_claim_of_a_run_and_its_begin_leaves_it_to_the_next_leader(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{fleet.port}")
    leader = SINGLETONS["Singletons"](str(fleet.record("web-1", "blue", redis=True, **cron("tick", "* * * * * *", "true"))))
    before: dict[str, Any] = {}
    while not leader.claims:
        before = {**leader.jobs.get("cron:tick", {})}
        leader.look()
        time.sleep(0.05)
    leader.step_down("the other slot is live")
    kept = wait_until(lambda: not fleet.redis("GET", "shop:tornado_app:leader") and fleet.redis("HGETALL", "shop:tornado_app:jobs"), "it")
    assert json.loads(kept.splitlines()[1])["scheduled"] == before["scheduled"]
    assert leader.children == {}


def test_in_autumn_a_run_of_the_hour_that_comes_twice_comes_once() -> None:
    zone = ZoneInfo("Europe/Berlin")
    again = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=zone).timestamp()
    assert SINGLETONS["following"]("30 2 * * *", again, zone) == datetime(2026, 10, 26, 2, 30, tzinfo=zone).timestamp()


def test_a_clock_that_is_put_back_has_the_next_times_said_anew(fleet: Fleet) -> None:
    leader = SINGLETONS["Singletons"](str(fleet.record("web-1", "blue", redis=False, **cron("tick", "* * * * *", "true"))))
    leader.heed_the_clock()
    leader.due = {"cron:tick": time.time() + 10800, "singleton:beat": 1.0}
    leader.heed_the_clock()
    assert "cron:tick" in leader.due
    leader.offset += 10800  # what it was while the clock was in front
    leader.heed_the_clock()
    assert leader.due == {"singleton:beat": 1.0}
