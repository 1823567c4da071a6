"""remove_logs, in a directory in which an app has made anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import run_module, utils

untrusted = utils("untrusted")


def removed(folder: Path, *names: str, **options: Any) -> dict[str, Any]:
    """What the module says of files of that directory."""
    lock = str(folder.parent / "lock")
    run_module("run_lock", path=lock, run="r-test")
    return run_module("remove_logs", paths=[str(folder / name) for name in names], lock=lock, **{"run": "r-test", **options})


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Logs, and what an app puts in their places."""
    folder = tmp_path / "logs"
    (folder / "8002.log").mkdir(parents=True)
    (folder / "8002.log/kept").touch()
    (folder / "8000.log").touch()
    (folder / "8001.log").symlink_to(tmp_path / "foreign")
    os.mkfifo(folder / "8003.log")
    (tmp_path / "foreign").touch()
    return folder


NAMES = [f"{port}.log" for port in (8000, 8001, 8002, 8003, 8004)]


def test_what_is_no_directory_goes_and_nothing_else(logs: Path) -> None:
    paths = [str(logs / name) for name in ("8000.log", "8001.log", "8003.log")]
    assert removed(logs, *NAMES, check=True)["paths"] == paths
    assert removed(logs, *NAMES)["paths"] == paths
    assert os.listdir(logs) == ["8002.log"]
    assert (logs / "8002.log/kept").exists()
    assert (logs.parent / "foreign").exists()
    assert not removed(logs, *NAMES)["changed"]


def test_a_link_in_the_place_of_the_directory_is_not_followed(logs: Path) -> None:
    (logs.parent / "link").symlink_to(logs)
    assert untrusted.remove(f"{logs.parent}/link/8000.log") is False
    assert (logs / "8000.log").exists()


def test_not_under_another_runs_lock(logs: Path) -> None:
    assert removed(logs, *NAMES, run="r-other")["failed"]
    assert (logs / "8000.log").exists()
