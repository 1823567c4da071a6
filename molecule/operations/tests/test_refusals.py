"""What cannot work is refused by name, and every host keeps what it runs."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import ROOT, Fleet


@pytest.fixture
def broken(fleet: Fleet, tmp_path: Path) -> Iterator[Path]:
    """A copy of the source that a test breaks; no idle slot may be left over from it."""
    yield shutil.copytree(fleet.source, tmp_path / "broken")
    assert fleet.leftovers() == {}


def test_a_health_path_that_never_answers(fleet: Fleet) -> None:
    command = "{python} -c 'import time; print(\"waiting in vain\"); time.sleep(600)' {port}"
    output = fleet.refused("--tags", "deploy", command=command, health={"path": "/healthz", "timeout": 4})
    assert "Connection refused" in output
    assert "waiting in vain" in output


def test_an_app_without_requirements_gets_an_empty_environment(fleet: Fleet, broken: Path) -> None:
    (broken / "requirements.txt").unlink()
    assert "No module named 'tornado'" in fleet.refused("--tags", "deploy", source=str(broken))


def test_a_port_that_somebody_else_holds(fleet: Fleet) -> None:
    host = fleet.hosts["web-2"]
    host.check_output("systemd-run --unit=squatter --uid=nobody python3 -m http.server --bind 127.0.0.1 8500")
    try:
        host.check_output("timeout 20 sh -c 'until ss -Hltn | grep -q :8500; do sleep 0.2; done'")
        output = fleet.refused("--tags", "deploy", port=8500)
    finally:
        host.check_output("systemctl stop squatter")
    assert "web-2: tornado_apps.shop.port 8500: port 8500 is held by python3 (pid " in output
    assert "web-1: tornado_apps" not in output


def test_ports_on_which_the_live_slot_runs(fleet: Fleet) -> None:
    live = fleet.state()["web-1"].slot
    port = 7000 if live == "blue" else 9000  # what is idle now would get the ports of what is live
    stride = 1000 if live == "blue" else 5000
    output = fleet.refused("--tags", "deploy", "--extra-vars", f"tornado_app_slot_stride={stride}", port=port)
    assert f"on which the live {live} slot runs; choose another port" in output


def test_a_second_set_of_processes_that_does_not_fit(fleet: Fleet) -> None:
    host = fleet.hosts["web-2"]
    host.check_output("sed -E 's/^(MemAvailable|SwapFree): .*/\\1: 1000 kB/' /proc/meminfo > /run/meminfo")
    host.check_output("mount --bind /run/meminfo /proc/meminfo")
    try:
        output = fleet.refused("--tags", "restart")
    finally:
        host.check_output("umount /proc/meminfo")
    assert "tornado_apps.shop.processes: web-2 has 2 MB of memory left; a second set of 1 processes needs" in output
    assert "web-1 has" not in output


def test_settings_that_cannot_work_are_all_named(fleet: Fleet) -> None:
    good = fleet.settings()["shop"]
    apps = {
        "shop": {**good, "proceses": 4},
        "blog": {**good, "command": "python app.py", "processes": -1, "server_names": ["blog.test"]},
        "api": {**good, "port": 80, "processes": 2, "server_names": ["api.test"]},
    }
    output = fleet.refused(apps=apps)
    for said in (
        "tornado_apps.shop.proceses is not a setting; did you mean processes?",
        "tornado_apps.blog.command has no {port}",
        "tornado_apps.blog.processes is -1: a number is needed",
        "tornado_apps.api.port 80: the blue slot would use 80-81 on web-1, outside 1024-65535",
    ):
        assert said in output


def test_a_source_that_is_not_there(fleet: Fleet) -> None:
    assert "tornado_apps.shop.source: source /nonexistent is not there" in fleet.refused(source="/nonexistent")


def test_more_open_files_than_the_host_can_give(fleet: Fleet) -> None:
    assert "tornado_app_nofile 99999999 is above" in fleet.refused("--extra-vars", "tornado_app_nofile=99999999")


def test_names_that_the_distribution_has_taken(fleet: Fleet) -> None:
    ports = {"games": 8100, "ssh": 8200, "disk": 8300}
    apps = {name: {"source": str(fleet.source), **fleet.apps["shop"], "port": port, "server_names": [name]} for name, port in ports.items()}
    output = fleet.refused(apps=apps)
    assert "tornado_apps.games: there is a user games already" in output
    assert "tornado_apps.ssh: the distribution has a unit of that name" in output
    assert "tornado_apps.disk: there is a group disk already" in output


def test_a_disk_without_room(fleet: Fleet) -> None:
    host = fleet.hosts["web-2"]
    fleet.change("does not fit")
    state = fleet.state()
    host.check_output("mount -t tmpfs -o size=32m tmpfs /srv")
    try:
        done = fleet.run("--tags", "deploy")
    finally:
        host.check_output("umount /srv")
    assert done.returncode != 0
    assert "web-2: /srv has 33 MB free, releases of shop need" in " ".join(done.stdout.split())
    assert fleet.state() == state


def test_an_nginx_configuration_that_does_not_hold_together(fleet: Fleet) -> None:
    host = fleet.hosts["web-1"]
    before = host.file("/etc/nginx/conf.d/shop.conf").content_string
    host.check_output("echo 'nonsense;' > /etc/nginx/conf.d/zz.conf")
    try:
        output = fleet.refused(client_max_body_size="60m")
    finally:
        host.check_output("rm /etc/nginx/conf.d/zz.conf")
    assert 'unknown directive "nonsense" in /etc/nginx/conf.d/zz.conf:1' in output
    assert host.file("/etc/nginx/conf.d/shop.conf").content_string == before


def test_a_source_that_is_empty(fleet: Fleet, tmp_path: Path) -> None:
    assert "is empty: no file is left to deploy" in fleet.refused("--tags", "deploy", source=str(tmp_path))


def test_a_host_that_is_down_stops_a_deploy_but_not_a_look_at_the_others(fleet: Fleet, tmp_path: Path) -> None:
    down = tmp_path / "down.yml"
    down.write_text("tornado: {hosts: {web-9: {ansible_host: 127.0.0.1, ansible_port: 9}}}\n")
    output = fleet.refused("-i", str(down))
    assert "web-9 did not get this far, see above; put that right, or leave it out with --limit 'tornado:!web-9'" in output
    done = fleet.run("-i", str(down), "--tags", "status")
    assert "web-9 (no answer)" in " ".join(done.stdout.split())
    assert " 2/2 " in done.stdout


def test_a_deploy_goes_on_without_as_many_hosts_as_may_be_missing(fleet: Fleet, tmp_path: Path) -> None:
    down = tmp_path / "down.yml"
    down.write_text("tornado: {hosts: {web-9: {ansible_host: 127.0.0.1, ansible_port: 9}}}\n")
    before = fleet.state()
    fleet.change("deployed to the others")
    with fleet.unnoticed():
        limit = ("--limit", "web-1,web-9")
        done = fleet.run("-i", str(down), "--tags", "deploy", *limit, "-e", "tornado_app_max_missing=1")
    assert "This run goes on without web-9" in done.stdout
    after = fleet.state()
    assert after["web-1"].release != before["web-1"].release
    assert after["web-2"] == before["web-2"]
    assert fleet.leftovers() == {}
    # A host that was missing serves another release than the fleet, and the next run brings it there.
    output = " ".join(fleet.play("--tags", "status").split())
    assert "web-2 is behind: it serves" in output
    assert "is behind" not in fleet.play("--tags", "deploy,status")
    assert fleet.release() == after["web-1"].release


def test_an_inventory_that_is_not_there() -> None:
    done = subprocess.run(["ansible-playbook", "site.yml", "-i", "prd"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "prd" in done.stderr + done.stdout
