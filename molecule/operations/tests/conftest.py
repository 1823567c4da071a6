"""The fleet of this scenario."""

import shutil
from pathlib import Path

import pytest

from tests.fleet import ROOT, Fleet

APPS = {"shop": {"command": "{python} app.py --port={port}", "health": {"path": "/healthz", "timeout": 20}}}


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Begins with the app live on both hosts."""
    source = tmp_path_factory.mktemp("source") / "app"
    shutil.copytree(ROOT / "files/app", source, ignore=shutil.ignore_patterns("__pycache__"))
    fleet = Fleet(Path(__file__).resolve().parents[1] / "inventory", source, APPS, socket_seconds={"shop": 1})
    fleet.play()
    return fleet
