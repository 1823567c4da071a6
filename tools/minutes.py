"""Note how long the parts of `make test` take, and show that at its end.

`python -m tools.minutes PART COMMAND...` notes a command as a step of a part; `python -m tools.minutes whole COMMAND...` runs the command
whose parts these are, then prints a table, whether it failed or not. Both exit as the command does.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.process import ROOT, interruptible, run

NOTES = "TORNADO_APP_MINUTES"  # the file for the notes; without it nobody will look at them


def note(part: str, step: str, seconds: float) -> None:
    """Add a line to the notes; parts that run side by side write to one file."""
    if path := os.environ.get(NOTES):
        with Path(path).open("a") as notes:
            notes.write(f"{part}\t{step}\t{seconds}\n")


def table(notes: str, whole: float) -> str:
    """The minutes of each part and of its steps, in the order in which they ended."""
    parts: dict[str, dict[str, float]] = {}
    for line in notes.splitlines():
        part, step, seconds = line.split("\t")
        steps = parts.setdefault(part, {})
        steps[step] = steps.get(step, 0) + float(seconds)
    rows = [f"{'part':<12}minutes"]
    for part, steps in parts.items():
        details = ", ".join(f"{step} {seconds / 60:.1f}" for step, seconds in steps.items())
        rows.append(f"{part:<12}{sum(steps.values()) / 60:7.1f}  {details}")
    return "\n".join([*rows, f"{'whole':<12}{whole / 60:7.1f}"])


def timed(part: str, command: list[str]) -> int:
    """Run a command that is a step of a part."""
    interruptible()
    begin = time.monotonic()
    try:
        return run(*command)
    finally:
        note(part, Path(command[0]).name, time.monotonic() - begin)


def whole(command: list[str]) -> int:
    """Run a command, and print what its parts have noted."""
    begin = time.monotonic()
    with tempfile.NamedTemporaryFile("r", prefix="minutes-") as notes:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {NOTES: notes.name})
        # The command has to clean up, and so decides when this ends. A terminal's signals reach it anyway.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
        print(table(notes.read(), time.monotonic() - begin))
    return code


if __name__ == "__main__":
    name, *words = sys.argv[1:]
    try:
        # As a shell says it, should a signal have ended the command.
        code = whole(words) if name == "whole" else timed(name, words)
        sys.exit(code if code >= 0 else 128 - code)
    except KeyboardInterrupt:
        sys.exit(130)
