"""build_artifact: an archive is written whole or not at all, and only the newest ones stay."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.unit.artifacts import build, build_apart, refusal, source
from tests.unit.conftest import run_module

__all__ = ["source"]  # a fixture


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A limit that makes writing fail half-way, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_killed_while_it_writes(source: Path, tmp_path: Path) -> None:
    """What was written so far has no archive's name."""
    (source / "large").write_bytes(bytes(1_000_000))
    before = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000,) * 2)"
    )
    done = build_apart(source, tmp_path / "dest", before=before)
    assert done.returncode == -signal.SIGXFSZ, done.stderr
    assert sum(path.stat().st_size for path in (tmp_path / "dest").iterdir()) == 100_000
    assert not list((tmp_path / "dest").glob("*.tar"))
    assert build(source, tmp_path / "dest")["changed"]


def test_half_written_archives_never_appear(source: Path, tmp_path: Path) -> None:
    (source / "large").write_bytes(bytes(1_000_000))
    with largest_file(100_000):
        message = refusal(source, tmp_path / "dest")  # looks into dest, too
    assert message == f"source {source}: cannot read or write {tmp_path}/dest: File too large"
    assert build(source, tmp_path / "dest")["changed"]


def test_second_build_finds_the_archive(source: Path, tmp_path: Path) -> None:
    first = build(source, tmp_path / "dest")
    inode = Path(first["path"]).stat().st_ino
    second = build(source, tmp_path / "dest")
    assert (first["changed"], second["changed"]) == (True, False)
    assert {**first, "changed": False} == second
    assert Path(second["path"]).stat().st_ino == inode


def test_check_mode_writes_nothing(source: Path, tmp_path: Path) -> None:
    told = run_module("build_artifact", check=True, source=str(source), dest=str(tmp_path / "dest"))
    assert told["changed"]
    assert told["size"] == sum(path.stat().st_size for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    assert not (tmp_path / "dest").exists()
    built = build(source, tmp_path / "dest")
    assert all(told[key] == built[key] for key in ("release", "path", "files", "requirements_digest"))
    assert not run_module("build_artifact", check=True, source=str(source), dest=str(tmp_path / "dest"))["changed"]


def version(source: Path, number: int, dest: Path, **arguments: Any) -> Path:
    """Build a version; its archive."""
    (source / "app.py").write_text(f"VERSION = {number}\n")
    return Path(build(source, dest, **arguments)["path"])


def test_newest_archives_stay(source: Path, tmp_path: Path) -> None:
    built = []
    for number in range(4):
        built.append(version(source, number, tmp_path / "dest"))
        os.utime(built[-1], (number, number))
    (tmp_path / "dest/notes.txt").write_text("mine\n")
    last = version(source, 4, tmp_path / "dest", keep=3)
    assert {path.name for path in (tmp_path / "dest").iterdir()} == {built[2].name, built[3].name, last.name, "notes.txt"}


def test_an_archive_that_is_needed_again_counts_as_new(source: Path, tmp_path: Path) -> None:
    """A run builds several sources one after the other, and then takes all of their archives."""
    old = version(source, 0, tmp_path / "dest")
    os.utime(old, (0, 0))
    os.utime(version(source, 1, tmp_path / "dest"), (1, 1))
    assert version(source, 0, tmp_path / "dest") == old
    version(source, 2, tmp_path / "dest", keep=2)
    assert old.exists()
