"""What an app is deployed from: a repository or an archive as well as a directory."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fleet import Fleet

Git = Callable[..., str]


@pytest.fixture
def git(fleet: Fleet, tmp_path: Path) -> Git:
    """Runs git in a work tree of the app, from which `push` publishes to a bare repository beside it."""
    work = shutil.copytree(fleet.source, tmp_path / "work")

    def run(*arguments: str) -> str:
        who = ["-c", "user.name=ana", "-c", "user.email=ana@example.com"]
        return subprocess.run(["git", "-C", work, *who, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", tmp_path / "shop.git"], check=True)
    run("init", "--quiet", "--initial-branch=main")
    run("remote", "add", "origin", str(tmp_path / "shop.git"))
    return run


def publish(git: Git, work: Path, change: str) -> None:
    with (work / "app.py").open("a") as code:
        code.write(f"# {change}\n")
    git("add", ".")
    git("commit", "--quiet", "--message", change)
    git("push", "--quiet", "origin", "main")


def test_a_repository_is_deployed_by_branch_tag_and_commit(fleet: Fleet, git: Git, tmp_path: Path) -> None:
    repository, work = str(tmp_path / "shop.git"), tmp_path / "work"
    publish(git, work, "first")
    git("tag", "v1")
    git("push", "--quiet", "origin", "v1")
    first = git("rev-parse", "HEAD")
    fleet.play("--tags", "deploy", source=repository)
    one = fleet.release()
    publish(git, work, "second")
    fleet.play("--tags", "deploy", source=repository, version="main")
    assert fleet.release() != one
    assert "v1-1-g" in fleet.play("--tags", "status", source=repository)
    fleet.play("--tags", "deploy", source=repository, version="v1")
    assert fleet.release() == one
    before = fleet.state()
    fleet.play("--tags", "deploy", source=repository, version=first)
    assert fleet.state() == before  # the same commit by another name: what has not changed is not deployed again


def test_a_version_or_a_repository_that_is_not_there(fleet: Fleet, git: Git, tmp_path: Path) -> None:
    publish(git, tmp_path / "work", "first")
    output = fleet.refused("--tags", "deploy", source=str(tmp_path / "shop.git"), version="v9")
    assert f"tornado_apps.shop.source {tmp_path}/shop.git, version v9: " in output
    output = fleet.refused("--tags", "deploy", source="https://127.0.0.1:1/shop.git")
    assert "tornado_apps.shop.source https://127.0.0.1:1/shop.git, version HEAD: " in output


def test_an_archive_is_deployed_as_the_directory_that_it_was_made_of(fleet: Fleet, tmp_path: Path) -> None:
    fleet.play("--tags", "deploy")
    before = fleet.state()
    archive = shutil.make_archive(str(tmp_path / "shop-1.4"), "gztar", fleet.source.parent, fleet.source.name)
    fleet.play("--tags", "deploy", source=archive)
    assert fleet.state() == before
