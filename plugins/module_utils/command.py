"""Commands whose output is an app's: it has a size, and ends with the command."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Sequence

PIPE = 65536  # bytes that a pipe holds


def output(command: Sequence[str], most: int, timeout: float) -> tuple[int, str]:
    """How a command ended, and the last bytes of what it has printed; raises subprocess.TimeoutExpired when it goes on.

    Whoever it has given its output to may keep that open for ever, and write to it.
    """
    end, kept = time.monotonic() + timeout, b""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        assert child.stdout
        ended = False
        while not ended:
            ended = child.poll() is not None  # before the read, so that the last words are read too
            if select.select([child.stdout], [], [], 0 if ended else 0.2)[0]:
                read = os.read(child.stdout.fileno(), PIPE)
                kept = (kept + read)[-most:]
                if not read:
                    break
            if time.monotonic() > end:
                child.kill()
                raise subprocess.TimeoutExpired(command, timeout)
        try:
            child.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    return child.returncode, kept.decode("utf-8", "replace")
