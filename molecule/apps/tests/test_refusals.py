"""What a kind of app can get wrong: nothing changes on any host."""

from pathlib import Path

import pytest

from tests.fleet import Fleet
from tests.repository import Repository


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """One of the hosts: each of them refuses by itself."""
    return fleet.on("web-1")


@pytest.fixture
def procfile(fleet: Fleet) -> Fleet:
    """The fleet with the app of the Procfile."""
    return fleet.only("procfile_app")


def workers(fleet: Fleet) -> dict[str, list[str]]:
    """Host -> the process ids of the workers of the Procfile."""
    command = "pgrep --uid procfile_app --full '^[^ ]*python work.py' || true"
    return {name: host.check_output(command).split() for name, host in fleet.hosts.items()}


def test_a_release_command_that_fails_ends_the_deploy(procfile: Fleet, repository: Repository, sources: Path) -> None:
    migrate = sources / "procfile/migrate.py"
    before, running = migrate.read_text(), workers(procfile)
    migrate.write_text("import sys; sys.exit('no database')\n")
    repository.publish("broken")
    try:
        output = procfile.refused("--tags", "deploy")
    finally:
        migrate.write_text(before)
        repository.publish("mended")
    assert "tornado_apps.procfile_app: the line release of its Procfile, on web-1, ended with 3: no database" in output
    assert workers(procfile) == running
    assert procfile.leftovers() == {}


def test_a_procfile_that_does_not_fit(procfile: Fleet) -> None:
    output = procfile.refused("--tags", "deploy", environment={})
    wanted = "the line worker of its Procfile names $QUEUE, which is not set; add it to tornado_apps.procfile_app.environment"
    assert wanted in output


def test_a_python_that_is_not_there(procfile: Fleet) -> None:
    output = procfile.refused("--tags", "deploy", python="3.2")
    assert "tornado_apps.procfile_app.python is 3.2, which the host does not have; it has 3." in output


def test_a_wsgi_application_that_is_not_there(fleet: Fleet) -> None:
    output = fleet.only("flask_app").refused("--tags", "deploy", wsgi="pages:site", health={"path": "/", "timeout": 20})
    assert "wsgi: pages:site: pages has no application site" in output


def test_processes_that_do_not_share_their_port(fleet: Fleet) -> None:
    settings = {"source": str(fleet.source), "command": "{python} app.py --port={port}", "health": {"path": "/healthz", "timeout": 10}}
    output = fleet.refused("--tags", "deploy", apps={**fleet.settings(), "shared_app": {**fleet.apps["shared_app"], **settings}})
    assert "shared_app-" in output
    assert "is not healthy" in output


def test_a_part_of_the_apps_under_one_name(fleet: Fleet) -> None:
    output = fleet.only("sockets_app").refused("--tags", "deploy")
    assert "tornado_apps.sockets_app.server_names: both.test on web-1 is also for shared_app, which runs there and is not listed" in output
