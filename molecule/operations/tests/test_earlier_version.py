"""Hosts that an earlier version of the role has provisioned: this one takes them over, and no client notices.

Processes write their logs themselves now, so each app gets a new slot with the release that it has. Its supervisord stays.

The first module of this scenario: it finds the hosts bare.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import ROOT, Fleet

pytestmark = pytest.mark.slow

EARLIER = "91f47cb"  # the last version that was not a collection


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The repository as it was then."""
    folder = tmp_path_factory.mktemp("earlier") / "repository"
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", folder, EARLIER], cwd=ROOT, check=True)
    yield folder
    subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, check=True)


@pytest.fixture
def hosts(hosts: Fleet) -> Fleet:
    """One of them; the other one is still bare when the next module begins."""
    return hosts.on("web-1")


def supervisords(hosts: Fleet) -> dict[str, str]:
    return {name: host.check_output("systemctl show --property=MainPID shop") for name, host in hosts.hosts.items()}


def test_an_upgrade_keeps_releases_and_histories(hosts: Fleet, earlier: Path) -> None:
    assert hosts.run(root=earlier).returncode == 0
    (first,) = {state.release for state in hosts.state().values()}
    hosts.change("deployed by the earlier version")
    assert hosts.run("--tags", "deploy", root=earlier).returncode == 0
    before, running = hosts.state(), supervisords(hosts)
    with hosts.unnoticed():
        output = hosts.play()
        after = hosts.state()
        assert {name: state.release for name, state in after.items()} == {name: state.release for name, state in before.items()}
        assert all(state.slot != before[name].slot and not state.pids & before[name].pids for name, state in after.items())
        assert supervisords(hosts) == running
        for name in hosts.hosts:
            assert f"then --tags stop,start --limit {name}" in " ".join(output.split())
        for host in hosts.hosts.values():
            assert len(host.check_output("pgrep --uid shop --full watchdog.py").split()) == 1
            readable = host.check_output("find /srv/shop/releases -type f -perm /o=r").splitlines()
            assert [path for path in readable if "/static/" not in path] == []
        hosts.play("--tags", "rollback")
    assert hosts.release() == first
    assert hosts.leftovers() == {}
    hosts.answers()
