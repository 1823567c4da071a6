"""build_artifact: the version of a source is what git calls it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.artifacts import build, source, write

__all__ = ["source"]  # a fixture


@pytest.fixture
def git(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that runs git without the settings of this machine."""
    for key in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(key)
    for key in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(key, "/dev/null")

    def run(folder: Path, *arguments: str) -> None:
        who = ["-c", "user.name=ana", "-c", "user.email=ana@example.com"]
        subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)

    return run


def commit(git: Callable[..., None], folder: Path) -> None:
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "--message", "first")


def test_a_source_that_git_does_not_know_has_no_version(source: Path, tmp_path: Path, git: Callable[..., None]) -> None:
    assert build(source, tmp_path / "dest")["version"] == ""
    git(source, "init")  # without a commit
    assert build(source, tmp_path / "dest")["version"] == ""


def test_the_version_is_what_git_describes(source: Path, tmp_path: Path, git: Callable[..., None]) -> None:
    commit(git, source)
    assert re.fullmatch("[0-9a-f]{7,}", build(source, tmp_path / "dest")["version"])
    git(source, "tag", "v1.4")
    found = build(source, tmp_path / "dest")
    head = subprocess.run(["git", "-C", source, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert (found["version"], found["commit"]) == ("v1.4", head)
    (source / "app.py").write_text("print('changed')\n")
    assert build(source, tmp_path / "dest")["version"] == "v1.4-dirty"
    git(source, "commit", "--all", "--message", "second")
    assert re.fullmatch("v1[.]4-1-g[0-9a-f]{7,}", build(source, tmp_path / "dest")["version"])


def test_the_version_of_a_folder_is_that_of_its_repository(tmp_path: Path, git: Callable[..., None]) -> None:
    source = write(tmp_path / "repository/files/app", {"app.py": ""})
    commit(git, tmp_path / "repository")
    git(tmp_path / "repository", "tag", "v2")
    assert build(source, tmp_path / "dest")["version"] == "v2"


def test_a_folder_that_git_ignores_has_no_version_of_the_repository_around_it(tmp_path: Path, git: Callable[..., None]) -> None:
    write(tmp_path / "repository", {".gitignore": "app/\n"})
    commit(git, tmp_path / "repository")
    assert build(write(tmp_path / "repository/app", {"app.py": ""}), tmp_path / "dest")["version"] == ""


def test_the_version_does_not_count_for_the_release(source: Path, tmp_path: Path, git: Callable[..., None]) -> None:
    before = build(source, tmp_path / "dest")
    commit(git, source)
    after = build(source, tmp_path / "dest")
    assert after["version"]
    assert (after["release"], after["changed"]) == (before["release"], False)


def test_without_git_there_is_no_version(source: Path, tmp_path: Path, git: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    commit(git, source)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("ansible.module_utils.basic.get_bin_path", no_git)
    assert build(source, tmp_path / "dest")["version"] == ""


def no_git(arg: str, *_: object, **__: object) -> str:
    raise ValueError(f"no {arg} here")
