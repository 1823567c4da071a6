"""install_directories: directories are made as they are wanted, and no link is followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import run_module

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives directories to others")


def directory(path: Path, owner: str = "root", group: str = "root", mode: str = "0755") -> dict[str, str]:
    return {"path": str(path), "owner": owner, "group": group, "mode": mode}


def install(tmp_path: Path, *directories: dict[str, str], check: bool = False, holder: str = "r-ana") -> dict[str, Any]:
    """Run the module under a lock."""
    lock = str(tmp_path / "lock")
    run_module("run_lock", path=lock, run=holder)
    return run_module("install_directories", check=check, directories=list(directories), run="r-ana", lock=lock)


def found(path: Path) -> tuple[int, str, str]:
    return stat.S_IMODE(path.stat().st_mode), path.owner(), path.group()


def test_directories_are_made_with_their_parents_and_a_second_time_nothing_changes(tmp_path: Path) -> None:
    first, second = directory(tmp_path / "a/b", "games", "www-data", "2750"), directory(tmp_path / "a/b/c")
    assert install(tmp_path, first, second)["paths"] == [first["path"], second["path"]]
    assert found(tmp_path / "a/b") == (0o2750, "games", "www-data")
    assert found(tmp_path / "a/b/c") == (0o755, "root", "root")
    assert install(tmp_path, first, second)["changed"] is False


def test_what_differs_alone_is_put_right_and_content_stays(tmp_path: Path) -> None:
    wanted = [directory(tmp_path / name, "games", "games", "0751") for name in ("well", "open", "taken")]
    install(tmp_path, *wanted)
    (tmp_path / "open/file").write_text("stays")
    (tmp_path / "open").chmod(0o777)
    os.chown(tmp_path / "taken", 0, 0)
    assert install(tmp_path, *wanted)["paths"] == [str(tmp_path / "open"), str(tmp_path / "taken")]
    assert {found(tmp_path / name) for name in ("well", "open", "taken")} == {(0o751, "games", "games")}
    assert (tmp_path / "open/file").read_text() == "stays"


def test_a_check_changes_nothing_and_needs_no_user(tmp_path: Path) -> None:
    result = install(tmp_path, directory(tmp_path / "new", "nobody-yet"), check=True)
    assert result["paths"] == [str(tmp_path / "new")]
    assert not (tmp_path / "new").exists()


def test_a_file_on_the_way_there_is_named_and_directories_on_it_are_for_all(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    assert install(tmp_path, directory(tmp_path / "file/new"))["msg"].startswith(f"{tmp_path}/file")
    before = os.umask(0o077)
    try:
        install(tmp_path, directory(tmp_path / "on/the/way"))
    finally:
        os.umask(before)
    assert found(tmp_path / "on/the") == (0o755, "root", "root")


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_is_not_followed_and_a_file_stays(tmp_path: Path, kind: str) -> None:
    target, path = tmp_path / "target", tmp_path / "path"
    target.mkdir(mode=0o700)
    if kind == "link":
        path.symlink_to(target)
    else:
        path.write_text("a file")
    result = install(tmp_path, directory(path, "games", "games", "0777"))
    assert result["msg"].startswith(f"{path} cannot be a directory: ")
    assert found(target) == (0o700, "root", "root")
    assert path.is_symlink() == (kind == "link")


def test_without_the_lock_or_the_user_it_refuses(tmp_path: Path) -> None:
    assert "nothing is changed: " in install(tmp_path, directory(tmp_path / "new"), holder="r-bob")["msg"]
    (tmp_path / "lock").unlink()
    assert install(tmp_path, directory(tmp_path / "new", "nobody-there"))["msg"].startswith("there is no such user or group: ")
