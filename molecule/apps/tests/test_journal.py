"""Where processes print to."""

import re
from collections.abc import Iterator

import pytest

from tests.fleet import Fleet

LIMITED = "/etc/systemd/journald.conf.d/few.conf"
LINES = 3000
BURST = f"/bin/sh -c 'seq --format=burst-%g {LINES}; exec {{python}} modes.py --mode=fork --port={{port}}'"
# Not by unit: of a program that has ended before journald looks, it does not know the unit.
PRINTED = (
    "journalctl --sync; journalctl --identifier={identifier} --quiet --output=cat --since=-5min | grep -cE '^(burst-)?[0-9]+$' || true"
)


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """One of the hosts."""
    return fleet.on("web-1")


@pytest.fixture
def limited(fleet: Fleet) -> Iterator[None]:
    """journald takes few lines at a time from a unit: 100, or as many as six times that when there is room."""
    for host in fleet.hosts.values():
        host.check_output(f"install -D /dev/null {LIMITED} && printf '[Journal]\nRateLimitBurst=100\n' > {LIMITED}")
        host.check_output("systemctl restart systemd-journald")
    yield
    for host in fleet.hosts.values():
        host.check_output(f"rm {LIMITED} && systemctl restart systemd-journald")


@pytest.mark.usefixtures("limited")
def test_what_processes_print_goes_to_the_journal_and_no_line_is_dropped(fleet: Fleet) -> None:
    forking = fleet.only("forking_app")
    forking.play("--tags", "deploy", logs="journal", command=BURST)
    for name, state in forking.state("forking_app").items():
        host = fleet.hosts[name]
        lines = host.check_output("journalctl --unit=forking_app --quiet --since=-5min")
        (identifier,) = set(re.findall(rf"(forking_app-{state.slot}:\d+@{state.release})\[", lines))
        host.check_output(f"systemd-run --quiet --wait --unit=with-limit seq {LINES}")
        assert int(host.check_output(PRINTED.format(identifier="seq"))) in range(1, LINES)
        assert int(host.check_output(PRINTED.format(identifier=identifier))) == LINES
    settings = {"logs": "journal", "command": "{python} nothing.py {port}", "health": {"path": "/healthz", "timeout": 20}}
    assert "can't open file" in forking.refused("--tags", "deploy", **settings)
    with forking.unnoticed():
        forking.play("--tags", "deploy")
