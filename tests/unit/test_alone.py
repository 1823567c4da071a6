"""alone.sh: commands of root's run one after the other, and what they leave behind holds no lock."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.template import trust_as_template

from tests.unit.loading import ROLE
from tests.unit.conftest import process, templar, utils, wait_until
from tests.unit.test_tasks import ALL

SCRIPT = (ROLE / "files/alone.sh").read_text().rstrip("\n")  # as Ansible's lookup reads it
SHORT = SCRIPT.replace("900", "0.2")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "release.shop.lock"


def argv(lock: Path, *command: str, script: str = SCRIPT) -> list[str]:
    """As the role's tasks call it."""
    return ["sh", "-c", script, "sh", str(lock), *command]


def trusted_text(value: Any) -> Any:
    """The same, as Ansible reads it from a task."""
    if isinstance(value, list):
        return [trusted_text(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def run(lock: Path, *command: str, script: str = SCRIPT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv(lock, *command, script=script), capture_output=True, text=True, check=False, timeout=60)


def test_the_release_command_of_each_app_has_its_own() -> None:
    (task,) = (task for task in ALL if task["name"] == "Start | Run the release commands, minutes at most 60")
    variables = {
        **task["vars"],
        "__tornado_app_root": "/opt/tornado_app",
        "item": {"app": "shop", "user": "shop", "record": "/etc/shop/slots/green.json"},
    }
    trusted = {name: trusted_text(value) for name, value in variables.items()}
    found = templar({**trusted, "__tornado_app_launcher": "/launch.py"}).template(trusted_text(task["ansible.builtin.command"]["argv"]))
    assert found[:4] == ["sh", "-c", SCRIPT, "sh"]
    python = "/usr/bin/python3 -I -S"
    command = f"{python} /opt/tornado_app/sandboxed.py --seconds=3600 shop {python} /launch.py /etc/shop/slots/green.json release"
    assert found[4:] == ["/run/tornado_app/release.shop.lock", *command.split()]


def test_a_command_says_how_it_ended_and_gets_its_arguments(lock: Path) -> None:
    done = run(lock, "sh", "-c", 'echo "$1|$2"; echo oops >&2; exit 75', "sh", "a b", "*")
    assert (done.returncode, done.stdout, done.stderr) == (75, "a b|*\n", "oops\n")


def test_nobody_else_opens_the_lock(lock: Path) -> None:
    assert run(lock, "true").returncode == 0
    assert lock.stat().st_mode & 0o777 == 0o600


def test_two_commands_run_one_after_the_other(lock: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    lines = [["sh", "-c", f"echo {name} begins >> {said}; sleep 0.3; echo {name} ends >> {said}"] for name in ("one", "two")]
    with process(*argv(lock, *lines[0])) as first, process(*argv(lock, *lines[1])) as second:
        assert [first.wait(60), second.wait(60)] == [0, 0]
    beginning, end, *others = (line.split() for line in said.read_text().splitlines())
    assert (beginning[0], [words[1] for words in (beginning, end, *others)]) == (end[0], ["begins", "ends"] * 2)


def test_who_waits_too_long_is_told_who_holds_it(lock: Path, tmp_path: Path) -> None:
    with process(*argv(lock, "sleep", "60")) as other:
        wait_until(lambda: lock.exists() and lock.read_text(), "the lock of another command")
        began = time.monotonic()
        done = run(lock, "touch", str(tmp_path / "made"), script=SHORT)
        assert time.monotonic() - began < 30
        for pid in utils("proc").children(other.pid):
            os.kill(pid, 9)
    message = f"{lock} was held for 0.2 s by process {other.pid} (sleep 60); wait for its end, or end it and its children\n"
    assert (done.returncode, done.stderr) == (1, message)
    assert not (tmp_path / "made").exists()


def test_what_a_command_leaves_behind_holds_no_lock(lock: Path) -> None:
    """A release command is an app's own."""
    done = run(lock, "sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!")
    try:
        assert run(lock, "true", script=SHORT).returncode == 0
    finally:
        os.kill(int(done.stdout), 9)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("gone"), os.mkfifo, os.mkdir], ids=["link", "pipe", "directory"])
def test_what_is_no_file_is_refused(lock: Path, tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(lock)
    done = run(lock, "touch", str(tmp_path / "made"))
    assert (done.returncode, done.stderr) == (1, f"{lock} is not a file: remove it\n")
    assert [entry.name for entry in tmp_path.iterdir()] == [lock.name]


def test_without_the_directory_of_the_locks_nothing_runs(tmp_path: Path) -> None:
    """A host that was rebooted meanwhile: the run's own lock is gone too."""
    assert run(tmp_path / "gone/lock", "touch", str(tmp_path / "made")).returncode != 0
    assert not (tmp_path / "made").exists()
