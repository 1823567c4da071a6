"""Run a command, and run it anew when a file of its directory changes: reload.py [--source=PATH] [--watch=PATH]... COMMAND ARGUMENT...

For development. The command runs in the directory `--source`, when that is there, or else in the current one. All files below it are
watched, and those that `--watch` names. A command that ended by itself, over a typo for instance, is run again with the next change.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial

INTERVAL = 0.5  # seconds between two looks
PATIENCE = 10  # seconds between SIGTERM and SIGKILL before the command is run anew
STOPS = (signal.SIGTERM, signal.SIGINT)
UNWATCHED = {".git", "__pycache__"}


def files(directory: str) -> Iterator[str]:
    """All files below a directory that somebody may have written."""
    for folder, folders, names in os.walk(directory):
        folders[:] = set(folders) - UNWATCHED
        yield from (os.path.join(folder, name) for name in names)


def look(directory: str, watched: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """What would tell that a file has changed; those that are not there are left out."""
    found = {}
    for path in (*files(directory), *watched):
        try:
            status = os.stat(path)
        except OSError:
            continue
        found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def start(command: Sequence[str], directory: str) -> "subprocess.Popen[bytes] | None":
    """The command, which gets signals as usual; None when it cannot be run."""
    try:
        return subprocess.Popen(command, cwd=directory, preexec_fn=partial(signal.pthread_sigmask, signal.SIG_SETMASK, ()))
    except OSError as error:
        print(f"cannot start {command[0]} in {directory}: {error.strerror}", file=sys.stderr, flush=True)
        return None


def stop(process: "subprocess.Popen[bytes] | None", number: int, patience: float | None) -> int:
    """Send a signal, and SIGKILL after `patience` seconds; the exit status."""
    if process is None:
        return 0
    process.send_signal(number)
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def main() -> int:
    """Return the exit status of the command that a signal has ended."""
    parser = argparse.ArgumentParser(description="Run a command anew when a file of its directory changes.")
    parser.add_argument("--source", default="")
    parser.add_argument("--watch", action="append", default=[])
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    current = os.getcwd()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    while True:
        directory = arguments.source if os.path.isdir(arguments.source) else current
        os.chdir(directory)  # where relative paths of --watch begin
        before = look(directory, arguments.watch)
        process = start(arguments.command, directory)
        ended = False
        while (now := look(directory, arguments.watch)) == before:
            if received := signal.sigtimedwait(STOPS, INTERVAL):
                # Whoever sent the signal sets the deadline.
                return max(0, stop(process, received.si_signo, None))
            if process and not ended and process.poll() is not None:
                ended = True
                print(f"{arguments.command[0]} ended with {process.returncode}; it is run again when a file changes", flush=True)
        changed = sorted(path for path in {*before, *now} if before.get(path) != now.get(path))
        print(f"{changed[0]} has changed", flush=True)
        stop(process, signal.SIGTERM, PATIENCE)


if __name__ == "__main__":
    sys.exit(main())
