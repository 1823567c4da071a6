"""A controller that is killed half-way leaves nothing that the next run does not put right, and no client notices.

One of the boundaries of a deploy's tasks, and another one below; all with TORNADO_APP_CRASH=all in the environment (`make test-crash`).
"""

import os
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fleet import Fleet

SWITCH = "Switch | Make the idle slots live"


class Boundary(NamedTuple):
    """Where the controller is killed: at the start of a task, or when the first host has done it and the others have not."""

    task: int | str  # its number, from 1, or its name
    first_host: bool


def test_the_next_run_finishes_what_a_killed_one_began(shop: Fleet, tmp_path: Path, subtests: pytest.Subtests) -> None:
    # The number of processes changes with each deploy: that is a deploy that reloads nginx.
    counts = cycle((3, 2))
    boundaries = [Boundary("Switch | Ask nginx for each app", first_host=False)]
    if every := os.environ.get("TORNADO_APP_CRASH") == "all":
        shop.change("counted")
        tasks = shop.tasks(tmp_path / "tasks", "--tags", "deploy", processes=next(counts))
        boundaries = [Boundary(task, first_host) for task in tasks for first_host in (False, True)]
    for boundary in boundaries:
        name = f"{'after the first host has done' if boundary.first_host else 'before'} task {boundary.task}"
        with subtests.test(name):
            before, count = shop.release(), next(counts)
            shop.change(name)
            with shop.unnoticed(shop=2):  # nginx is reloaded when the connections of before are over
                shop.crash(boundary.task, "--tags", "deploy", first_host=boundary.first_host, processes=count)
                assert every or all(shop.locks().values())  # taken without a question
                shop.play("--tags", "deploy", processes=count)
            assert shop.release() != before
            assert {len(state.pids) for hosts in shop.everything().values() for state in hosts.values()} == {count}
            assert shop.leftovers() == {}
            shop.answers()
            assert not any(shop.locks().values())
            assert not any(host.file("/run/tornado_app/closing").exists for host in shop.hosts.values())


def test_a_killed_deploy_and_a_broken_one_leave_the_fleet_on_the_release_it_had(shop: Fleet) -> None:
    before = shop.everything()
    shop.change("killed, then broken")
    with shop.unnoticed():
        shop.crash(SWITCH, "--tags", "deploy", first_host=True)
        for hosts in shop.everything().values():  # the first host has it, the last one has not
            assert hosts["web-1"].release != hosts["web-2"].release
        done = shop.run("--tags", "deploy", health={"path": "/nothing-here", "timeout": 6})
    assert done.returncode != 0
    assert "/nothing-here answered 404" in " ".join(done.stdout.split())
    assert shop.release() == next(iter(before["shop"].values())).release
    assert shop.leftovers() == {}
    shop.answers()
