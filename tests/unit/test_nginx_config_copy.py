"""nginx_config: the copy that nginx judges is the present tree with the wanted files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.nginx_host import config


def copy(root: Path, wanted: dict[str, str | None], candidate: Path) -> dict[str, str]:
    """What the copy says, by path."""
    config.copy_with(root, wanted, candidate)
    return {path.relative_to(candidate).as_posix(): path.read_text() for path in candidate.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "nginx"
    for name in ("nginx.conf", "conf.d/old.conf", "sites-available/default"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_copy_is_the_present_with_the_wanted(root: Path, tmp_path: Path) -> None:
    wanted = {"conf.d/new.conf": "new", "nginx.conf": "changed", "conf.d/old.conf": None, "not/there.conf": None, "deep/er/x.conf": "x"}
    assert copy(root, wanted, tmp_path / "candidate") == {
        "nginx.conf": "changed",
        "conf.d/new.conf": "new",
        "deep/er/x.conf": "x",
        "sites-available/default": "sites-available/default",
    }
    assert (root / "nginx.conf").read_text() == "nginx.conf"
    assert (root / "conf.d/old.conf").exists()


def test_copy_of_nothing(tmp_path: Path) -> None:
    assert copy(tmp_path / "nowhere", {"nginx.conf": "x"}, tmp_path / "candidate") == {"nginx.conf": "x"}


@pytest.mark.parametrize("target", ["../sites-available/default", "{root}/sites-available/default"])
def test_copy_keeps_links_working(root: Path, tmp_path: Path, target: str) -> None:
    (root / "sites-enabled").mkdir()
    (root / "sites-enabled/default").symlink_to(target.format(root=root))
    found = copy(root, {}, tmp_path / "elsewhere/deep/candidate")
    assert found["sites-enabled/default"] == "sites-available/default"


def test_copy_keeps_links_that_lead_nowhere(root: Path, tmp_path: Path) -> None:
    """nginx has to see them, since it refuses them."""
    (root / "conf.d/lost.conf").symlink_to("gone.conf")
    copy(root, {}, tmp_path / "candidate")
    assert (tmp_path / "candidate/conf.d/lost.conf").is_symlink()


@pytest.mark.parametrize("target", ["{base}/managed", "../managed"])
def test_copy_writes_through_no_link(root: Path, tmp_path: Path, target: str) -> None:
    """Neither to a file nor into a directory that is somewhere else."""
    managed = tmp_path / "managed"
    managed.mkdir()
    for name in ("a.conf", "b.conf"):
        (managed / name).write_text("mine")
    (root / "sites-enabled").symlink_to(target.format(base=tmp_path))
    (root / "conf.d/a.conf").symlink_to(managed / "a.conf")
    wanted = {"sites-enabled/a.conf": "new", "sites-enabled/b.conf": None, "sites-enabled/c.conf": "new", "conf.d/a.conf": "new"}
    found = copy(root, wanted, tmp_path / "candidate")
    assert {path: text for path, text in found.items() if text == "new"} == dict.fromkeys(
        ("sites-enabled/a.conf", "sites-enabled/c.conf", "conf.d/a.conf"), "new"
    )
    assert {path.name: path.read_text() for path in managed.iterdir()} == {"a.conf": "mine", "b.conf": "mine"}
