"""Child processes that can be interrupted, and clean-ups that cannot."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def interruptible() -> None:
    """Let each way of being told to stop raise KeyboardInterrupt."""
    for number in SIGNALS:
        signal.signal(number, interrupt)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Nothing cuts a clean-up short, least of all a second Ctrl-C."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(*command: str, errors: Callable[[str], None] | None = None, **environment: str) -> int:
    """Run a command at the root of the repository; when interrupted, return only after it has ended.

    What an interrupted command still starts would be in the way of removing what it made. Each line of its stderr is given to
    ``errors`` as well.
    """
    # ansible-playbook would listen to Ctrl-C again; in a session of its own the terminal's does not reach it.
    apart = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    stderr = subprocess.PIPE if errors else None
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, start_new_session=apart, stderr=stderr)
    reader = Thread(target=copy_errors, args=(process.stderr, errors), daemon=True)
    if errors:
        reader.start()
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        if errors:
            reader.join(5)  # whoever the command left behind may keep its stderr open


def copy_errors(stderr: IO[bytes], errors: Callable[[str], None]) -> None:
    """Pass on what a process prints to its stderr, as it comes."""
    for line in stderr:
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
        errors(line.decode(errors="replace"))
