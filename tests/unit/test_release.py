"""A release: version, tag and changelog agree, and the archive has what belongs into it."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.unit.loading import ROOT
from tools import release

TOP_LEVEL = {"CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "docs", "meta", "playbooks", "plugins", "roles"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that is ready to be released."""
    (tmp_path / "galaxy.yml").write_text("version: 1.2.3\n")
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [1.2.3] - 2026-01-02\n\n## [1.2.2] - 2026-01-01\n")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    commit(tmp_path)
    release.git(tmp_path, "tag", "v1.2.3")
    return tmp_path


def commit(root: Path) -> None:
    release.git(root, "add", ".")
    release.git(root, "-c", "user.name=ana", "-c", "user.email=ana@example.com", "commit", "--quiet", "--message", "x")


def test_version_tag_and_changelog_agree(repository: Path) -> None:
    assert list(release.problems(repository)) == []


def test_what_does_not_agree_is_said_all_at_once(repository: Path) -> None:
    (repository / "galaxy.yml").write_text("version: 1.3.0\n")
    assert list(release.problems(repository)) == [
        "galaxy.yml says 1.3.0, the newest version in CHANGELOG.md is 1.2.3: write `## [1.3.0] - <date>`",
        "the work tree has changes that are not committed",
        "no tag v1.3.0 points at this commit, but v1.2.3: run `git tag v1.3.0`",
    ]


def test_this_version_is_in_the_changelog() -> None:
    assert not [problem for problem in release.problems(ROOT) if "CHANGELOG" in problem]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the archive that `ansible-galaxy collection build` makes."""
    folder = tmp_path_factory.mktemp("archive")
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    subprocess.run([galaxy, "collection", "build", "--output-path", folder], cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("tornado_app-deploy-*.tar.gz")
    with tarfile.open(path) as opened:
        return {member.name for member in opened if member.isfile()}


def test_the_archive_has_role_plugins_playbooks_and_docs(archive: set[str]) -> None:
    assert {name.partition("/")[0] for name in archive} == TOP_LEVEL
    tracked = set(release.git(ROOT, "ls-files", "meta", "playbooks", "plugins", "roles", "docs").split())
    present = {name for name in tracked if (ROOT / name).exists()}
    assert {name for name in archive if "/" in name and "__pycache__" not in name} >= present


def test_the_role_needs_what_the_collection_needs() -> None:
    needed = yaml.safe_load((ROOT / "galaxy.yml").read_text())["dependencies"]
    listed = {entry["name"]: entry["version"] for entry in yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]}
    assert needed.items() <= listed.items()
