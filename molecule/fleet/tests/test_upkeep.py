"""Rolling reboots and upgrades under load: no client notices, and it stops at the first host that does not come back."""

from tests.balanced import Balanced

HOSTS = ("web-1", "web-2", "web-3")
BROKEN = "/etc/systemd/system/nginx.service.d/broken.conf"


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
    host.check_output("touch /run/reboot-required /var/lib/tornado_app/drained")
    fleet.wait_for("web-1", "web-2")
    with fleet.clients():
        fleet.play("--limit", "web-3", playbook="playbooks/upgrade.yml")
    assert fleet.boots()["web-3"] != before["web-3"]
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
