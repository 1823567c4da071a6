"""Environments without a package index."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet import ROOT, Fleet

pytestmark = pytest.mark.slow


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """One of the hosts: each takes from the wheelhouse what its Python needs."""
    return fleet.on("web-2")


def with_wheelhouse(folder: Path) -> tuple[str, ...]:
    return ("--extra-vars", f"tornado_app_wheelhouse={folder}")


def test_environments_are_made_from_the_wheelhouse_alone(fleet: Fleet, tmp_path: Path) -> None:
    wheels, empty = tmp_path / "wheels", tmp_path / "empty"
    empty.mkdir()
    (empty / "README").write_text("none yet\n")
    # Without markers: pip would leave out what the controller's own Python does not need.
    wanted = tmp_path / "requirements.txt"
    wanted.write_text(re.sub(r" ;[^\\\n]+", " ", (ROOT / "files/app/requirements.txt").read_text()))
    download = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.11", f"--dest={wheels}"]
    subprocess.run([sys.executable, "-m", "pip", *download, f"--requirement={wanted}"], check=True)
    (fleet.source / "requirements.txt").write_text((fleet.source / "requirements.txt").read_text() + "# anew\n")
    output = fleet.refused("--tags", "deploy", *with_wheelhouse(tmp_path / "nowhere"))
    assert f"tornado_app_wheelhouse: source {tmp_path}/nowhere is not there" in output
    output = fleet.refused("--tags", "deploy", *with_wheelhouse(empty))
    assert "tornado_apps.shop.requirements: " in output
    assert "No matching distribution found for " in output
    fleet.play("--tags", "deploy", *with_wheelhouse(wheels))
    fleet.answers()
