"""A host becomes one that runs workers alone, and serves again, while clients come to the others."""

import pytest

from tests.balanced import Balanced

pytestmark = pytest.mark.slow

ALONE = "{{ 0 if inventory_hostname == 'web-3' else 2 }}"


def listening(fleet: Balanced) -> list[str]:
    """The sockets on which the app's processes listen at web-3."""
    found = str(fleet.hosts["web-3"].check_output("ss --listening --tcp --processes --no-header"))
    return [line for line in found.splitlines() if '"python' in line]


def test_a_host_runs_workers_alone(fleet: Balanced) -> None:
    with fleet.clients():
        fleet.play("--tags", "drain", "--limit", "web-3")
        fleet.wait_for("web-1", "web-2")
        fleet.play(processes=ALONE)
        workers = fleet.hosts["web-3"].check_output("pgrep --uid shop --full --list-full worker")
        assert "worker.py" in workers
        assert fleet.hosts["web-3"].run("pgrep --uid shop --full -- --port=").rc == 1
        assert listening(fleet) == []
        assert not fleet.hosts["web-3"].file("/etc/nginx/conf.d/shop.conf").exists
        fleet.change("for workers, too")
        fleet.play("--tags", "deploy", processes=ALONE)
        fleet.play("--tags", "rollback", processes=ALONE)
        assert [fleet.up(name) for name in fleet.balancers] == [{"web-1", "web-2"}] * 2
        fleet.play()
        fleet.play("--tags", "undrain", "--limit", "web-3")
        fleet.wait_for("web-1", "web-2", "web-3")
