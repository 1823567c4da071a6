"""The ways to listen: each is deployed, restarted and taken back, and no client notices."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import Fleet

MODES: dict[str, dict[str, Any]] = {
    "sockets": {"command": "{python} modes.py --mode=sockets --socket={socket} --port=0"},
    "shared": {"command": "{python} modes.py --mode=shared --port={port}"},
    "fork": {"command": "{python} modes.py --mode=fork --port={port}"},
}
UPSTREAM = {"sockets": "server unix:/run/shop/sockets/", "shared": "server 127.0.0.1:", "fork": "server 127.0.0.1:"}


@pytest.fixture
def modes(fleet: Fleet) -> Fleet:
    """The fleet, with an app that can listen in each way; both hosts have two processes."""
    shutil.copy(Path(__file__).parents[1] / "modes.py", fleet.source)
    return fleet


@pytest.mark.parametrize("mode", MODES)
def test_no_client_notices_in_which_way_an_app_listens(modes: Fleet, mode: str) -> None:
    settings = {"listen": mode, "processes": 2, **MODES[mode]}
    with modes.unnoticed():
        modes.play("--tags", "deploy", **settings)
        before = modes.state()
        modes.play("--tags", "restart", **settings)
    for name, state in modes.state().items():
        assert state.release == before[name].release
        assert len(state.pids) == (3 if mode == "fork" else 2)
        assert not state.pids & before[name].pids
        upstream = modes.hosts[name].check_output(f"cat /etc/nginx/conf.d/shop.{state.slot}.conf")
        assert upstream.count(UPSTREAM[mode]) == (2 if mode == "sockets" else 1)
    row = next(line.split() for line in modes.play("--tags", "status", **settings).splitlines() if " shop " in line and "web-1" in line)
    assert "2/2" in row
    assert modes.leftovers() == {}


def test_processes_that_do_not_share_their_port_are_refused(modes: Fleet) -> None:
    settings = {"listen": "shared", "processes": 2, "health": {"path": "/healthz", "timeout": 10}}
    output = modes.refused("--tags", "deploy", command="{python} app.py --port={port}", **settings)
    assert "shop-" in output
    assert "is not healthy" in output


def test_back_to_a_port_each(fleet: Fleet) -> None:
    (Path(fleet.source) / "modes.py").unlink()
    with fleet.unnoticed():
        fleet.play("--tags", "deploy")
    assert fleet.leftovers() == {}


def test_what_processes_print_goes_to_the_journal(fleet: Fleet) -> None:
    fleet.play("--tags", "deploy", logs="journal")
    for name, state in fleet.state().items():
        lines = fleet.hosts[name].check_output("journalctl --unit=shop --quiet --output=with-unit --since=-2min").splitlines()
        assert [line for line in lines if f"@{state.release}" in line]
    settings = {"logs": "journal", "command": "{python} nothing.py {port}", "health": {"path": "/healthz", "timeout": 20}}
    assert "can't open file" in fleet.refused("--tags", "deploy", **settings)
    fleet.play("--tags", "deploy")
