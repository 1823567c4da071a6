"""What the fleet runs once; test_operations.py has switches and drains."""

import re

from tests.balanced import Balanced
from tests.fleet import wait_until


def test_a_singleton_leaves_a_host_that_is_stopped(fleet: Balanced) -> None:
    wait_until(lambda: len(fleet.beats()) == 1)
    fleet.forget_beats()
    (host,) = fleet.beats()
    fleet.play("--tags", "stop", "--limit", host)
    wait_until(lambda: len(fleet.beats()) == 1)
    fleet.play("--tags", "start", "--limit", host)
    assert fleet.beats() != [host]
    assert (fleet.overlaps(), fleet.redis("GET", "shop:beats")) == ("", "1")


def test_cron_came_once_at_each_of_its_times_whatever_was_done_to_the_fleet(fleet: Balanced) -> None:
    wait_until(lambda: int(fleet.redis("GET", "shop:ticks") or 0) >= 2)
    before = int(fleet.redis("GET", "shop:ticks"))
    logs = "".join(host.check_output("cat /var/log/shop/*.singletons.*.log") for host in fleet.hosts.values())
    times = re.findall(r"cron:tick starts: that of (\S+)", logs)
    assert sorted(set(times)) == sorted(times)
    # One may have begun just now, and one have ended with its host.
    assert before <= len(times) <= int(fleet.redis("GET", "shop:ticks")) + 2


def test_the_status_names_the_host(fleet: Balanced) -> None:
    (host,) = fleet.beats()
    output = fleet.play("--tags", "status")
    (line,) = [line for line in output.splitlines() if "beat" in line]
    assert host in line
    assert "tick" in output
    assert f"Redis on {fleet.redis_host}" in output
