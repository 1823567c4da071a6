"""An app that is no longer wanted."""

from typing import Any

import pytest

from tests.fleet import Fleet

RELIC: dict[str, Any] = {"command": "{python} app.py --port={port}", "processes": 1, "port": 8300, "server_names": ["relic.test"]}
TRACES = "find / -xdev -path /proc -prune -o -path /sys -prune -o -name 'relic' -print -o -name 'relic.*' -print -o -name 'old_*' -print"


@pytest.fixture
def two(fleet: Fleet) -> Fleet:
    """The fleet with one app more."""
    both = fleet.only(*fleet.apps)
    both.apps = {**fleet.apps, "relic": RELIC}
    return both


def traces(fleet: Fleet) -> dict[str, list[str]]:
    """Host -> the paths that are named after the app."""
    return {name: host.check_output(TRACES).split() for name, host in fleet.hosts.items()}


def with_relic(fleet: Fleet, **relic: Any) -> dict[str, Any]:
    """All apps of tornado_apps."""
    return {**fleet.settings(), "relic": relic}


def test_an_app_that_is_not_listed_any_more_runs_on_and_is_told_of(fleet: Fleet, two: Fleet) -> None:
    two.play()
    before = two.everything()
    output = fleet.play("--tags", "deploy")
    for name in fleet.hosts:
        assert f"relic runs on {name} and is not in tornado_apps; it is left alone." in " ".join(output.split())
    assert two.everything() == before
    two.answers()


def test_an_app_that_is_absent_leaves_what_it_has_written_and_nothing_else(fleet: Fleet) -> None:
    before = fleet.state()
    for host in fleet.hosts.values():
        host.check_output("touch /srv/relic/shared/written")
    with fleet.unnoticed():
        fleet.play(apps=with_relic(fleet, state="absent"))
    assert fleet.state() == before
    assert set(map(tuple, traces(fleet).values())) == {("/srv/relic",)}
    for host in fleet.hosts.values():
        assert host.check_output("find /srv/relic -type f") == "/srv/relic/shared/written"
        assert host.user("relic").exists
        assert not host.service("relic").is_running
    assert " changed=0 " in fleet.play(apps=with_relic(fleet, state="absent"))


def test_an_app_that_is_purged_leaves_no_trace(fleet: Fleet) -> None:
    fleet.play(apps=with_relic(fleet, state="absent", purge=True))
    assert not any(traces(fleet).values())
    for host in fleet.hosts.values():
        assert not host.user("relic").exists
        assert host.check_output("grep --recursive --word-regexp relic /etc/nginx /etc/systemd /etc/security/limits.d || true") == ""
