"""A host that is lost on the way counts as one that failed: no two hosts that can be reached serve different releases."""

import shlex
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.fleet import Fleet, wait_until

LOST = "web-2"
AWAY = 300  # seconds for which nobody can log in there at most; it goes on serving
DOOR = 2222  # who connects to this port is let in again
WAIT = f'import socket; socket.create_server(("", {DOOR})).accept()'


def lose(fleet: Fleet) -> None:
    """End all logins on the host, and let nobody in until it is asked to."""
    cut = f'sleep 0.5; systemctl stop ssh.service; pkill sshd; timeout {AWAY} python3 -c "$0"; systemctl start ssh.service'
    fleet.hosts[LOST].check_output(f"systemd-run sh -c {shlex.quote(cut)} {shlex.quote(WAIT)}")


def returned(fleet: Fleet) -> bool:
    try:
        return bool(fleet.hosts[LOST].run("true").rc == 0)
    except RuntimeError:  # testinfra's word for a host that cannot be reached
        return False


def deploy_and_lose(fleet: Fleet, moment: Callable[[], bool], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A deploy that loses the host at a moment; returns when the host is back."""
    with ThreadPoolExecutor() as pool:
        run = pool.submit(fleet.run, "--tags", "deploy", *arguments)
        wait_until(moment)
        lose(fleet)
        done = run.result()
    socket.create_connection((fleet.addresses[LOST], DOOR)).close()
    wait_until(lambda: returned(fleet))
    assert done.returncode != 0
    return done


def test_a_host_that_is_lost_before_the_gate_holds_the_others_back(shop: Fleet) -> None:
    before = shop.everything()
    idle = "green" if before["shop"][LOST].slot == "blue" else "blue"
    shop.change("lost before the gate")
    with shop.unnoticed():
        done = deploy_and_lose(shop, lambda: bool(shop.hosts[LOST].file(f"/etc/shop/slots/{idle}.json").exists))
    assert f"{LOST} failed or cannot be reached" in " ".join(done.stdout.split())
    for app, hosts in shop.everything().items():
        for name, state in hosts.items():
            assert (state.slot, state.release) == (before[app][name].slot, before[app][name].release)
    assert {place.split()[-1] for place in shop.leftovers()} <= {LOST}  # which the next run takes away: the next test's


def test_when_a_host_is_lost_after_its_switch_the_others_go_back_and_the_next_run_brings_all_together(shop: Fleet) -> None:
    before = shop.everything()
    old = shop.release()
    shop.change("lost after the switch")
    with shop.unnoticed():
        watched = "tornado_app_bake=20"  # seconds in which the host is lost
        done = deploy_and_lose(shop, lambda: shop.state()[LOST].slot != before["shop"][LOST].slot, "--extra-vars", watched)
        assert f"Stopped because of {LOST}." in " ".join(done.stdout.split())
        for app, hosts in shop.everything().items():
            for name, state in hosts.items():
                assert (state.release == old) == (name != LOST), f"{app} on {name}"
        shop.play("--tags", "deploy")
    assert shop.release() != old
    assert shop.leftovers() == {}
