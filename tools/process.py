"""Child processes that can be interrupted, and clean-ups that cannot."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

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


@contextmanager
def postponed() -> Iterator[None]:
    """An interrupt that comes meanwhile counts afterwards: what is being started is not lost. What is started does not inherit this."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def run(*command: str) -> int:
    """Run a command at the root of the repository; when interrupted, return only after it has ended.

    What an interrupted command still starts would be in the way of removing what it made.
    """
    # ansible-playbook would listen to Ctrl-C again; in a session of its own the terminal's does not reach it.
    apart = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=apart)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
