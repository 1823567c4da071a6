"""Development: what is saved is served."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import Fleet, wait_until

DEBUG: dict[str, Any] = {"debug": True, "processes": 1, "watch": ["/etc/flask_app.ini"]}
SOURCE = "/usr/local/src/flask_app"


@pytest.fixture
def flask(fleet: Fleet) -> Fleet:
    """One app on one host."""
    return fleet.only("flask_app").on("web-2")


def test_debug_is_refused_in_production(flask: Fleet, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("production: {hosts: {web-2: }}\n")
    output = flask.refused("--tags", "deploy", "-i", str(tmp_path / "hosts.yml"), **DEBUG)
    assert "tornado_apps.flask_app.debug is for development, and the inventory of web-2 calls itself production" in output
    output = flask.refused("--tags", "deploy", **{**DEBUG, "processes": 2})
    assert "with debug there is one, leave out processes" in output


def runs(flask: Fleet, name: str, processes: int) -> bool:
    return len(flask.state("flask_app")[name].pids) == processes


def save(flask: Fleet, name: str) -> None:
    """Change files on a host, as an editor does, and look what is served."""
    host = flask.hosts[name]

    def served() -> str:
        answer = flask.get(name, "/api/info", "flask_app")
        return answer.read().decode() if answer.status == 200 else ""

    assert "edited" not in served()
    host.check_output(f"""sed -i 's/"visitor": /"edited": "yes", "visitor": /' {SOURCE}/pages.py""")
    wait_until(lambda: "edited" in served())
    host.check_output(f"echo 'def :' >> {SOURCE}/pages.py")
    wait_until(lambda: served() == "")
    host.check_output(f"sed -i '$d' {SOURCE}/pages.py")
    wait_until(lambda: "edited" in served())
    wait_until(partial(runs, flask, name, 2))  # an editor's second write may restart it once more
    before = flask.state("flask_app")[name].pids
    host.check_output("touch /etc/flask_app.ini")
    wait_until(lambda: not before <= flask.state("flask_app")[name].pids)
    wait_until(lambda: "edited" in served())


def test_what_is_saved_is_served(flask: Fleet) -> None:
    for name, state in flask.state("flask_app").items():
        flask.hosts[name].check_output(f"cp -r --preserve=mode,ownership /srv/flask_app/releases/{state.release} {SOURCE}")
    flask.play("--tags", "deploy", **DEBUG)
    for name, host in flask.hosts.items():
        save(flask, name)
        wait_until(partial(runs, flask, name, 2))  # the process, and what restarts it
        host.check_output(f"rm -r {SOURCE} /etc/flask_app.ini")
    flask.play("--tags", "deploy")
    flask.answers()
    for name, state in flask.state("flask_app").items():
        assert len(state.pids) == 2
        assert "reload.py" not in flask.hosts[name].check_output("ps -C python3,python -o args")
