"""Locks among processes of root: nobody else can open them, no child inherits them, and no wait for them is for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import PATIENCE, make_slot, process, run_module, utils, wait_until
from tests.unit.nginx_host import Host, host

__all__ = ["host"]  # a fixture

NOBODY = 65534
flock = utils("flock")
NotHeldError = flock.NotHeldError


@pytest.fixture
def path() -> Iterator[Path]:
    """A lock file that is not there yet, below a directory that everybody can pass."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder) / "run/lock"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    monkeypatch.setattr(flock, "PATIENCE", 0.2)


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def leave(path: Path, text: str = "") -> None:
    """What an older version leaves."""
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o644)


@contextmanager
def held(path: Path) -> Iterator[str]:
    """Another process holds the lock, as an older version of the role does: the file's own; how messages call it."""
    with process("flock", "--no-fork", path, "sleep", "60") as other:
        wait_until(lambda: utils("proc").command(other.pid) == "sleep 60", "the lock of another process")
        yield f"{path} was held for 0 s by process {other.pid} (sleep 60); wait for its end, or end it"


def refusal(path: Path) -> str:
    """Why the lock cannot be had."""
    with pytest.raises(NotHeldError) as problem, flock.locked(path):
        raise AssertionError("it is taken")
    return str(problem.value)


def others(path: Path, command: str) -> bool:
    """Whether another user can do something with the lock."""
    line = ["sh", "-c", command, "sh", str(path)]
    return subprocess.run(line, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True, check=False).returncode == 0


# The file


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_file_is_for_its_user_alone_and_all_pass_its_directory(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with flock.locked(path):
            assert (mode(path), mode(path.parent)) == (0o600, 0o755)
    finally:
        os.umask(before)


@pytest.mark.parametrize("wrong", [0o644, 0o666, 0o4755])
def test_what_an_older_version_has_left_is_put_right_in_place(path: Path, wrong: int) -> None:
    """Its inode has the lock of an older version; its text is the run that holds the host."""
    leave(path, "run")
    path.chmod(wrong)
    path.parent.chmod(0o777)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
        os.chown(path.parent, NOBODY, NOBODY)
    inode = path.stat().st_ino
    with flock.locked(path):
        found = path.stat()
    assert (found.st_ino, found.st_uid, found.st_gid, mode(path), path.read_text()) == (inode, os.geteuid(), os.getegid(), 0o600, "run")
    assert (path.parent.stat().st_uid, mode(path.parent)) == (os.geteuid(), 0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_no_other_user_can_hold_it_or_put_a_file_in_its_place(path: Path) -> None:
    leave(path)
    path.parent.chmod(0o777)
    ways = ['flock --nonblock "$1" true', 'touch "$1.x" && mv "$1.x" "$1"']
    assert [others(path, way) for way in ways] == [True, True]
    with flock.locked(path):
        pass
    assert [others(path, way) for way in ways] == [False, False]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.symlink_to(path.with_name("other")), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to(path.with_name("gone")), "Too many levels of symbolic links"),
        (os.mkfifo, "it is not a file"),
        (os.mkdir, "Is a directory"),
    ],
    ids=["link", "dangling link", "pipe", "directory"],
)
def test_what_is_no_file_is_refused_and_never_followed(path: Path, make: Callable[[Path], None], said: str) -> None:
    path.parent.mkdir()
    other = path.with_name("other")
    other.touch(0o644)
    make(path)
    before = os.lstat(path)
    assert refusal(path) == f"{path} cannot be opened as a lock: {said}; remove what is there"
    assert os.lstat(path) == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["lock", "other"]
    assert mode(other) == 0o644
    assert utils("lock").said(path) == {}  # and is not waited for


def test_a_directory_that_is_a_link_is_refused(path: Path) -> None:
    elsewhere = path.parent.with_name("elsewhere")
    elsewhere.mkdir(0o777)
    path.parent.symlink_to(elsewhere)
    assert "cannot be opened as a lock: Not a directory" in refusal(path)
    assert not list(elsewhere.iterdir())


# The lock


def test_who_waits_gets_it_when_it_is_free(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flock, "PATIENCE", 60)
    leave(path)
    with process("flock", "--no-fork", path, "sleep", "600") as other:
        wait_until(lambda: utils("proc").flock_holders(path) == [other.pid], "the lock of another process")
        threading.Timer(0.5, other.terminate).start()
        with flock.locked(path):
            assert other.wait(PATIENCE) == -signal.SIGTERM
            assert utils("proc").flock_holders(path) == [os.getpid()]
    assert utils("proc").flock_holders(path) == []


def test_who_waits_too_long_is_told_who_holds_it(path: Path) -> None:
    leave(path)
    with held(path) as said:
        assert refusal(path) == said


def test_a_holder_that_proc_does_not_show_is_told_by_what_the_file_says(path: Path) -> None:
    leave(path, '{"user": "ana"}')
    assert flock.holder(path) == """a process that is not to be seen here, which says '{"user": "ana"}'; wait for its end"""


def test_no_child_inherits_it(path: Path) -> None:
    with flock.locked(path):
        done = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=True)
    assert str(path) not in done.stdout


def test_it_is_free_after_what_has_failed_under_it(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), flock.locked(path):
        raise ZeroDivisionError
    with flock.locked(path):
        pass


# Who takes it


@pytest.mark.parametrize("state", ["present", "absent"])
def test_run_lock_says_who_is_in_the_way(path: Path, state: str) -> None:
    leave(path)
    with held(path) as said:
        assert run_module("run_lock", path=str(path), run="r-ana", state=state)["msg"] == said


def test_modules_that_act_say_so_too(path: Path) -> None:
    run_module("run_lock", path=str(path), run="r-ana")
    flag = path.with_name("green")
    with held(path) as said:
        slots: list[dict[str, Any]] = [make_slot("shop", "green", flag=str(flag))]
        assert run_module("switch_slot", slots=slots, run="r-ana", lock=str(path))["msg"] == f"nothing is switched: {said}"
    assert not flag.exists()


def test_nginxs_files_are_changed_by_one_at_a_time(host: Host) -> None:
    lock, before = host.folder / "run/nginx.lock", host.tree()
    leave(lock)
    with held(lock) as said:
        assert host.run({"conf.d/new.conf": "# new\n"})["msg"] == f"nothing is changed: {said}"
        assert host.tree() == before
        assert host.run({"conf.d/new.conf": "# new\n"}, check=True)["changed"]  # which is in nobody's way
    assert host.run({"conf.d/new.conf": "# new\n"})["changed"]


def test_whoever_locks_nginxs_directory_keeps_nobody_waiting(host: Host) -> None:
    """Everybody can open it."""
    with process("flock", "--no-fork", host.root, "sleep", "60"):
        wait_until(lambda: utils("proc").flock_holders(host.root), "the lock of another process")
        assert host.run({"conf.d/new.conf": "# new\n"})["changed"]
