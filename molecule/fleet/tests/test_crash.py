"""A host that dies under load costs what was in flight on it, and comes back by itself."""

import time
from pathlib import Path

from tests.balanced import Balanced
from tests.containers import by_root, first_process
from tests.fleet import wait_until


def came_up(fleet: Balanced) -> str:
    """When the host came up; empty while it cannot be asked."""
    try:
        return fleet.boots()["web-2"]
    except RuntimeError:  # testinfra's word for a host that cannot be reached
        return ""


def test_a_host_that_loses_its_power(fleet: Balanced) -> None:
    """One singleton runs afterwards, wherever it was."""
    before = came_up(fleet)
    process = first_process(fleet.addresses["web-2"])
    with fleet.through() as traffic:
        time.sleep(5)
        by_root("kill", "-KILL", str(process))
        wait_until(lambda: not Path(f"/proc/{process}").exists())
        dead = time.time()
        wait_until(lambda: came_up(fleet) not in ("", before))
        fleet.wait_for("web-1", "web-2", "web-3")
    wait_until(lambda: len(fleet.beats()) == 1)
    print(traffic.account.summary())
    failed = [record for record in traffic.account.records if record.failed]
    assert [str(record) for record in failed if record.start > dead] == []
    # Of what was in flight at most one of each kind by each balancer was on that host.
    assert len([record for record in failed if record.kind != "websocket"]) <= 6 * len(fleet.balancers)
    assert len([record for record in traffic.account.records if not record.failed and record.start > dead]) > 100
