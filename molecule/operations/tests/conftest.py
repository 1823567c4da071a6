"""The fleet of this scenario."""

from pathlib import Path

import pytest

from tests.fleet import Fleet, example_app

APPS = {"shop": {"command": "{python} app.py --port={port}", "health": {"path": "/healthz", "timeout": 20}}}


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The hosts as they are."""
    source = example_app(tmp_path_factory.mktemp("source") / "app")
    return Fleet(Path(__file__).resolve().parents[1] / "inventory", source, APPS, socket_seconds={"shop": 1})


@pytest.fixture(scope="session")
def fleet(hosts: Fleet) -> Fleet:
    """Begins with the app live on both hosts."""
    hosts.play()
    return hosts
