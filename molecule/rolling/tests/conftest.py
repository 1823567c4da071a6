"""The fleet of this scenario: three apps of one source, on the same hosts, which end in three ways."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import ROOT, Fleet, example_app

HERE = Path(__file__).resolve().parents[1]
COMMON = {"processes": 2, "health": {"path": "/healthz", "timeout": 30}}
APPS: dict[str, dict[str, Any]] = {
    # Leaves gracefully. Its websockets stay until they are sent away, so the drain always takes until its deadline.
    "shop": {**COMMON, "command": "{python} app.py --port={port}", "server_names": ["shop.test"], "drain": {"timeout": 5}},
    # Goes on as if nothing had happened until it is killed.
    "stubborn": {
        **COMMON,
        "command": "{python} plain.py --port={port} --on-sigterm=ignore",
        "port": 8200,
        "server_names": ["stubborn.test"],
        "drain": {"timeout": 30},
        "stop_timeout": 2,
    },
    # Dies at once.
    "abrupt": {
        **COMMON,
        "command": "{python} plain.py --port={port} --on-sigterm=die",
        "port": 8400,
        "server_names": ["abrupt.test"],
        "drain": {"timeout": 30},
    },
}


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Begins with all apps live on all hosts."""
    source = example_app(tmp_path_factory.mktemp("source") / "app")
    shutil.copy(ROOT / "molecule/shared/apps/plain.py", source)
    # Those two do not say goodbye to websockets: nothing but their own end may end one.
    fleet = Fleet(HERE / "inventory", source, APPS, socket_seconds={"stubborn": 2, "abrupt": 2})
    fleet.play()
    return fleet


@pytest.fixture
def shop(fleet: Fleet) -> Fleet:
    """The fleet with one app, where more of them would prove no more."""
    return fleet.only("shop")


@pytest.fixture
def broken(fleet: Fleet, tmp_path: Path) -> Iterator[Path]:
    """A copy of the source that a test breaks; no idle slot may be left over from it."""
    yield shutil.copytree(fleet.source, tmp_path / "broken")
    assert fleet.leftovers() == {}
