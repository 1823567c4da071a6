"""The fleet of this scenario."""

from pathlib import Path

import pytest

from tests.balanced import Balanced
from tests.fleet import example_app

INVENTORY = Path(__file__).resolve().parents[1] / "inventory"


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Balanced:
    """Begins with two hosts; the third one, of which the balancers know all the same, comes with the next run, under load."""
    source = example_app(tmp_path_factory.mktemp("source") / "app")
    fleet = Balanced(INVENTORY, source)
    fleet.play("--limit", "all:!web-3")
    fleet.wait_for("web-1", "web-2")
    with fleet.clients():
        fleet.change("that comes with another host")
        fleet.play()
        fleet.wait_for("web-1", "web-2", "web-3")
    return fleet
