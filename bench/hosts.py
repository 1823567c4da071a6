"""Test hosts for a measurement, made in the same way as those of the demo, and runs on them."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.process import ROOT, undisturbed


def play(inventory: Path, playbook: str, *arguments: str) -> float:
    """Run a playbook on the hosts of an inventory; return the seconds it took."""
    start = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", playbook, "-i", str(inventory), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}\n{playbook} failed, see above")
    return time.monotonic() - start


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
