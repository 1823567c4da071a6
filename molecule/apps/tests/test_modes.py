"""An app that listens in another way than before."""

from functools import partial

import pytest

from tests.fleet import Fleet, wait_until

SOCKETS = {"listen": "sockets", "command": "{python} modes.py --mode=sockets --socket={socket} --port=0"}


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """One of the hosts."""
    return fleet.on("web-2")


def answers(app: Fleet, name: str) -> bool:
    return app.get(name, "/api/info", "forking_app").status == 200


def test_no_client_notices_that_an_app_listens_in_another_way(fleet: Fleet) -> None:
    app = fleet.only("forking_app")
    with app.unnoticed():
        app.play("--tags", "deploy", **SOCKETS)
    for name, host in app.hosts.items():
        upstream = host.check_output(f"cat /etc/nginx/conf.d/forking_app.{app.state('forking_app')[name].slot}.conf")
        assert upstream.count("server unix:/run/tornado_app/sockets/forking_app/") == 2
        place = "/run/tornado_app/sockets/forking_app"
        assert host.check_output(f"stat --format='%U %G %a' {place}") == "forking_app www-data 2750"
        assert host.run(f"runuser -u sockets_app -- ls {place}").rc != 0
        # systemd would make it after a boot.
        assert f"d {place} 2750 forking_app www-data" in host.file("/etc/tmpfiles.d/tornado_app-forking_app.conf").content_string
        # A unit that starts anew has its sockets anew.
        host.check_output("systemctl restart forking_app")
        wait_until(partial(answers, app, name))
    with app.unnoticed():
        app.play("--tags", "deploy")
    assert all(len(state.pids) == 3 for state in app.state("forking_app").values())


def test_a_unit_that_runs_without_its_directory_gets_it_back(fleet: Fleet) -> None:
    """As one does that runs since before there was such a directory; no process of it is restarted for that."""
    app = fleet.only("sockets_app")
    (host,) = [app.hosts[name] for name in list(app.hosts)[:1]]
    before = host.check_output("systemctl show --property=MainPID --value sockets_app")
    take = "umount --lazy /run/tornado_app/sockets/sockets_app"
    host.check_output(f"nsenter --mount=/proc/{before}/ns/mnt -- {take}")
    with app.unnoticed():
        app.play("--tags", "restart")
    assert host.check_output("systemctl show --property=MainPID --value sockets_app") == before
    app.answers()
