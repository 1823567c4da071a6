"""What a process may write by its mount namespace, and how a directory is opened to one that runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import PROC, own, read

PROGRAM_TIMEOUT = 30.0  # seconds


class MountError(Exception):
    """A directory cannot be opened to a process; the message says why."""


def unescaped(text: str) -> str:
    """A path as it is: /proc has octal numbers in the place of blanks."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def writable(pid: int, path: str, proc: Path = PROC) -> bool:
    """Whether a process can write at a path, as far as its mounts decide it; not where the directory has been replaced since."""
    covering, found = "", False
    for line in read(proc / str(pid) / "mountinfo").split("\n"):
        parts = line.split(" ")
        if len(parts) < 7:
            continue
        root, point = unescaped(parts[3]), unescaped(parts[4])
        if f"{path}/".startswith(f"{point.rstrip('/')}/") and len(point) >= len(covering):  # the last of several at a place counts
            covering, found = point, "rw" in parts[5].split(",") and not root.endswith("//deleted")
    return found


@contextmanager
def namespace(pid: int, uid: int, unit: str) -> Iterator[int]:
    """A handle of the mount namespace of a process, which has to be a user's and in a unit, and not root's own namespace."""
    try:
        process = os.pidfd_open(pid)  # its id may be another process's by now
        try:
            handle = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
            known = own(pid, uid, unit)
            signal.pidfd_send_signal(process, 0)  # it has lived until now, so all of this was of it
        finally:
            os.close(process)
    except OSError as problem:
        raise MountError(f"process {pid} is gone: {problem.strerror}") from None
    try:
        if not known:
            raise MountError(f"process {pid} is not of {unit}")
        if os.path.samestat(os.fstat(handle), os.stat("/proc/self/ns/mnt")):
            raise MountError(f"{unit} runs without a sandbox")
        yield handle
    finally:
        os.close(handle)


def open_to(pid: int, uid: int, unit: str, path: str) -> None:
    """Let a process write in a directory of the host, to which its mounts give it no way so far. It goes on meanwhile."""
    with namespace(pid, uid, unit) as handle:
        for arguments in (["--bind", path, path], ["-o", "remount,bind,rw,nosuid,nodev", path]):
            command = ["nsenter", f"--mount=/proc/self/fd/{handle}", "--", "mount", *arguments]
            done = subprocess.run(
                command, pass_fds=(handle,), capture_output=True, text=True, errors="replace", check=False, timeout=PROGRAM_TIMEOUT
            )
            if done.returncode:
                raise MountError(f"{path} cannot be opened to {unit}: {done.stderr.strip() or f'mount ended with {done.returncode}'}")
