"""The lease of an app: one process of its fleet has it, for a time that it extends. Of singletons.py, which lies beside it.

What is known of jobs goes with the lease from one process to the next.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

Jobs = dict[str, dict[str, Any]]

# Takes or extends the lease; answers with whose it is. A Redis that is full extends it, too.
HOLD = """
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif held and held ~= '' then
    return held
else
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return ARGV[1]
"""
# One that was given back is there, and nobody's. One that is gone may be still in use.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] and redis.pcall('SET', KEYS[1], '', 'PX', ARGV[2])['err'] then
    redis.call('DEL', KEYS[1])
end
"""
# Keeps what became of a job, as long as the lease is one's own.
NOTE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) return 1 end return 0"


def clock() -> float:
    """Seconds that also pass while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def parsed(text: str) -> dict[str, Any]:
    """A dictionary as JSON has it; an empty one when it is none."""
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        return found if isinstance(found, dict) else {}
    return {}


def read(path: str) -> dict[str, Any]:
    """What a file has as JSON; nothing when it cannot be read."""
    with suppress(OSError, ValueError), open(path, encoding="utf-8") as stream:
        return parsed(stream.read())
    return {}


def write(path: str, text: str) -> None:
    """A file with another content, at once."""
    new = f"{path}.{os.getpid()}"  # both slots of an app write at a switch
    with open(new, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(new, path)


class InRedis:
    """The lease of several hosts: a key that ends."""

    def __init__(self, url: str, app: str, token: str, seconds: float) -> None:
        timeout = seconds / 8
        self.redis = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            redis_connect_func=self.connected,
        )
        self.key, self.jobs = f"{app}:tornado_app:leader", f"{app}:tornado_app:jobs"
        self.token, self.seconds = token, seconds
        self.since: float | None = None  # when it has begun to answer
        self.used = 0.0  # until when another one may use the lease

    def connected(self, connection: Any) -> None:
        """Begin anew with each connection: one that Redis has ended is followed by another one without an error."""
        connection.on_connect()
        self.since = None

    def hold(self, leading: bool, wanted: bool) -> tuple[str, Jobs]:
        """Whose the lease is, now that it was extended, or taken when that is wanted; and when it was taken, what is known of jobs.

        A Redis that was started again may have forgotten whose it is. So it is taken by who has had an answer for as long as it lasts.
        One that runs may lose it, too, as it has no memory left: who had it before uses it to its end.
        """
        begin = clock()
        try:
            holder = "" if leading else self.other(begin)
            free = not holder and begin >= self.used and self.since is not None and begin - self.since >= self.seconds
            if leading or (wanted and free):
                holder = str(self.redis.eval(HOLD, 1, self.key, self.token, str(int(self.seconds * 1000))))
            taken = holder == self.token and not leading
            known: Mapping[str, str] = self.redis.hgetall(self.jobs) if taken else {}  # type: ignore[assignment]  # or awaitable
        except Exception:
            self.since = None
            raise
        self.since = begin if self.since is None else self.since
        return holder, {field: parsed(text) for field, text in known.items()}

    def other(self, now: float) -> str:
        """Who else has it."""
        found: Any = self.redis.get(self.key)
        left: Any = self.redis.pttl(self.key)
        if found and found != self.token:  # one's own could not be given back, and ends by itself
            self.used = now + left / 1000
            return str(found)
        if found is not None:
            self.used = 0.0
        return ""

    def note(self, field: str, job: Mapping[str, Any]) -> bool:
        """Keep what became of a job; whether the lease is still one's own."""
        return bool(self.redis.eval(NOTE, 2, self.key, self.jobs, self.token, field, json.dumps(job)))

    def release(self) -> None:
        """Let another one have the lease."""
        self.redis.eval(RELEASE, 1, self.key, self.token, str(int(self.seconds * 1000)))


class OnHost:
    """The lease between the two slots of an app that has one host: a lock, which ends with its process."""

    def __init__(self, state: str, token: str) -> None:
        self.jobs, self.token = f"{state}.jobs", token
        self.lock = os.open(f"{state}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def hold(self, leading: bool, wanted: bool) -> tuple[str, Jobs]:
        """As that of Redis."""
        if leading or not wanted:
            return self.token if leading else "", {}
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "the other slot", {}
        return self.token, read(self.jobs)

    def note(self, field: str, job: Mapping[str, Any]) -> bool:
        """As that of Redis."""
        write(self.jobs, json.dumps({**read(self.jobs), field: job}))
        return True

    def release(self) -> None:
        """As that of Redis."""
        fcntl.flock(self.lock, fcntl.LOCK_UN)


class Asking:
    """Asks for the lease beside the loop, which no answer may hold up."""

    def __init__(self) -> None:
        self.questions: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        """Ask one question after the other."""
        while True:
            future, question = self.questions.get()
            try:
                future.set_result(question())
            except Exception as problem:
                future.set_exception(problem)

    def ask(self, question: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """The answer, once it is there."""
        future: Future[Any] = Future()
        self.questions.put((future, partial(question, *arguments)))
        return future
