"""The lock that keeps two operators apart: a JSON file on each host, read and written under flock."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError, locked, text
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import PIDS
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Lock

# The options of each module that acts under the lock; documented in doc_fragments/lock.py.
LOCKED = {"run": {"type": "str", "required": True}, "lock": {"type": "path", "default": "/run/tornado_app/lock"}}


LATEST = 1e11  # seconds since 1970: whatever is later is no time


def parse(text: str) -> Lock:
    """What a lock file says; empty when nobody holds the lock. One that a crash left half-written is held by nobody."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or not isinstance(found.get("run"), str) or not is_time(found.get("expires")):
        return {}
    if not is_time(found.get("lease")):
        found.pop("lease", None)
    if type(found.get("pid")) is not int or found["pid"] not in PIDS:
        found.pop("pid", None)
    return cast(Lock, found)


def is_time(value: object) -> bool:
    """Whether this can be seconds; the numbers of JSON may be none, or without an end."""
    return type(value) in (int, float) and -LATEST < cast(float, value) < LATEST


def said(path: Path) -> Lock:
    """What the lock file says just now, also when the lease is over; empty when nobody holds the lock."""
    return parse(text(path))


def read(path: Path) -> Lock:
    """The lock as it is just now; empty when nobody holds it, or its lease is over."""
    found = said(path)
    return found if found and found["expires"] > time.time() else {}


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """The lock file, created when it is not there, while no other module looks at it or writes it."""
    with locked(path) as handle, open(handle, "r+", encoding="utf-8", errors="replace", closefd=False) as stream:
        yield stream


@contextmanager
def held(path: Path, run: str) -> Iterator[None]:
    """Keep the lock of this run from being taken over meanwhile, and renew its lease. Raises NotHeldError when it cannot be kept."""
    with opened(path) as stream:
        lock = parse(stream.read())
        if lock.get("run") != run:
            raise NotHeldError(f"this host's lock is now {'that of ' + holder(lock) if lock else 'free'}")
        renew(stream, lock)
        yield
        renew(stream, lock)


def renew(stream: TextIO, lock: Lock) -> None:
    """Begin the lease of an opened lock again. A lock file of an older version does not say how long that is."""
    if "lease" in lock:
        write(stream, {**lock, "expires": time.time() + lock["lease"]})


def write(stream: TextIO, lock: Lock) -> None:
    """Replace what an opened lock file says; an empty lock is nobody's."""
    stream.seek(0)
    stream.truncate()
    if lock:
        json.dump(lock, stream)
    stream.flush()


def mark(path: Path) -> str:
    """Changes with each change of the lock file; empty when there is none."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_ino}.{found.st_mtime_ns}"


def holder(lock: Lock) -> str:
    """Who holds a lock and since when, for a person."""
    return "{user} on {controller} (process {pid}), running {operation} since {since}".format(
        **{key: lock.get(key) or "?" for key in ("user", "controller", "pid", "operation", "since")}
    )
