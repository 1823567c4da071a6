"""What an app is deployed from: a repository or an archive as well as a directory."""

import shutil
from pathlib import Path

import pytest

from tests.fleet import Fleet
from tests.repository import Repository

pytestmark = pytest.mark.slow


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """One of the hosts: what an app is made of is the same for all."""
    return fleet.on("web-2")


@pytest.fixture
def repository(fleet: Fleet, tmp_path: Path) -> Repository:
    """One with the app, of a single commit."""
    return Repository(shutil.copytree(fleet.source, tmp_path / "shop"))


def test_a_repository_is_deployed_by_branch_tag_and_commit(fleet: Fleet, repository: Repository) -> None:
    source = str(repository.bare)
    repository.git("tag", "v1")
    repository.git("push", "--quiet", "origin", "v1")
    first = repository.git("rev-parse", "HEAD")
    with (repository.work / "app.py").open("a") as code:
        code.write("# second\n")
    repository.publish("second")
    assert "v1-1-g" in fleet.play("--tags", "deploy,status", source=source)
    second = fleet.state()
    fleet.play("--tags", "deploy", source=source, version="main")
    assert fleet.state() == second  # the same commit by another name: what has not changed is not deployed again
    fleet.play("--tags", "deploy", source=source, version="v1")
    tagged = fleet.state()
    assert {state.release for state in tagged.values()}.isdisjoint(state.release for state in second.values())
    fleet.play("--tags", "deploy", source=source, version=first)
    assert fleet.state() == tagged


def test_a_version_or_a_repository_that_is_not_there(fleet: Fleet, repository: Repository) -> None:
    output = fleet.refused("--tags", "deploy", source=str(repository.bare), version="v9")
    assert f"tornado_apps.shop.source {repository.bare}, version v9: " in output
    output = fleet.refused("--tags", "deploy", source="https://127.0.0.1:1/shop.git")
    assert "tornado_apps.shop.source https://127.0.0.1:1/shop.git, version HEAD: " in output


def test_an_archive_is_deployed_as_the_directory_that_it_was_made_of(fleet: Fleet, tmp_path: Path) -> None:
    fleet.play("--tags", "deploy")
    before = fleet.state()
    archive = shutil.make_archive(str(tmp_path / "shop-1.4"), "gztar", fleet.source.parent, fleet.source.name)
    fleet.play("--tags", "deploy", source=archive)
    assert fleet.state() == before
