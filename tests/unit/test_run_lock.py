"""run_lock: one run at a time changes a host, and a dead one keeps nobody away for ever."""

from __future__ import annotations

import json
import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.loading import plugin
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


def test_who_cannot_open_it_cannot_hold_it_and_nginx_passes_by(path: Path) -> None:
    lock(path, ANA)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o755)


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


def use(path: Path, who: dict[str, Any]) -> float:
    """Do something that needs the lock, as the modules that act do; when its lease ends after that."""
    with utils("lock").held(path, who["run"]):
        pass
    return float(utils("lock").parse(path.read_text())["expires"])


def refused(path: Path, who: dict[str, Any]) -> str:
    """Why this run may not do what needs the lock."""
    with pytest.raises(utils("lock").NotHeldError) as problem, utils("lock").held(path, who["run"]):
        raise AssertionError("it is done")
    return str(problem.value)


def set_expiry(path: Path, expires: float) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "expires": expires}))


def test_who_acts_under_the_lock_begins_its_lease_again(path: Path) -> None:
    lock(path, ANA, lease=1000)
    set_expiry(path, time.time() + 10)
    assert use(path, ANA) > time.time() + 900


def test_the_lease_begins_before_the_act_and_after_it(path: Path) -> None:
    """The act may take longer than the lease."""
    lock(path, ANA, lease=1000)
    set_expiry(path, 0)
    with utils("lock").held(path, "r-ana"):
        assert held_by(path) == "r-ana"
        set_expiry(path, 0)
    assert held_by(path) == "r-ana"


def test_what_fails_under_the_lock_keeps_it(path: Path) -> None:
    lock(path, ANA)
    with pytest.raises(ZeroDivisionError), utils("lock").held(path, "r-ana"):
        raise ZeroDivisionError
    assert held_by(path) == "r-ana"


def test_a_lock_of_an_older_version_is_held_without_a_lease_of_its_own(path: Path) -> None:
    lock(path, ANA)
    found = {key: value for key, value in json.loads(path.read_text()).items() if key != "lease"}
    path.write_text(json.dumps(found))
    assert use(path, ANA) == found["expires"]


def test_a_run_renews_a_lock_whose_lease_was_over_when_nobody_has_taken_it(path: Path) -> None:
    lock(path, ANA, lease=1000)
    set_expiry(path, 0)
    use(path, ANA)
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


def test_a_run_that_goes_on_elsewhere_keeps_a_lock_whose_lease_is_over(path: Path) -> None:
    lock(path, ANA, lease=-1)
    for check in (True, False):
        assert "this host is locked by ana on build-1" in lock(path, BOB, alive=["r-eve", "r-ana"], check=check)["msg"]
    assert utils("lock").parse(path.read_text())["run"] == "r-ana"
    assert lock(path, BOB, alive=["r-eve"])["replaced"]["run"] == "r-ana"


def test_a_run_that_goes_on_elsewhere_can_be_replaced(path: Path) -> None:
    lock(path, ANA, lease=-1)
    assert not lock(path, BOB, alive=["r-ana"], replace="r-ana").get("failed")


@pytest.mark.parametrize("check", [False, True])
def test_a_run_waits_for_the_lock_of_another(path: Path, check: bool) -> None:
    lock(path, ANA, lease=1.5)
    assert not lock(path, BOB, wait=PATIENCE, check=check).get("failed")
    assert held_by(path) == ("" if check else "r-bob")


def test_a_run_gives_up_when_it_has_waited(path: Path) -> None:
    lock(path, ANA)
    assert "wait for that run with -e tornado_app_lock_wait=SECONDS" in lock(path, BOB, wait=0.1)["msg"]
    assert held_by(path) == "r-ana"


def test_the_mark_tells_whether_anybody_was_here_in_between(path: Path) -> None:
    """As state_info has seen it."""

    def seen() -> str:
        return str(run_module("state_info", apps={}, lock=str(path))["host"]["lock_mark"])

    assert seen() == ""
    assert lock(path, ANA)["mark"] == ""
    before = seen()
    lock(path, ANA, "absent")
    lock(path, BOB)
    lock(path, BOB, "absent")
    between = seen()
    assert between != before
    assert seen() == lock(path, ANA, check=True)["mark"] == lock(path, ANA)["mark"] == between
    assert seen() != between


def test_a_run_whose_lock_was_taken_over_stops(path: Path) -> None:
    lock(path, ANA)
    lock(path, BOB, replace="r-ana")
    assert refused(path, ANA).startswith("this host's lock is now that of bob on build-1 (process 815), running restart since ")
    assert held_by(path) == "r-bob"


def test_it_stops_though_the_other_run_has_ended_meanwhile(path: Path) -> None:
    """What this one knows of the host is not true any more."""
    lock(path, ANA)
    lock(path, BOB, replace="r-ana")
    lock(path, BOB, "absent")
    assert refused(path, ANA) == "this host's lock is now free"
    assert held_by(path) == ""


def test_it_stops_though_the_other_run_has_died_meanwhile(path: Path) -> None:
    lock(path, ANA)
    lock(path, BOB, replace="r-ana", lease=-1)
    assert "that of bob" in refused(path, ANA)


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


NUMBERS = ("NaN", "Infinity", "1e300", "9" * 400, '"9999999999"', "true", "null", "[]")


@pytest.mark.parametrize(
    "text",
    ["null", "[]", "7", "{}", '{"run": "r-ana"}', '{"expires": 9999999999}', '{"run": 7, "expires": 9999999999}', "[" * 9000]
    + [f'{{"run": "r-ana", "expires": {number}}}' for number in NUMBERS],
)
def test_what_is_no_lock_is_nobodys(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    assert not lock(path, BOB).get("failed")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_lock_is_held_whatever_else_it_says(path: Path, number: str) -> None:
    lock(path, ANA)
    expires = json.loads(path.read_text())["expires"]
    path.write_text(f'{{"run": "r-ana", "expires": {expires}, "lease": {number}, "pid": {number}, "user": {number}}}')
    assert utils("lock").read(path).keys() == {"run", "expires", "user"}
    assert "this host is locked by " in lock(path, BOB)["msg"]
    assert use(path, ANA) == expires
    assert not lock(path, ANA, "absent").get("failed")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)


@given(said=st.dictionaries(st.sampled_from(["run", "expires", "lease", "pid", "user", "since"]), anything) | anything)
def test_whatever_a_lock_says_can_be_worked_with(tmp_path_factory: pytest.TempPathFactory, said: Any) -> None:
    path = tmp_path_factory.mktemp("l") / "lock"
    path.write_text(json.dumps(said))
    found = utils("lock").read(path)
    assert not found or found["expires"] > time.time()
    assert isinstance(utils("lock").holder(found), str)
    refusal = plugin("modules", "run_lock").refusal({"run": "r-bob", "replace": "", "alive": ["r-ana"]}, utils("lock").said(path))
    assert refusal == "" or refusal.startswith("this host is locked by ")


whole = b'{"run": "r-ana", "expires": 9999999999, "lease": 60, "pid": 7}'


@given(content=st.binary(max_size=60), at=st.integers(0, len(whole)), gone=st.integers(0, 9))
def test_whatever_bytes_a_lock_has_it_is_read(tmp_path_factory: pytest.TempPathFactory, content: bytes, at: int, gone: int) -> None:
    path = tmp_path_factory.mktemp("l") / "lock"
    for written in (content, whole[:at] + content + whole[at + gone :]):
        path.write_bytes(written)
        found = utils("lock").said(path)
        assert not found or isinstance(found["run"], str)
        assert isinstance(utils("lock").holder(found), str)


def test_a_shorter_lock_leaves_nothing_of_a_longer_one(path: Path) -> None:
    lock(path, {**ANA, "operation": "x" * 1000}, lease=-1)
    lock(path, BOB)
    assert json.loads(path.read_text())["operation"] == "restart"


def test_check_mode_refuses_and_takes_nothing(path: Path) -> None:
    assert not lock(path, ANA, check=True).get("failed")
    assert not path.parent.exists()
    lock(path, ANA)
    before = path.read_text()
    assert lock(path, BOB, check=True)["failed"]
    assert not lock(path, ANA, check=True).get("failed")
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
