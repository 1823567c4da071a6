"""A host that dies under load costs what was in flight on it, and comes back by itself."""

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.balanced import Balanced
from tests.fleet import wait_until


def first_process(fleet: Balanced, name: str) -> int:
    """The process on this machine that is the host's first one."""
    (container,) = [
        line.split()[0]
        for line in subprocess.check_output(["podman", "ps", "--format={{.Names}}"], text=True).splitlines()
        if line.startswith("tornado-app-fleet-") and line.endswith(f"-{name}") and address(line) == fleet.addresses[name]
    ]
    return int(subprocess.check_output(["podman", "inspect", "--format={{.State.Pid}}", container], text=True))


def address(container: str) -> str:
    """The address of a container."""
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return subprocess.check_output(["podman", "inspect", f"--format={form}", container], text=True).strip()


def test_a_host_is_killed(fleet: Balanced) -> None:
    process = first_process(fleet, "web-2")
    with fleet.through() as traffic:
        time.sleep(5)
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{process}").exists())
        dead = time.time()
        fleet.wait_for("web-1", "web-2", "web-3")
    print(traffic.account.summary())
    failed = [record for record in traffic.account.records if record.failed]
    assert [str(record) for record in failed if record.start > dead] == []
    assert len([record for record in failed if record.kind != "websocket"]) <= 6  # one of each kind by each balancer
    good = [record for record in traffic.account.records if not record.failed and record.start > dead]
    assert len(good) > 100
