"""A controller that is killed half-way leaves nothing that the next run does not put right, and no client notices.

A sample of a deploy's task boundaries; all of them with TORNADO_APP_CRASH=all in the environment (`make test-crash`).
"""

import os
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fleet import Fleet

SWITCH = "Switch | Make the idle slots live"


class Boundary(NamedTuple):
    """Where the controller is killed: at the start of a task, or when the first host has done it and the others have not."""

    number: int  # from 1
    first_host: bool


def boundaries(tasks: list[str]) -> Iterator[Boundary]:
    """All of them, or a sample, which has those around the switch."""
    if os.environ.get("TORNADO_APP_CRASH") == "all":
        for number in range(1, len(tasks) + 1):
            yield from (Boundary(number, False), Boundary(number, True))
        return
    switch = 1 + next(number for number, task in enumerate(tasks) if SWITCH in task)
    yield from (Boundary(len(tasks) // 4, False), Boundary(len(tasks) // 2, False))
    yield from (Boundary(switch, False), Boundary(switch, True), Boundary(switch + 1, False))
    yield Boundary((switch + len(tasks)) // 2, False)


def test_the_next_run_finishes_what_a_killed_one_began(fleet: Fleet, tmp_path: Path, subtests: pytest.Subtests) -> None:
    # The number of processes changes with each deploy: that is a deploy that reloads nginx.
    counts = cycle((3, 2))
    fleet.change("counted")
    tasks = fleet.tasks(tmp_path / "tasks", "--tags", "deploy", processes=next(counts))
    for boundary in boundaries(tasks):
        name = (
            f"{'after the first host has done' if boundary.first_host else 'before'} task {boundary.number}, {tasks[boundary.number - 1]}"
        )
        with subtests.test(name):
            before, count = fleet.release(), next(counts)
            fleet.change(name)
            with fleet.unnoticed(shop=2):  # nginx is reloaded when the connections of before are over
                fleet.crash(boundary.number, "--tags", "deploy", first_host=boundary.first_host, processes=count)
                fleet.play("--tags", "deploy", processes=count)
            assert fleet.release() != before
            assert {len(state.pids) for hosts in fleet.everything().values() for state in hosts.values()} == {count}
            assert fleet.leftovers() == {}
            fleet.answers()
            assert not any(host.file("/run/tornado_app/closing").exists for host in fleet.hosts.values())


def test_a_killed_deploy_and_a_broken_one_leave_the_fleet_on_the_release_it_had(fleet: Fleet) -> None:
    before = fleet.everything()
    fleet.change("killed, then broken")
    with fleet.unnoticed():
        fleet.crash(SWITCH, "--tags", "deploy", first_host=True)
        for hosts in fleet.everything().values():  # the first host has it, the last one has not
            assert hosts["web-1"].release != hosts["web-3"].release
        done = fleet.run("--tags", "deploy", health={"path": "/nothing-here", "timeout": 6})
    assert done.returncode != 0
    assert "/nothing-here answered 404" in " ".join(done.stdout.split())
    assert fleet.release() == next(iter(before["shop"].values())).release
    assert fleet.leftovers() == {}
    fleet.answers()
