"""What the fleet runs once: on one host at a time, whatever becomes of hosts."""

import shlex

import pytest

from tests.balanced import Balanced
from tests.fleet import wait_until

# As docs/realtime.md has it.
ASK = """secret=$(cat /etc/tornado_app/redis_secret)
export REDISCLI_AUTH=$(printf tornado_app | openssl dgst -sha256 -hmac "$secret" | sed 's/.* //')
redis-cli -s /run/redis/tornado_app.sock --user tornado_app """


def ask(fleet: Balanced, *command: str) -> str:
    """What Redis answers to a command."""
    return str(fleet.balancers["lb-2"].check_output(ASK + shlex.join(command))).strip()


def runs(fleet: Balanced) -> list[str]:
    """The hosts that run the singleton."""
    return [name for name, host in fleet.hosts.items() if host.run("pgrep --uid shop --full 'beat[.]py'").rc == 0]


def moved(fleet: Balanced, host: str) -> bool:
    """Whether another host runs it."""
    return len(found := runs(fleet)) == 1 and found != [host]


@pytest.fixture(autouse=True)
def alone(fleet: Balanced) -> None:
    """What a host that lost its power has counted is forgotten."""
    wait_until(lambda: len(runs(fleet)) == 1)
    ask(fleet, "SET", "shop:beats", "1")
    ask(fleet, "DEL", "shop:overlaps")


def test_it_goes_to_the_new_release_and_away_from_a_host_that_is_drained_or_stopped(fleet: Balanced) -> None:
    fleet.play("--tags", "restart")
    wait_until(lambda: len(runs(fleet)) == 1)
    for out, back in (("drain", "undrain"), ("stop", "start")):
        (host,) = runs(fleet)
        fleet.play("--tags", out, "--limit", host)
        wait_until(lambda host=host: moved(fleet, host))  # type: ignore[misc]
        fleet.play("--tags", back, "--limit", host)
    assert ask(fleet, "GET", "shop:overlaps") == ""
    assert ask(fleet, "GET", "shop:beats") == "1"


def test_cron_ran_once_in_each_minute_whatever_was_done_to_the_fleet(fleet: Balanced) -> None:
    wait_until(lambda: int(ask(fleet, "HLEN", "shop:ticks")) >= 2)
    assert set(ask(fleet, "HVALS", "shop:ticks").split()) == {"1"}


def test_the_status_names_the_host(fleet: Balanced) -> None:
    (host,) = runs(fleet)
    output = fleet.play("--tags", "status")
    (line,) = [line for line in output.splitlines() if "beat" in line]
    assert host in line
    assert "tick" in output
    assert "Redis on lb-2" in output
