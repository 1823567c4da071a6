"""Run what the fleet runs once, an app's singletons and cron: singletons.py RECORD. A program of each slot, started by launch.py.

One process of the fleet has the lease of the app, and runs all of it as its children. It is of a live slot, on a host that is not
drained. The lease is in Redis where the app has REDIS_URL; else, on its only host, it is a lock. Children are gone before the lease
ends: where Redis is away, nobody runs them.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from child import Child, started, sweep
from lease import Asking, InRedis, Jobs, OnHost, clock, read, write

LOOK = 0.2  # seconds between two looks
LONGEST = 30.0  # most seconds before a singleton that has ended is started again
STEADY = 60.0  # seconds after which a singleton counts as well again
MISSED = 300.0  # seconds for which a run of cron is made up
AHEAD = 3600.0  # seconds by which no clock of another host is in front: this one was put back
NOT_STARTED = 127  # the code of a run that could not be started, as a shell has it
BACK = 60.0  # seconds by which a clock that is put back changes what comes next
FOREVER = 1e9  # seconds of a lease that ends with its process alone


def utc(seconds: float) -> str:
    """Seconds since 1970 for a person."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def say(text: str) -> None:
    """Write a line to the log; a full disk ends nothing."""
    with suppress(OSError):
        print(utc(time.time()), text, flush=True)


def local_zone() -> tzinfo:
    """The time zone of the host, whatever the app has as its own."""
    try:
        with open("/etc/localtime", "rb") as stream:
            return ZoneInfo.from_file(stream)
    except (OSError, ValueError):
        return timezone.utc


def following(schedule: str, moment: float, zone: tzinfo) -> float:
    """The first time of a schedule after a moment, in seconds since 1970."""
    times = (found.timestamp() for found in CronSim(schedule, datetime.fromtimestamp(moment, zone)))
    return next((found for found in times if found > moment), float("inf"))  # in autumn an hour comes twice, and CronSim knows one


def first(job: str, schedule: str, zone: tzinfo) -> float:
    """When cron comes first; ends the process, and so the slot at the gate, where a schedule cannot be read."""
    try:
        return following(schedule, time.time(), zone)
    except CronSimError as problem:
        sys.exit(f"{job} has the schedule {schedule!r}, which cannot be read: {problem}")


class Singletons:
    """Looks again and again who has the lease, and whether all that it is for runs."""

    def __init__(self, path: str) -> None:
        with open(path, encoding="utf-8") as stream:
            record = json.load(stream)
        self.settings: dict[str, Any] = record["jobs"]
        self.release, self.zone = record["release"], local_zone()
        self.schedules = {f"cron:{name}": cron["schedule"] for name, cron in self.settings["cron"].items()}
        self.due = {job: first(job, schedule, self.zone) for job, schedule in self.schedules.items()}  # when it starts again, or next
        commands = {f"singleton:{name}": argv for name, argv in self.settings["singletons"].items()}
        commands |= {f"cron:{name}": cron["argv"] for name, cron in self.settings["cron"].items()}
        self.commands = {job: [part.format(python=record["python"]) for part in argv] for job, argv in commands.items()}
        url, seconds = os.environ.get("REDIS_URL", "") if self.settings["redis"] else "", self.settings["lease"]
        if self.settings["redis"] and not url:  # a lock of each host would let all of them lead
            sys.exit("REDIS_URL is empty: without it nobody can tell which host of the fleet runs singletons and cron")
        self.where, self.seconds = f"{self.settings['host']}/{self.settings['slot']}", seconds if url else FOREVER
        self.token = f"{self.where}/{os.getpid()}/{secrets.token_hex(4)}"
        try:
            self.lease = InRedis(url, self.settings["app"], self.token, seconds) if url else OnHost(self.settings["state"], self.token)
        except ValueError:  # its text may have a part of the password
            sys.exit("REDIS_URL cannot be used: give redis://, rediss:// or unix://, with a password whose special characters are quoted")
        self.asking, self.asked, self.period = Asking(), 0.0, seconds / 4
        self.answer: Future[Any] | None = None
        self.leads, self.until, self.holder, self.problem, self.ending = False, 0.0, "", "", False
        self.leaderless = time.time()
        self.offset = 0.0  # of the time of day from the clock
        self.children: dict[str, Child] = {}
        self.jobs: Jobs = {}
        self.claims: dict[str, tuple[dict[str, Any], Future[Any]]] = {}  # runs of cron that begin when the lease has kept them
        self.unkept: set[str] = set()
        self.keeping: tuple[str, Future[Any]] | None = None
        self.written: tuple[str, int] | None = None

    def is_live(self) -> bool:
        """Whether its slot is the one that nginx sends requests to."""
        return os.path.exists(self.settings["flag"]) is (self.settings["slot"] == "green")

    def unwanted(self) -> str:
        """Why it is not the one to lead; empty when it may be."""
        if self.ending:
            return "it was told to end"
        if not self.is_live():
            return "the other slot is live"
        return "the host is drained" if os.path.exists(self.settings["drained"]) else ""

    def look(self) -> None:
        """Look once, and do what is to be done."""
        reason = self.unwanted()
        self.renew(wanted=not reason)
        if self.is_live() or self.leads:
            self.write()
        if not reason and clock() >= self.until - self.seconds / 3:
            reason = f"the lease could not be renewed: {self.problem}"
        if self.leads and reason:
            self.step_down(reason)
        elif self.leads:
            self.heed_the_clock()
            for job in self.settings["singletons"]:
                self.tend_singleton(f"singleton:{job}")
            for job in self.schedules:
                self.tend_cron(job)
            self.keep_states()

    def renew(self, wanted: bool) -> None:
        """Ask for the lease from time to time, and take in the answer."""
        if self.answer is None and clock() - self.asked >= self.period:
            self.asked = clock()
            self.answer = self.asking.ask(self.lease.hold, self.leads, wanted)
        if self.answer is None or not self.answer.done():
            return
        answer, self.answer = self.answer, None
        if problem := answer.exception():
            if not self.problem:
                say(f"Redis does not answer: {problem}")
            self.problem, self.holder = str(problem) or repr(problem), self.holder if self.leads else ""
            return
        (self.holder, known), self.problem = answer.result(), ""
        self.leaderless = 0.0 if self.holder else self.leaderless or time.time()
        if self.holder == self.token:
            self.until = self.asked + self.seconds
            if not self.leads:
                self.begin(known)
        elif self.leads:
            self.until, self.problem = 0.0, f"{self.holder or 'nobody'} has it"

    def begin(self, known: Jobs) -> None:
        """Lead from here on."""
        say("this process has the lease, and runs the singletons and cron of the fleet")
        self.leads, self.due, now = True, {}, time.time()
        self.jobs = {job: known.get(job, {}) for job in self.commands}
        for job, state in self.jobs.items():
            if schedule := self.schedules.get(job):
                # What another schedule has missed is nothing that this one has.
                since = state.get("scheduled", now) if state.get("schedule", schedule) == schedule else now
                state.update({"scheduled": since, "schedule": schedule})
            else:
                state.update({"restarts": 0, "tries": 0})
            self.unkept.add(job)

    def heed_the_clock(self) -> None:
        """Say anew when cron comes next, once the clock was put back."""
        offset = time.time() - clock()
        if offset < self.offset - BACK:
            self.due = {job: due for job, due in self.due.items() if job not in self.schedules}
        self.offset = offset

    def start(self, job: str) -> bool:
        """Start a job; whether that could be done."""
        try:
            self.children[job] = Child(self.commands[job], clock())
        except OSError as problem:  # no process is left, or no memory
            say(f"{job} cannot be started: {problem}")
            return False
        return True

    def ended(self, job: str) -> Child | None:
        """A job that has ended by now, without what it has left."""
        child = self.children.get(job)
        if child is None or child.process.poll() is None:
            return None
        child.end(signal.SIGKILL)
        return self.children.pop(job)

    def change(self, job: str, **changed: Any) -> None:
        """Note what became of a job."""
        self.jobs[job].update(changed)
        self.unkept.add(job)

    def tend_singleton(self, job: str) -> None:
        """Have a singleton run; one that ends soon starts again later each time."""
        state = self.jobs[job]
        if child := self.ended(job):
            tries = 0 if clock() - child.began >= STEADY else state["tries"] + 1
            pause = min(LONGEST, 2.0 ** max(0, min(tries, 10) - 1))
            say(f"{job} has ended with {child.process.returncode}, and starts again in {pause:.0f} s")
            self.due[job] = clock() + pause
            self.change(job, code=child.process.returncode, ended=utc(time.time()), restarts=state["restarts"] + 1, tries=tries)
        elif job not in self.children and clock() >= self.due.get(job, 0.0):
            if self.start(job):
                self.change(job, host=self.settings["host"], release=self.release, since=utc(time.time()))
            else:
                self.due[job] = clock() + LONGEST
        elif job in self.children and state["tries"] and clock() - self.children[job].began >= STEADY:
            self.change(job, tries=0)

    def tend_cron(self, job: str) -> None:
        """Start a run of cron at its time: once the lease has kept that, so that nobody else does."""
        now, state = time.time(), self.jobs[job]
        if child := self.ended(job):
            self.change(job, code=child.process.returncode, ended=utc(now), seconds=round(clock() - child.began, 1))
        if job in self.claims:
            attempt, kept = self.claims[job]
            if kept.done():
                del self.claims[job]
                if kept.exception() is None and kept.result():
                    self.jobs[job] = attempt
                    self.due[job] = 0.0
                    say(f"{job} starts: that of {utc(attempt['scheduled'])}")
                    if not self.start(job):
                        self.change(job, code=NOT_STARTED, ended=utc(now), seconds=0.0)
        elif now >= self.due.get(job, 0.0):
            since = max(now if state["scheduled"] > now + AHEAD else state["scheduled"], now - MISSED)
            self.due[job] = due = following(self.schedules[job], since, self.zone)
            if due > now:
                return
            while (later := following(self.schedules[job], due, self.zone)) <= now:
                due = later  # one run for all that were missed
            if job in self.children:
                say(f"{job} still runs: that of {utc(due)} is left out")
                self.change(job, scheduled=due, skipped=state.get("skipped", 0) + 1)
                self.due[job] = later
                return
            attempt = {**state, "scheduled": due, "at": utc(now), "host": self.settings["host"], "release": self.release}
            attempt = {key: value for key, value in attempt.items() if key not in ("code", "seconds", "ended")}
            self.claims[job] = (attempt, self.asking.ask(self.lease.note, job, attempt))

    def keep_states(self) -> None:
        """Let the next process that leads know what became of jobs."""
        if self.keeping and self.keeping[1].done():
            job, kept = self.keeping
            self.keeping = None
            if kept.exception():
                self.unkept.add(job)
        job = next(iter(self.unkept - self.claims.keys()), "")  # the time of a run that begins is kept by itself, and not to be undone
        if job and not self.keeping:
            self.unkept.remove(job)
            self.keeping = (job, self.asking.ask(self.lease.note, job, dict(self.jobs[job])))

    def step_down(self, reason: str) -> None:
        """End all jobs, before the lease ends; it is renewed meanwhile, as far as that can be. Then let another one have it."""
        say(f"this process ends the singletons and cron: {reason}")
        begin = clock()
        for child in self.children.values():
            child.end(signal.SIGTERM)
        while any(child.process.poll() is None for child in self.children.values()):
            self.renew(wanted=False)
            if clock() - begin >= self.settings["stop_timeout"] or clock() >= self.until - self.seconds / 15:
                for child in self.children.values():
                    child.end(signal.SIGKILL)
            time.sleep(LOOK / 4)
        for job in list(self.children):
            if done := self.ended(job):
                self.change(job, code=done.process.returncode, ended=utc(time.time()))
        self.unkept |= self.claims.keys()  # that run has not begun: the next one makes it up
        for job in self.unkept:
            self.asking.ask(self.lease.note, job, dict(self.jobs[job]))
        self.leads, self.holder, self.answer, self.keeping = False, "", None, None
        self.claims.clear()
        self.unkept.clear()
        self.write()
        released = self.asking.ask(self.lease.release)
        if self.ending:
            with suppress(Exception):
                released.result(self.period)

    def write(self) -> None:
        """Say what is so, for the status; what another process has left that wrote before is swept away."""
        path = self.settings["state"]
        children = [(child.process.pid, child.started) for child in self.children.values()]
        state = {
            "pid": os.getpid(),
            "started": started(os.getpid()),
            "children": children,
            "leads": self.leads,
            "leader": "/".join(self.holder.split("/")[:2]),
            "problem": self.problem,
            "leaderless": self.leaderless,
            "jobs": self.jobs if self.leads else {},
            "next": {job: utc(self.due[job]) for job in self.schedules if 0 < self.due.get(job, 0.0) < float("inf")},
        }
        text, mark = json.dumps(state), os.stat(path).st_mtime_ns if os.path.exists(path) else 0
        if not self.written or self.written[1] != mark:
            sweep(read(path))
        elif self.written[0] == text:
            return
        with suppress(OSError):  # as of a full disk
            write(path, text)
            self.written = (text, os.stat(path).st_mtime_ns)


def main() -> None:
    """Look until the end."""
    singletons = Singletons(sys.argv[1])

    def end(*_: object) -> None:
        singletons.ending = True

    signal.signal(signal.SIGTERM, end)
    while not singletons.ending or singletons.leads:
        singletons.look()
        time.sleep(LOOK)


if __name__ == "__main__":
    main()
