"""fleet_lock: one run at a time changes a host, and a dead one keeps nobody away for ever."""

from __future__ import annotations

import json
import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import PATIENCE, run_module, utils

ANA = {"run": "r-ana", "controller": "build-1", "user": "ana", "pid": 4711, "operation": "deploy", "since": "2026-01-02T03:04:05Z"}
BOB = {**ANA, "run": "r-bob", "user": "bob", "pid": 815, "operation": "restart"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The lock file, in a directory that is not there yet, as after a reboot."""
    return tmp_path / "run/lock"


def lock(path: Path, who: dict[str, Any], state: str = "present", **options: Any) -> dict[str, Any]:
    result = run_module("run_lock", path=str(path), run=who["run"], holder=who, state=state, **options)
    assert not result.get("changed")  # of what the host serves
    return result


def held_by(path: Path) -> str:
    return str(utils("lock").read(path).get("run", ""))


def test_a_free_lock_is_taken(path: Path) -> None:
    assert lock(path, ANA)["replaced"] == {}
    found = utils("lock").read(path)
    assert {key: found[key] for key in ANA} == ANA


def test_everybody_may_read_who_holds_it_but_not_write(path: Path) -> None:
    lock(path, ANA)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o644, 0o755)


def test_a_lock_of_another_is_refused_with_its_holder_and_the_way_out(path: Path) -> None:
    lock(path, ANA)
    before = path.read_text()
    result = lock(path, BOB)
    assert result["failed"]
    for said in ("ana on build-1 (process 4711), running deploy since 2026-01-02T03:04:05Z", "UTC", "-e tornado_app_take_over=true"):
        assert said in result["msg"]
    assert path.read_text() == before


def test_a_holder_of_whom_little_is_known_is_told_all_the_same(path: Path) -> None:
    run_module("run_lock", path=str(path), run="r-1", holder={"user": "eve"})
    assert "eve on ? (process ?), running ? since ?" in lock(path, BOB)["msg"]


def test_a_run_may_take_its_own_lock_again(path: Path) -> None:
    lock(path, ANA, lease=10)
    expires = utils("lock").read(path)["expires"]
    assert lock(path, ANA, lease=1000)["replaced"] == {}
    assert utils("lock").read(path)["expires"] > expires + 900


def test_a_renewal_begins_the_lease_anew(path: Path) -> None:
    lock(path, ANA, lease=10)
    expires = utils("lock").read(path)["expires"]
    assert not lock(path, ANA, "renewed", lease=1000).get("failed")
    assert utils("lock").read(path)["expires"] > expires + 900


def test_a_run_renews_a_lock_whose_lease_was_over_when_nobody_has_taken_it(path: Path) -> None:
    lock(path, ANA, lease=-1)
    assert not lock(path, ANA, "renewed").get("failed")
    assert lock(path, BOB)["failed"]


def test_a_lock_whose_lease_is_over_is_taken_and_told(path: Path) -> None:
    lock(path, ANA, lease=-1)
    assert lock(path, BOB)["replaced"]["user"] == "ana"
    assert held_by(path) == "r-bob"


def test_a_lock_that_is_named_is_replaced_and_told(path: Path) -> None:
    lock(path, ANA)
    assert lock(path, BOB, replace="r-ana")["replaced"]["run"] == "r-ana"
    assert held_by(path) == "r-bob"


def test_a_lock_that_another_has_taken_meanwhile_is_not_replaced(path: Path) -> None:
    """Who was seen dead is not who holds it now."""
    lock(path, ANA)
    assert lock(path, BOB, replace="r-dead")["failed"]
    assert held_by(path) == "r-ana"


def test_nobody_is_named_by_an_empty_name(path: Path) -> None:
    lock(path, ANA)
    assert lock(path, BOB, replace="")["failed"]


def test_a_run_whose_lock_was_taken_over_stops(path: Path) -> None:
    lock(path, ANA)
    lock(path, BOB, replace="r-ana")
    result = lock(path, ANA, "renewed", replace="r-bob")
    assert result["failed"]
    assert "taken over by bob on build-1 (process 815), running restart" in result["msg"]
    assert held_by(path) == "r-bob"


def test_it_stops_though_the_other_run_has_ended_meanwhile(path: Path) -> None:
    """What this one knows of the host is not true any more."""
    lock(path, ANA)
    lock(path, BOB, replace="r-ana")
    lock(path, BOB, "absent")
    assert lock(path, ANA, "renewed").get("failed")
    assert held_by(path) == ""


def test_it_stops_though_the_other_run_has_died_meanwhile(path: Path) -> None:
    lock(path, ANA)
    lock(path, BOB, replace="r-ana", lease=-1)
    assert lock(path, ANA, "renewed").get("failed")


def test_a_lock_is_given_back_by_its_owner_alone(path: Path) -> None:
    lock(path, ANA)
    assert not lock(path, BOB, "absent").get("failed")
    assert held_by(path) == "r-ana"
    lock(path, ANA, "absent")
    assert held_by(path) == ""
    assert not lock(path, BOB).get("failed")


def test_what_nobody_holds_can_be_given_back(path: Path) -> None:
    assert not lock(path, ANA, "absent").get("failed")


@pytest.mark.parametrize("keep", [0, 1, 20])
def test_a_lock_that_a_crash_left_half_written_is_nobodys(path: Path, keep: int) -> None:
    lock(path, ANA)
    path.write_text(path.read_text()[:keep])
    assert held_by(path) == ""
    assert not lock(path, BOB).get("failed")
    assert held_by(path) == "r-bob"


@pytest.mark.parametrize("text", ["null", "[]", "7", "{}", '{"run": "r-ana"}', '{"expires": 9999999999}'])
def test_what_is_no_lock_is_nobodys(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    assert not lock(path, BOB).get("failed")


def test_a_shorter_lock_leaves_nothing_of_a_longer_one(path: Path) -> None:
    lock(path, {**ANA, "operation": "x" * 1000}, lease=-1)
    lock(path, BOB)
    assert json.loads(path.read_text())["operation"] == "restart"


@pytest.mark.parametrize("state", ["present", "renewed"])
def test_check_mode_refuses_and_takes_nothing(path: Path, state: str) -> None:
    assert not lock(path, ANA, state, check=True).get("failed")
    assert not path.parent.exists()
    lock(path, ANA)
    before = path.read_text()
    assert lock(path, BOB, state, check=True)["failed"]
    assert not lock(path, ANA, state, check=True).get("failed")
    assert path.read_text() == before


def test_check_mode_gives_nothing_back(path: Path) -> None:
    lock(path, ANA)
    assert not lock(path, ANA, "absent", check=True).get("failed")
    assert held_by(path) == "r-ana"


ROUNDS = 20


def race(barrier: Barrier, folder: Path, run: str) -> None:
    for number in range(ROUNDS):
        barrier.wait(PATIENCE)
        if not lock(folder / f"lock-{number}", {**ANA, "run": run}).get("failed"):
            (folder / f"taken-{number}-{run}").touch()


def test_of_several_runs_at_the_same_moment_exactly_one_gets_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    runs = [context.Process(target=race, args=(barrier, tmp_path, f"r-{number}")) for number in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(PATIENCE)
    assert [run.exitcode for run in runs] == [0, 0, 0, 0]
    for number in range(ROUNDS):
        (winner,) = tmp_path.glob(f"taken-{number}-*")
        assert winner.name == f"taken-{number}-{held_by(tmp_path / f'lock-{number}')}"


def test_a_lock_that_is_not_text_is_nobodys(path: Path) -> None:
    lock(path, ANA)
    path.write_bytes(b"\xff\xfe" + path.read_bytes())
    assert held_by(path) == ""
    assert lock(path, BOB)["replaced"] == {}
    assert held_by(path) == "r-bob"
