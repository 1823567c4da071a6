"""Test hosts for a measurement, made in the same way as those of the demo, and runs on them."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any, NamedTuple

from tools.process import ROOT, undisturbed

YARDSTICK_TASKS = 27
"""What well-known roles for nginx, supervisor and pip take together to do nothing."""
PLAIN = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}


class Run(NamedTuple):
    """What a run of ansible-playbook took, and what it printed."""

    seconds: float
    cpu: float
    """CPU seconds of the controller: ansible-playbook and its children, and of whatever else this process waited for meanwhile."""
    output: str

    def calls(self) -> int:
        """How often a host was called, the host with the most calls. Only a run with -vvv says so, and only for SSH.

        A module takes one call, what also sends a file takes more, what happens on the controller alone takes none.
        """
        return max(Counter(re.findall(r"^<(\S+)> SSH: EXEC ", self.output, re.MULTILINE)).values(), default=0)

    def skipped(self) -> int:
        """How many lines say that something was skipped."""
        return len(re.findall(r"^skipping: ", self.output, re.MULTILINE))

    def changed(self) -> int:
        """How many tasks changed something, of all hosts."""
        return sum(map(int, re.findall(r"^\S+ +: ok=\d+ +changed=(\d+) ", self.output, re.MULTILINE)))


def play(inventory: Path, playbook: str | Path, *arguments: str) -> Run:
    """Run a playbook on the hosts of an inventory."""
    before, start = getrusage(RUSAGE_CHILDREN), time.monotonic()
    command = ["ansible-playbook", str(playbook), "-i", str(inventory), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | PLAIN, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - start, getrusage(RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}\n{playbook} failed, see above")
    return Run(seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.stdout)


def idle(inventory: Path, playbook: str | Path, *arguments: str) -> Run:
    """A run that has nothing to do: one that changes something would be another measurement."""
    run = play(inventory, playbook, *arguments)
    if run.changed():
        sys.exit(f"{run.output}\n{playbook} should have had nothing to do, see above")
    return run


@contextmanager
def hosts(inventory: Path) -> Iterator[None]:
    """The hosts of an inventory are there while the block runs, and removed at its end."""
    try:
        play(inventory, "molecule/shared/create.yml")
        play(inventory, "molecule/shared/prepare.yml")
        yield
    finally:
        with undisturbed():
            play(inventory, "molecule/shared/destroy.yml")


def playbook(folder: Path, name: str, tasks: list[Mapping[str, Any]]) -> Path:
    """Write a playbook of one play, on all hosts of the group tornado, with facts, as root."""
    path = folder / f"{name}.yml"
    path.write_text(json.dumps([{"name": name, "hosts": "tornado", "gather_facts": True, "become": True, "tasks": tasks}]))
    return path


def yardstick(folder: Path) -> Path:
    """Write a playbook whose tasks find everything as it should be. It tells how fast the machine is at the moment."""
    task = {"name": "Keep a directory that is there", "ansible.builtin.file": {"path": "/etc", "state": "directory"}}
    return playbook(folder, "yardstick", [task] * YARDSTICK_TASKS)
