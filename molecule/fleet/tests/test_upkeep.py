"""Rolling reboots and upgrades under load: no client notices, and it stops at the first host that does not come back."""

import pytest

from tests.balanced import Balanced
from tests.containers import run_inside
from tests.fleet import wait_until

pytestmark = pytest.mark.slow

HOSTS = ("web-1", "web-2", "web-3")
BROKEN = "/etc/systemd/system/nginx.service.d/broken.conf"
# A package of which a newer version can be had.
OLD_PACKAGE = """
mkdir --parents /srv/packages && cd /srv/packages
for version in 1 2; do
    mkdir --parents made/DEBIAN
    echo "Package: upgraded
Version: $version
Architecture: all
Maintainer: Tests <tests@example.com>
Description: a test" >made/DEBIAN/control
    dpkg-deb --build made upgraded_$version.deb
done
{ cat made/DEBIAN/control; echo "Filename: ./upgraded_2.deb
Size: $(stat --format=%s upgraded_2.deb)
SHA256: $(sha256sum upgraded_2.deb | cut --delimiter=' ' --fields=1)"; } >Packages
echo 'deb [trusted=yes] file:/srv/packages ./' >/etc/apt/sources.list.d/packages.list
dpkg --install upgraded_1.deb
"""
# What an upgrade may do to the way by which hosts are reached.
DEAF = 'APT::Update::Pre-Invoke { "systemctl stop ssh.service ssh.socket; pkill -KILL sshd"; };'


def test_all_hosts_are_rebooted_one_after_the_other(fleet: Balanced) -> None:
    before, release = fleet.boots(), fleet.release()
    with fleet.clients():
        fleet.play(playbook="playbooks/reboot.yml")
        fleet.wait_for(*HOSTS)
    after = fleet.boots()
    assert not set(before.items()) & set(after.items())
    assert [int(after[name]) for name in HOSTS] == sorted(int(moment) for moment in after.values())
    assert fleet.release() == release
    assert not any(fleet.locks().values())


def test_an_upgrade_keeps_an_operators_drain_and_reboots_where_it_is_asked_to(fleet: Balanced) -> None:
    before = fleet.boots()
    host = fleet.hosts["web-3"]
    host.check_output(OLD_PACKAGE)
    host.check_output("touch /run/reboot-required /var/lib/tornado_app/drained")
    fleet.wait_for("web-1", "web-2")
    with fleet.clients():
        fleet.play("--limit", "web-3", playbook="playbooks/upgrade.yml")
    assert fleet.boots()["web-3"] != before["web-3"]
    assert host.package("upgraded").version == "2"
    assert host.file("/var/lib/tornado_app/drained").exists
    fleet.play("--tags", "undrain", "--limit", "web-3")
    fleet.wait_for(*HOSTS)


def test_the_first_host_that_does_not_come_back_is_the_last_to_go(fleet: Balanced) -> None:
    host, before = fleet.hosts["web-1"], fleet.boots()
    host.check_output(f"mkdir -p $(dirname {BROKEN}) && printf '[Service]\\nExecStartPre=/bin/false\\n' >{BROKEN}")
    with fleet.clients():
        done = fleet.run(playbook="playbooks/reboot.yml")
        assert done.returncode != 0
        after = fleet.boots()
        assert [name for name in HOSTS if after[name] != before[name]] == ["web-1"]
        fleet.wait_for("web-2", "web-3")
        host.check_output(f"rm {BROKEN} && systemctl daemon-reload && systemctl start nginx")
        assert fleet.up("lb-1") == {"web-2", "web-3"}  # it is drained until somebody says otherwise
        fleet.play("--tags", "undrain", "--limit", "web-1")
        fleet.wait_for(*HOSTS)


def test_no_other_host_goes_down_after_one_that_cannot_be_reached(fleet: Balanced) -> None:
    """And the next run begins with it, though all others have to be well."""
    host, hook = fleet.hosts["web-1"], "/etc/apt/apt.conf.d/99deaf"
    host.check_output(f"echo '{DEAF}' >{hook}")
    with fleet.clients():
        done = fleet.run(playbook="playbooks/upgrade.yml")
        assert done.returncode != 0
        assert "unreachable=1" in done.stdout
        assert done.stdout.count("Take out | Tell balancers to send nothing]") == 1
        run_inside(fleet.addresses["web-1"], f"rm {hook}; systemctl start ssh.service")
        wait_until(lambda: host.run("true").rc == 0)
        output = fleet.play("--limit", "web-1", playbook="playbooks/upgrade.yml")
        assert "Resume | Bring the host back]" in output
        fleet.wait_for(*HOSTS)
    assert not any(fleet.locks().values())
