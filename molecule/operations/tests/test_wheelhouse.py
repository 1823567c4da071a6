"""Environments without a package index."""

import subprocess
import sys
from pathlib import Path

from tests.fleet import ROOT, Fleet


def with_wheelhouse(folder: Path) -> tuple[str, ...]:
    return ("--extra-vars", f"tornado_app_wheelhouse={folder}")


def test_environments_are_made_from_the_wheelhouse_alone(fleet: Fleet, tmp_path: Path) -> None:
    wheels, empty = tmp_path / "wheels", tmp_path / "empty"
    empty.mkdir()
    (empty / "README").write_text("none yet\n")
    for python in ("3.11", "3.13"):
        download = ["download", "--quiet", "--only-binary=:all:", f"--python-version={python}", f"--dest={wheels}"]
        subprocess.run([sys.executable, "-m", "pip", *download, f"--requirement={ROOT / 'files/app/requirements.txt'}"], check=True)
    (fleet.source / "requirements.txt").write_text((fleet.source / "requirements.txt").read_text() + "# anew\n")
    output = fleet.refused("--tags", "deploy", *with_wheelhouse(tmp_path / "nowhere"))
    assert f"tornado_app_wheelhouse: source {tmp_path}/nowhere is not there" in output
    output = fleet.refused("--tags", "deploy", *with_wheelhouse(empty))
    assert "tornado_apps.shop.requirements: " in output
    assert "No matching distribution found for tornado" in output
    fleet.play("--tags", "deploy", *with_wheelhouse(wheels))
    fleet.answers()
