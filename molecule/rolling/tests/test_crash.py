"""A controller that is killed half-way leaves nothing that the next run does not put right, and no client notices.

A sample of the boundaries of a deploy's tasks; all of them with TORNADO_APP_CRASH=all in the environment (`make test-crash`).
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


def boundaries(tasks: dict[int, str]) -> Iterator[Boundary]:
    """All of them, or those around the switch."""
    numbers = list(tasks)
    if os.environ.get("TORNADO_APP_CRASH") == "all":
        for number in numbers:
            yield from (Boundary(number, False), Boundary(number, True))
        return
    switch = next(index for index, name in enumerate(tasks.values()) if SWITCH in name)
    yield Boundary(numbers[switch + 1], False)
    yield Boundary(numbers[switch], True)


def test_the_next_run_finishes_what_a_killed_one_began(shop: Fleet, tmp_path: Path, subtests: pytest.Subtests) -> None:
    # The number of processes changes with each deploy: that is a deploy that reloads nginx.
    counts = cycle((3, 2))
    shop.change("counted")
    tasks = shop.tasks(tmp_path / "tasks", "--tags", "deploy", processes=next(counts))
    for boundary in boundaries(tasks):
        name = f"{'after the first host has done' if boundary.first_host else 'before'} task {boundary.number}, {tasks[boundary.number]}"
        with subtests.test(name):
            before, count = shop.release(), next(counts)
            shop.change(name)
            with shop.unnoticed(shop=2):  # nginx is reloaded when the connections of before are over
                shop.crash(boundary.number, "--tags", "deploy", first_host=boundary.first_host, processes=count)
                assert os.environ.get("TORNADO_APP_CRASH") == "all" or all(shop.locks().values())  # taken without a question
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
            assert hosts["web-1"].release != hosts["web-3"].release
        done = shop.run("--tags", "deploy", health={"path": "/nothing-here", "timeout": 6})
    assert done.returncode != 0
    assert "/nothing-here answered 404" in " ".join(done.stdout.split())
    assert shop.release() == next(iter(before["shop"].values())).release
    assert shop.leftovers() == {}
    shop.answers()
