"""install_releases: what has the name of a release is whole, and its app's alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.unit.artifacts import build, write
from tests.unit.conftest import run_module

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another group")


@pytest.fixture
def archive(tmp_path: Path) -> str:
    source = write(tmp_path / "source", {"app.py": "code", "static/app.css": "style"})
    return str(build(source, tmp_path / "cache")["path"])


def install(tmp_path: Path, *archives: str, check: bool = False, holder: str = "r-ana") -> dict[str, Any]:
    """Run the module under a lock, for a release of each archive."""
    lock, releases = str(tmp_path / "lock"), tmp_path / "releases"
    releases.mkdir(exist_ok=True)
    run_module("run_lock", path=lock, run=holder)
    common = {"app": "shop", "releases": str(releases), "group": "games", "static": "static"}
    given = [{**common, "path": path, "release": f"release-{number}"} for number, path in enumerate(archives)]
    return run_module("install_releases", check=check, releases=given, run="r-ana", lock=lock)


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "releases").iterdir())


def test_releases_get_their_names_and_modes_and_a_second_time_nothing_changes(tmp_path: Path, archive: str) -> None:
    assert install(tmp_path, archive, archive)["paths"] == [str(tmp_path / f"releases/release-{number}") for number in range(2)]
    assert names(tmp_path) == ["release-0", "release-1"]
    found = {path: tmp_path / "releases/release-1" / path for path in (".", "app.py", "static", "static/app.css")}
    modes = {path: stat.S_IMODE(file.stat().st_mode) for path, file in found.items()}
    assert modes == {".": 0o751, "app.py": 0o640, "static": 0o751, "static/app.css": 0o644}
    assert {(file.owner(), file.group()) for file in found.values()} == {("root", "games")}
    assert found["app.py"].read_text() == "code"
    assert install(tmp_path, archive, archive)["changed"] is False


def test_what_a_killed_run_has_left_is_made_anew(tmp_path: Path, archive: str) -> None:
    left = tmp_path / "releases/.r-ana/static"
    left.mkdir(parents=True)
    (left / "half.css").write_text("half")
    install(tmp_path, archive)
    assert names(tmp_path) == ["release-0"]
    assert not (tmp_path / "releases/release-0/static/half.css").exists()


def test_a_broken_archive_gets_no_name(tmp_path: Path, archive: str) -> None:
    Path(archive).write_bytes(Path(archive).read_bytes()[:100])
    assert install(tmp_path, archive)["failed"]
    assert "release-0" not in names(tmp_path)


def test_a_check_and_a_run_without_the_lock_change_nothing(tmp_path: Path, archive: str) -> None:
    assert install(tmp_path, archive, check=True)["changed"]
    (tmp_path / "lock").unlink()
    assert "nothing is changed: " in install(tmp_path, archive, holder="r-bob")["msg"]
    assert names(tmp_path) == []
