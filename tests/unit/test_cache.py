"""The controller's cache: what it gives is what its user alone has put there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.template import trust_as_template

from ansible_collections.tornado_app.deploy.plugins.lookup.private_directory import LookupModule
from tests.unit.artifacts import build, source
from tests.unit.conftest import run_module, templar

__all__ = ["source"]  # a fixture

NOBODY = 65534


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def looked_up(path: Path) -> list[str]:
    """What the lookup says of a directory."""
    found: list[str] = LookupModule().run([str(path)])
    return found


def directory(path: Path, mode: int = 0o755) -> None:
    path.mkdir()
    path.chmod(mode)


def linked(path: Path) -> None:
    directory(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def given_away(path: Path) -> None:
    directory(path, 0o700)
    os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_it_is_made_for_its_user_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert looked_up(tmp_path / "deep/cache") == [str(tmp_path / "deep/cache")]
    finally:
        os.umask(before)
    assert mode(tmp_path / "deep/cache") == 0o700


def test_a_home_is_its_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert LookupModule().run(["~/cache"]) == [f"{tmp_path}/cache"]


def test_one_that_others_could_read_is_used_and_closed(tmp_path: Path, source: Path) -> None:
    """As an earlier version has made it."""
    dest = tmp_path / "cache"
    first = build(source, dest)
    dest.chmod(0o755)
    looked_up(dest)
    assert mode(dest) == 0o700
    dest.chmod(0o755)
    assert not build(source, dest)["changed"]
    assert (mode(dest), Path(first["path"]).exists()) == (0o700, True)


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (linked, "is a link"),
    (lambda path: path.symlink_to("gone"), "is a link"),
    (Path.touch, "is not a directory"),
    (lambda path: directory(path, 0o770), "can be written by others"),
    (lambda path: directory(path, 0o757), "can be written by others"),
    (given_away, f"belongs to user {NOBODY}"),
]


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=["link", "dangling link", "file", "of a group", "of all", "of another"])
def test_one_that_somebody_else_may_have_filled_is_refused(tmp_path: Path, source: Path, make: Callable[[Path], None], said: str) -> None:
    path = tmp_path / "cache"
    if make is given_away and os.geteuid() != 0:
        pytest.skip("needs another user")
    make(path)
    before = os.lstat(path)
    with pytest.raises(AnsibleError) as problem:
        looked_up(path)
    message = f"{path} {said}, so that what is in it may be somebody else's: remove it, or set XDG_CACHE_HOME"
    assert str(problem.value) == message
    assert run_module("build_artifact", source=str(source), dest=str(path))["msg"] == message
    assert os.lstat(path) == before


def test_a_check_refuses_as_well_and_makes_nothing(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "cache"
    assert not run_module("build_artifact", check=True, source=str(source), dest=str(path)).get("failed")
    assert not path.exists()
    linked(path)
    said = f"{path} is a link, so that what is in it may be somebody else's: remove it, or set XDG_CACHE_HOME"
    assert run_module("build_artifact", check=True, source=str(source), dest=str(path))["msg"] == said


def test_repositories_and_artifacts_of_the_role_lie_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = templar({}).template(trust_as_template("{{ __tornado_app_repositories }}"))
    assert found == f"{tmp_path}/tornado_app/repositories"
    assert mode(tmp_path / "tornado_app") == 0o700
    (tmp_path / "tornado_app").chmod(0o777)
    with pytest.raises(AnsibleError, match="can be written by others"):
        templar({}).template(trust_as_template("{{ __tornado_app_repositories }}"))
