"""An app that is started by its Procfile, with workers and a release command."""

from pathlib import Path
from typing import Any

import pytest

from tests.fleet import Fleet

PROCFILE = """
web: python app.py --port=$PORT
worker: python work.py --queue="$QUEUE"  # as many as scale says
release: sh -c 'python migrate.py || exit 3'
"""
WORK = "import time; time.sleep(3600)\n"
MIGRATE = "import os; print(os.environ['TORNADO_APP_RELEASE'], file=open(f\"{os.environ['HOME']}/migrated\", 'a'))\n"
SETTINGS: dict[str, Any] = {"command": "", "environment": {"QUEUE": "two words"}, "scale": {"worker": 2}}


@pytest.fixture
def procfile(fleet: Fleet) -> Fleet:
    """The fleet, with a Procfile in its source."""
    for name, content in {"Procfile": PROCFILE, "work.py": WORK, "migrate.py": MIGRATE}.items():
        (fleet.source / name).write_text(content)
    return fleet


def workers(fleet: Fleet) -> dict[str, list[str]]:
    """Host -> the process ids of its workers."""
    command = "pgrep --uid shop --full '^[^ ]*python work.py --queue=two words$' || true"
    return {name: host.check_output(command).split() for name, host in fleet.hosts.items()}


def migrated(fleet: Fleet) -> list[str]:
    """The releases for which the release command ran, on any host."""
    command = "cat /srv/shop/shared/migrated 2>/dev/null || true"
    return [release for host in fleet.hosts.values() for release in host.check_output(command).split()]


def test_workers_come_and_go_with_their_slot(procfile: Fleet) -> None:
    with procfile.unnoticed():
        procfile.play("--tags", "deploy", **SETTINGS)
        first = workers(procfile)
        assert [len(pids) for pids in first.values()] == [2, 2]
        assert migrated(procfile) == [procfile.release()]
        output = procfile.play("--tags", "restart", **SETTINGS, source="/nonexistent")
        assert procfile.release() in output
        for name, pids in workers(procfile).items():
            assert len(pids) == 2
            assert not set(pids) & set(first[name])
        assert len(migrated(procfile)) == 1
        assert "2/2 + 2/2" in procfile.play("--tags", "status", **SETTINGS)


def test_a_release_command_that_fails_ends_the_deploy(procfile: Fleet) -> None:
    running = workers(procfile)
    (procfile.source / "migrate.py").write_text("import sys; sys.exit('no database')\n")
    output = procfile.refused("--tags", "deploy", **SETTINGS)
    assert "tornado_apps.shop: the line release of its Procfile ended with 3 on web-1: no database" in output
    assert workers(procfile) == running
    assert procfile.leftovers() == {}


def test_a_procfile_that_does_not_fit_is_refused(procfile: Fleet) -> None:
    output = procfile.refused("--tags", "deploy", **{**SETTINGS, "environment": {}})
    assert "the line worker of its Procfile names $QUEUE, which is not set; add it to tornado_apps.shop.environment" in output
    output = procfile.refused("--tags", "deploy", **SETTINGS, python="3.2")
    assert "tornado_apps.shop.python is 3.2, which the host does not have; it has 3." in output


def test_a_release_without_a_procfile_has_no_workers(fleet: Fleet) -> None:
    for name in ("Procfile", "work.py", "migrate.py"):
        (Path(fleet.source) / name).unlink()
    fleet.play("--tags", "deploy")
    assert not any(workers(fleet).values())
