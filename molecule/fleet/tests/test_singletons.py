"""What the fleet runs once; test_operations.py has switches and drains."""

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


def test_cron_came_once_in_each_minute_whatever_was_done_to_the_fleet(fleet: Balanced) -> None:
    wait_until(lambda: int(fleet.redis("HLEN", "shop:ticks")) >= 2)
    assert set(fleet.redis("HVALS", "shop:ticks").split()) == {"1"}


def test_the_status_names_the_host(fleet: Balanced) -> None:
    (host,) = fleet.beats()
    output = fleet.play("--tags", "status")
    (line,) = [line for line in output.splitlines() if "beat" in line]
    assert host in line
    assert "tick" in output
    assert "Redis on lb-2" in output
