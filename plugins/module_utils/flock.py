"""A lock among processes of one user, root on a host: nobody else can hold it, no child inherits it, no wait is for ever."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import command, flock_holders

PATIENCE = 900.0  # seconds: as long as the lease of a run that waits here; see LEASE in plugin_utils/run.py


class NotHeldError(Exception):
    """A lock cannot be had; the message says why."""


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """The descriptor of a lock file, while nobody else has its lock. Raises NotHeldError when that takes too long."""
    try:
        handle = opened(path)
    except OSError as problem:
        raise NotHeldError(f"{path} cannot be opened as a lock: {problem.strerror}; remove what is there") from None
    try:
        wait(handle, path)
        yield handle
    finally:
        os.close(handle)


def opened(path: Path) -> int:
    """The descriptor of a file that no other user can open, in a directory in which no other user can put one.

    What an older version or somebody's umask has left is put right in place: another file would have another lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        own(directory, 0o755)  # nginx's workers look for a file in it
        handle = os.open(path.name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600, dir_fd=directory)
    finally:
        os.close(directory)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotHeldError(f"{path} cannot be opened as a lock: it is not a file; remove what is there")
    own(handle, 0o600)
    return handle


def own(handle: int, mode: int) -> None:
    """Take what is open from everybody else."""
    os.fchown(handle, os.geteuid(), os.getegid())
    os.fchmod(handle, mode)


def wait(handle: int, path: Path) -> None:
    """Wait for the lock of an open file, but not for ever."""
    deadline = time.monotonic() + PATIENCE
    while not taken(handle):
        if time.monotonic() > deadline:
            raise NotHeldError(f"{path} was held for {PATIENCE:.0f} s by {holder(path)}")
        time.sleep(0.05)


def taken(handle: int) -> bool:
    """Take the lock of an open file, unless another process has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(path: Path) -> str:
    """Who holds a lock, and the way out. A holder that /proc does not show may have said who it is."""
    found = [f"process {pid} ({command(pid)})" for pid in flock_holders(path)]
    if found:
        return f"{' and '.join(found)}; wait for its end, or end it"
    return f"a process that is not to be seen here, which says {text(path)[:200]!r}; wait for its end"


def text(path: Path) -> str:
    """What a lock file says just now; empty when it is not there, or no file: no link is followed, no pipe waited for."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
