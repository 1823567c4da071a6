"""An app that listens in another way than before."""

from functools import partial

from tests.fleet import Fleet, wait_until

SOCKETS = {"listen": "sockets", "command": "{python} modes.py --mode=sockets --socket={socket} --port=0"}


def answers(app: Fleet, name: str) -> bool:
    return app.get(name, "/api/info", "forking_app").status == 200


def test_no_client_notices_that_an_app_listens_in_another_way(fleet: Fleet) -> None:
    app = fleet.only("forking_app")
    with app.unnoticed():
        app.play("--tags", "deploy", **SOCKETS)
    for name, host in app.hosts.items():
        upstream = host.check_output(f"cat /etc/nginx/conf.d/forking_app.{app.state('forking_app')[name].slot}.conf")
        assert upstream.count("server unix:/run/forking_app/sockets/") == 2
        # A unit that starts anew has its sockets anew.
        host.check_output("systemctl restart forking_app")
        wait_until(partial(answers, app, name))
    with app.unnoticed():
        app.play("--tags", "deploy")
    assert all(len(state.pids) == 3 for state in app.state("forking_app").values())
