"""Commands whose output is an app's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils.command import output

KEEPS = """
import os, sys, time
if pid := os.fork():
    print(pid, flush=True)
    sys.exit(3)
while True:
    sys.stderr.write("x")
    sys.stderr.flush()
    time.sleep(0.05)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_it_ends_with_the_command_though_somebody_goes_on_writing() -> None:
    code, said = output(python(KEEPS), 1000, 60)
    os.kill(int(said.replace("x", "").split()[0]), signal.SIGKILL)
    assert code == 3


@pytest.mark.parametrize("size", [10, 70_000, 1_000_000])
def test_the_last_bytes_are_kept(size: int) -> None:
    assert output(python(f"print('a' * {size} + 'end')"), 50_000, 60) == (0, ("a" * size + "end\n")[-50_000:])


def test_who_prints_nothing_more_and_goes_on_is_ended() -> None:
    for code in ("import time; time.sleep(600)", "import os, time; os.close(1); os.close(2); time.sleep(600)"):
        with pytest.raises(subprocess.TimeoutExpired):
            output(python(code), 10, 0.5)


def test_it_has_no_terminal_to_read_from() -> None:
    assert output(python("import sys; print(repr(sys.stdin.read()))"), 100, 60) == (0, "''\n")
