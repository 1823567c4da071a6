"""prune_releases: old releases go, what is or may soon be needed stays."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import run_module


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An app."""
    return make_home(tmp_path / "shop")


def make_home(home: Path) -> Path:
    """An app with five releases, r1 the oldest; r1 and r2 share an environment, and blue runs r5."""
    for name in ("releases", "environments", "slots"):
        (home / name).mkdir(parents=True)
    for number, environment in enumerate(("e1", "e1", "e3", "e4", "e5"), 1):
        add_release(home, f"r{number}", environment)
    point(home, "blue", "r5")
    return home


def add_release(home: Path, name: str, environment: str) -> None:
    """A release as the role installs it, with the time of its renaming after that of all others."""
    unpacked = home / "releases" / f".{name}"
    (unpacked / "static").mkdir(parents=True)
    (unpacked / "static/app.css").write_text("a {}\n")
    age = len(list((home / "releases").iterdir()))
    os.utime(unpacked, (age, 2_000_000_000 - age))  # the times of an archive tell nothing
    before = max((path.stat().st_ctime_ns for path in (home / "releases").iterdir()), default=0)
    while True:  # the kernel's clock for files ticks slowly
        unpacked.rename(home / "releases" / name)
        if (home / "releases" / name).stat().st_ctime_ns > before:
            break
        (home / "releases" / name).rename(unpacked)
        time.sleep(0.001)
    (home / "releases" / f"{name}.json").write_text(json.dumps({"release": name, "environment": environment}))
    (home / "environments" / environment / "bin").mkdir(parents=True, exist_ok=True)
    (home / "environments" / environment / ".complete").touch()


def point(home: Path, slot: str, release: str) -> None:
    (home / "slots" / slot).symlink_to(f"../releases/{release}")


def note(home: Path, slot: str, *served: str, withdrawn: str = "") -> None:
    """The history of a slot, the latest first."""
    entries = [{"release": release, "withdrawn": release == withdrawn} for release in served]
    (home / "slots" / f"{slot}.history.json").write_text(json.dumps({"sequence": 1, "releases": entries}))


def prune(home: Path, keep: int, *others: Path, **options: Any) -> dict[str, Any]:
    lock = home.with_name("lock")
    run_module("run_lock", path=str(lock), run="r-test")
    homes = [str(home), *map(str, others)]
    result = run_module("prune_releases", homes=homes, lock=str(lock), run="r-test", keep=keep, **options)
    assert not result.get("failed")
    return result


def left(home: Path) -> dict[str, list[str]]:
    return {name: sorted(path.name for path in (home / name).iterdir()) for name in ("releases", "environments")}


def releases(*names: str) -> list[str]:
    return sorted([*names, *(f"{name}.json" for name in names)])


def removed(result: Mapping[str, Any]) -> set[str]:
    return {Path(path).name for path in result["removed"]}


def test_keeps_the_newest_where_nothing_tells_what_was_live(home: Path) -> None:
    result = prune(home, 2)
    assert left(home) == {"releases": releases("r4", "r5"), "environments": ["e4", "e5"]}
    assert removed(result) == {*releases("r1", "r2", "r3"), "e1", "e3"}
    assert result["changed"]


def test_age_is_the_time_of_installation(home: Path) -> None:
    """Names do not tell it."""
    add_release(home, "r0", "e0")
    prune(home, 2)
    assert left(home)["releases"] == releases("r0", "r5")


def test_keeps_what_was_live_last_however_old(home: Path) -> None:
    note(home, "blue", "r5", "r1", "r3", "r2")
    prune(home, 3)
    assert left(home) == {"releases": releases("r1", "r3", "r5"), "environments": ["e1", "e3", "e5"]}


def test_what_never_was_live_comes_after_what_was(home: Path) -> None:
    note(home, "blue", "r5", "r1")
    prune(home, 3)
    assert left(home)["releases"] == releases("r1", "r4", "r5")


def test_what_was_rolled_back_from_counts_as_live_at_its_time(home: Path) -> None:
    note(home, "blue", "r5", "r2", "r3", withdrawn="r2")
    prune(home, 3)
    assert left(home)["releases"] == releases("r2", "r3", "r5")


@pytest.mark.parametrize("keep", [1, 2])
def test_what_a_rollback_goes_to_stays_however_few_are_kept(home: Path, keep: int) -> None:
    note(home, "blue", "r5", "r4", "r1", withdrawn="r4")
    prune(home, keep)
    assert left(home)["releases"] == releases("r1", "r5")


def test_the_history_of_the_live_slot_decides(home: Path) -> None:
    point(home, "green", "r4")
    note(home, "blue", "r5", "r1")
    note(home, "green", "r4", "r5", "r2")
    (home / "live").mkdir()
    (home / "live/green").touch()
    prune(home, 3)
    assert left(home)["releases"] == releases("r2", "r4", "r5")


def test_releases_that_are_gone_take_no_place(home: Path) -> None:
    note(home, "blue", "r5", "gone", "r1")
    prune(home, 2)
    assert left(home)["releases"] == releases("r1", "r5")


@pytest.mark.parametrize("text", ["", "{", "null", '{"sequence": 1}'])
def test_a_half_written_history_tells_nothing(home: Path, text: str) -> None:
    (home / "slots/blue.history.json").write_text(text)
    prune(home, 2)
    assert left(home)["releases"] == releases("r4", "r5")


def test_environments_that_are_shared_stay(home: Path) -> None:
    prune(home, 4)
    assert left(home) == {"releases": releases("r2", "r3", "r4", "r5"), "environments": ["e1", "e3", "e4", "e5"]}


def test_releases_of_slots_stay_however_old(home: Path) -> None:
    point(home, "green", "r1")
    prune(home, 2)
    assert left(home) == {"releases": releases("r1", "r5"), "environments": ["e1", "e5"]}


@pytest.mark.parametrize("keep", [1, 0, -3])
def test_releases_of_slots_stay_however_few_are_kept(home: Path, keep: int) -> None:
    point(home, "green", "r2")
    prune(home, keep)
    assert left(home) == {"releases": releases("r2", "r5"), "environments": ["e1", "e5"]}


def test_links_of_slots_may_be_absolute(home: Path) -> None:
    (home / "slots/green").symlink_to(home / "releases/r1")
    prune(home, 1)
    assert left(home)["releases"] == releases("r1", "r5")


def test_leftovers_of_interrupted_installs_go(home: Path) -> None:
    (home / "releases/.r6/static").mkdir(parents=True)
    (home / "releases/r7.json").write_text("{}")
    (home / "environments/e9/bin").mkdir(parents=True)
    result = prune(home, 5)
    assert removed(result) == {".r6", "r7.json", "e9"}
    assert left(home)["releases"] == releases("r1", "r2", "r3", "r4", "r5")
    assert left(home)["environments"] == ["e1", "e3", "e4", "e5"]


@pytest.mark.parametrize("note", [None, "", "{}", "[", '{"environment": "e9"}'])
def test_a_release_without_a_proper_note_stays(home: Path, note: str | None) -> None:
    """Its environment is made again when it is needed again."""
    path = home / "releases/r4.json"
    if note is None:
        path.unlink()
    else:
        path.write_text(note)
    prune(home, 5)
    assert (home / "releases/r4").is_dir()
    assert left(home)["environments"] == ["e1", "e3", "e5"]


def test_links_are_removed_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (home / "environments/e9").symlink_to(tmp_path / "precious")
    (home / "releases/r1/out").symlink_to(tmp_path / "precious")
    prune(home, 1)
    assert (tmp_path / "precious").is_dir()
    assert left(home) == {"releases": releases("r5"), "environments": ["e5"]}


def test_twice_is_once(home: Path) -> None:
    prune(home, 3)
    again = prune(home, 3)
    assert (again["changed"], again["removed"]) == (False, [])


def test_check_mode_removes_nothing(home: Path) -> None:
    before = left(home)
    told = prune(home, 2, check=True)
    assert left(home) == before
    assert told["removed"] == prune(home, 2)["removed"]


def test_each_app_keeps_its_own(home: Path) -> None:
    other, fresh = make_home(home.with_name("blog")), home.with_name("nowhere")
    note(other, "blue", "r5", "r1")
    result = prune(home, 2, fresh, other)
    assert left(home) == {"releases": releases("r4", "r5"), "environments": ["e4", "e5"]}
    assert left(other) == {"releases": releases("r1", "r5"), "environments": ["e1", "e5"]}
    assert [Path(path).parents[1] for path in result["removed"]] == [home] * 8 + [other] * 8


def test_fresh_host(tmp_path: Path) -> None:
    assert prune(tmp_path / "nowhere", 5)["removed"] == []


@pytest.mark.parametrize("doomed", ["releases/r1/static", "environments/e1/bin"])
def test_interrupted_removal_leaves_nothing_half(home: Path, doomed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left has no name that a later run would take for whole, and goes with the next one."""
    (home / doomed / "deep").mkdir(parents=True)  # not in the release itself, which would make it new
    name = Path(doomed).parent.name
    command = home.parent / "bin/rm"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\ncase "$*" in */.{name}.removed*) exit 1 ;; esac\nexec /bin/rm "$@"\n')
    command.chmod(0o755)
    with monkeypatch.context() as interrupted:
        interrupted.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
        with pytest.raises(subprocess.CalledProcessError, match=name):
            prune(home, 3)
    assert not (home / doomed).parent.exists()
    assert list((home / doomed).parents[1].glob(".*"))
    prune(home, 3)
    assert left(home) == {"releases": releases("r3", "r4", "r5"), "environments": ["e3", "e4", "e5"]}


def test_releases_go_before_their_environments(home: Path) -> None:
    """No release is ever there whose environment was removed."""
    found = [Path(path).parent.name for path in prune(home, 2)["removed"]]
    assert found == sorted(found, reverse=True)
    assert set(found) == {"releases", "environments"}


def test_a_run_whose_lock_was_taken_over_removes_nothing(tmp_path: Path) -> None:
    run_module("run_lock", path=str(tmp_path / "lock"), run="r-other")
    result = run_module("prune_releases", homes=[str(tmp_path)], lock=str(tmp_path / "lock"), run="r-test", keep=1)
    assert result["failed"]
    assert "nothing is removed: this host's lock is now that of" in result["msg"]


def test_a_name_that_is_not_utf_8_goes_and_is_told(home: Path) -> None:
    strange = home / "releases" / os.fsdecode(b"f\xfcr")
    strange.mkdir()
    assert str(home / "releases/f\ufffdr") in prune(home, 5)["removed"]
    assert not strange.exists()
