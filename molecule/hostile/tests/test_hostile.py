"""An app that means harm, its sandbox, and the operations on it and beside it. Clients of the other apps notice nothing of it.

The last test leaves nothing of the app.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile import APP, VICTIM, Attack, got, idle_ports

# What nothing but the sandbox keeps an ordinary user of the host from.
BY_THE_SANDBOX_ALONE = {"netlink", "set-user-id file", "connect /run/dbus/system_bus_socket"}
# What the purge of an app changes beside the app's own: the lists of users and of ports, and of the apps that a balancer asks for.
OF_ALL_APPS = (
    r"^/etc/((passwd|group|shadow|gshadow|subuid|subgid)-?|ansible/facts\.d/tornado_app\.fact|"
    r"sysctl\.d/10-tornado_app\.conf|nginx/conf\.d/tornado_app\.conf)$"
)

pytestmark = pytest.mark.usefixtures("bystanders")


@pytest.fixture
def wild(attack: Attack) -> Iterator[Attack]:
    """The app, which a person has to put right afterwards."""
    try:
        yield attack
    finally:
        attack.tidy()


def test_from_inside_its_sandbox_it_gets_nothing(attack: Attack) -> None:
    before = attack.world()
    root = attack.host.check_output
    reports = {
        "process": attack.ask("/attempts"),
        "release command": json.loads(root(f"cat /srv/{APP}/shared/release.json")),
        "build": json.loads(root(f"find /srv/{APP}/environments -path '*/hostile_build/report.json' -exec cat {{}} +")),
    }
    found = {who: got(report) for who, report in reports.items()}
    # From another sandbox it cannot see which processes are its own.
    assert {attack.owner(pid) for pid in found["release command"].pop("signal", "").split()} <= {APP, ""}
    assert found == {who: {} for who in reports}
    assert attack.world() == before
    # The same without the sandbox, or these attempts would prove nothing.
    outside = json.loads(root(f"cd / && runuser -u {APP} -- env HOME=/var/tmp python3 -I $(realpath /srv/{APP}/slots/blue)/attempts.py"))
    assert set(got(outside)) >= BY_THE_SANDBOX_ALONE
    root("rm -f /run/lock/hostile-was-here /var/tmp/hostile-was-here /tmp/device /dev/shm/was-here")
    assert attack.world() == before
    attack.nothing_leaked()


def test_what_its_settings_name_an_app_may_do_beyond_that(attack: Attack) -> None:
    run = f"python3 /opt/tornado_app/sandboxed.py {VICTIM} "
    attack.host.check_output(run + 'python3 -c "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"')
    refused = attack.host.run(run + "touch /var/local/made /opt/made").stderr
    assert "'/var/local/made': Permission denied" in refused  # root's, not the app's; it is writable otherwise
    assert "'/opt/made': Read-only file system" in refused


def test_operations_on_it_succeed_while_it_serves(wild: Attack) -> None:
    """Processes that do not end, links in the place of directories, floods of what steers terminals, lies on connections."""
    first = wild.own.state(APP)[wild.name]
    others = [f"/run/{place}/{port}.sock" for place in (f"{VICTIM}/sockets", f"tornado_app/sockets/{VICTIM}") for port in (8200, 9200)]
    wild.do("files", f"/run/{APP}/sockets=/etc /run/{APP}/watchdog.json=/etc/shadow /run/{APP}/supervisord.pid=fifo")
    wild.do("noise")
    wild.do("immortal")
    wild.do("names", " ".join(others))
    wild.change("second")
    assert wild.operate("--tags", "deploy")[0] == 0
    second = wild.own.state(APP)[wild.name]
    assert (second.slot, second.release) != (first.slot, first.release)
    wild.everybody.change("second")  # the victim's source
    code, said = wild.operate("--tags", "deploy", fleet=wild.everybody.only(VICTIM), ignoring=VICTIM)
    assert code == 0
    assert "connections left" not in said
    assert wild.operate("--tags", "rollback")[0] == 0
    assert wild.own.state(APP)[wild.name].release == first.release


def test_who_answers_in_the_place_of_its_supervisord_is_not_believed(wild: Attack) -> None:
    """Ids of others' processes, a byte every four seconds, an answer without an end, and one that is none."""
    victim = min(wild.others.state(VICTIM)[wild.name].pids)
    both = wild.everybody.only(APP, VICTIM)
    wild.do("fake", f"foreign 1 {victim}")
    code, said = wild.operate("--tags", "status", fleet=both)
    assert code == 0
    assert f"{wild.name}: {APP}'s supervisord answers what cannot be believed: " in said
    assert f"{VICTIM}'s supervisord" not in said
    wild.do("fake", "drip")
    code, said = wild.operate("--tags", "verify", fleet=both)
    assert code != 0
    assert re.search(rf"{APP}'s supervisord (answers what cannot be believed|does not answer)", said)
    assert not re.search(rf"{VICTIM}(-blue|-green|'s )", said)
    wild.do("fake", "garbage")
    wild.change("third")
    assert wild.operate("--tags", "deploy")[0] != 0
    wild.do("fake", "huge")
    code, _ = wild.operate("--tags", "restart", fleet=wild.everybody.only(VICTIM), ignoring=VICTIM)
    assert code == 0


def test_processes_that_are_ill_in_every_way_stop_at_the_gate(wild: Attack) -> None:
    """One answers too much, one too slowly; of one the log leads to what is root's. What is shown of the logs steers no terminal."""
    ports = idle_ports(wild, 8000, 3)
    wild.do("health", "giant drip 500")
    wild.do("noise")
    wild.do("files", f"/var/log/{APP}/{ports[0]}.log=/etc/shadow /var/log/{APP}/watchdog.log=/etc/shadow")
    code, said = wild.operate("--tags", "restart")
    assert code != 0
    assert re.search(rf"{APP}-(blue|green):\d+ is not healthy", said)
    assert f"{wild.name} serves what it served before." in said
    assert wild.is_well()


def test_a_log_that_nobody_reads_and_a_port_that_is_taken(wild: Attack) -> None:
    """Whoever opens a FIFO waits for a reader. The port is of the slot that a deploy fills, and the app's own process has it."""
    ports = idle_ports(wild, 8000, 3)
    wild.do("squat", f"{ports[1]}")
    wild.do("immortal")
    wild.do(
        "files", f"/var/log/{APP}/{ports[0]}.log=fifo /var/log/{APP}/{ports[0]}.log.1=directory /var/log/{APP}/{ports[2]}.log=directory"
    )
    wild.change("fourth")
    wild.operate("--tags", "deploy")  # however it ends: it does


def test_a_port_of_another_app_that_it_takes_is_named_before_anything_changes(wild: Attack) -> None:
    patient = wild.everybody.only("patient")
    slot = patient.state("patient")[wild.name].slot
    port = 9400 if slot == "blue" else 8400
    wild.do("squat", f"{port}")
    assert f"port {port} is held by python" in patient.refused("--tags", "restart")


@pytest.fixture
def requirements(attack: Attack) -> Iterator[Path]:
    """What the app requires; afterwards its source is as it was."""
    before = attack.source.with_name("as it was")
    shutil.copytree(attack.source, before)
    yield attack.source / "requirements.txt"
    shutil.rmtree(attack.source)
    before.rename(attack.source)


def test_requirements_that_are_options_of_pip_are_none(attack: Attack, requirements: Path) -> None:
    requirements.unlink()
    listed = json.dumps(["--requirement=/etc/shadow", "--index-url=http://127.0.0.1:8000/"])
    requirements.with_name("pyproject.toml").write_text(f'[project]\nname = "x"\nversion = "1"\ndependencies = {listed}\n')
    code, said = attack.operate("--tags", "deploy")
    assert code != 0
    assert f"tornado_apps.{APP}" in said


def test_a_build_that_lays_a_trap_for_root_is_refused(attack: Attack, requirements: Path) -> None:
    """Root marks an environment as whole by a file, for which the build has put a link there."""
    requirements.with_name("build_code").joinpath("trap").touch()
    with requirements.open("a") as another:
        another.write("# another environment\n")
    code, said = attack.operate("--tags", "deploy")
    assert code != 0
    assert f"tornado_apps.{APP}.requirements: what it installs cannot be given to root: " in said


def test_stopped_it_leaves_no_process(wild: Attack) -> None:
    wild.do("immortal")
    wild.do("files", f"/run/{APP}/sockets=/etc")
    assert len(wild.processes()) > 3
    assert wild.operate("--tags", "stop")[0] == 0
    assert wild.processes() == []


def test_purged_it_leaves_nothing_and_takes_nothing_along(attack: Attack) -> None:
    attack.do("litter", f"/etc /srv/{VICTIM} /srv/{VICTIM}/shared/canary /run/{VICTIM} /")
    attack.do("immortal")
    gone = {APP: {"state": "absent", "purge": True}}
    code, _ = attack.operate("--tags", "provision", ignoring=OF_ALL_APPS, apps={**attack.others.settings(), **gone})
    assert code == 0
    assert attack.host.check_output(f"ls -d /srv/{APP} /var/log/{APP} /run/{APP} /etc/{APP} 2>/dev/null || true") == ""
    assert attack.host.check_output(f"getent passwd {APP} || true") == ""
