"""How a run names itself to others, and how it finds out that another one has ended."""

from __future__ import annotations

import getpass
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.loading import ROLE
from ansible_collections.tornado_app.deploy.plugins.lookup.current_run import LookupModule
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import run
from tests.unit.builders import SHOP, planned
from tests.unit.conftest import process, utils, wait_until

lookup = LookupModule()


def told(*locks: dict[str, Any]) -> dict[str, Any]:
    (found,) = lookup.run(list(locks))
    return dict(found)


def lock(pid: int, **given: Any) -> dict[str, Any]:
    """A lock that a run of this machine holds."""
    return {"run": "r-1", "machine": told()["machine"], "pid": pid, **given}


def test_a_run_tells_who_runs_it_where() -> None:
    found = told()
    assert (found["controller"], found["user"], found["pid"]) == (socket.gethostname(), getpass.getuser(), os.getpid())
    assert found["machine"].startswith(f"{socket.gethostname()}-")
    assert found["ended"] == []
    assert told() == found


def report(results: Any) -> None:
    results.put(told()["pid"])


def test_a_worker_tells_the_process_of_the_run() -> None:
    """Ansible's tasks run in processes that end before the run does."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    worker = context.Process(target=report, args=(results,))
    worker.start()
    worker.join()
    assert results.get() == os.getpid()


def test_a_run_whose_process_is_gone_has_ended() -> None:
    with process(sys.executable, "-c", "pass") as short:
        short.wait()
    assert told(lock(short.pid))["ended"] == ["r-1"]


@pytest.mark.parametrize("columns", [1000, 20])
def test_a_run_whose_process_is_there_has_not_however_long_its_path_and_narrow_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    script = tmp_path / "ansible-playbook"
    script.write_text("import time; print(flush=True); time.sleep(600)")
    with process(sys.executable, script, "site.yml", stdout=subprocess.PIPE) as living:
        assert living.stdout
        living.stdout.readline()
        assert told(lock(living.pid))["ended"] == []


def test_an_id_that_another_program_has_by_now_is_that_of_a_run_that_has_ended() -> None:
    assert told(lock(1))["ended"] == ["r-1"]


def test_a_run_that_nobody_has_waited_for_has_ended_though_its_process_has_an_entry(tmp_path: Path) -> None:
    (tmp_path / "ansible-playbook").symlink_to(shutil.which("true") or "")
    with subprocess.Popen([str(tmp_path / "ansible-playbook")]) as zombie:
        wait_until(lambda: utils("proc").read(Path(f"/proc/{zombie.pid}/stat")).rpartition(")")[2].split()[0] == "Z", "its end")
        assert told(lock(zombie.pid))["ended"] == ["r-1"]


def test_nothing_is_known_of_the_processes_of_another_machine() -> None:
    """Nor of one that has this machine's name."""
    with process(sys.executable, "-c", "pass") as short:
        short.wait()
    for machine in ("build-2-0123456789ab", f"{socket.gethostname()}-0123456789ab", None):
        assert told(lock(short.pid, machine=machine))["ended"] == []


def test_a_free_lock_is_nobodys() -> None:
    assert told({}, {})["ended"] == []


def test_each_lock_counts_for_itself() -> None:
    with process(sys.executable, "-c", "pass") as short:
        short.wait()
    assert told(lock(short.pid), {}, lock(short.pid, run="r-2"), lock(short.pid, run="r-3", machine="elsewhere"))["ended"] == ["r-1", "r-2"]


CONTROLLER = {"controller": "build-1", "machine": "build-1-0123456789ab", "user": "ana", "pid": 4711, "ended": ["r-1"]}
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_holder_has_all_that_a_lock_tells() -> None:
    assert run.holder(CONTROLLER, ["deploy"], NOW) == {
        "run": "20260102T030405Z-build-1-4711",
        "controller": "build-1",
        "machine": "build-1-0123456789ab",
        "user": "ana",
        "pid": 4711,
        "operations": ["deploy"],
        "operation": "deploy",
        "since": "2026-01-02T03:04:05Z",
    }


@pytest.mark.parametrize(
    ("operations", "shown"),
    [
        (["provision", "deploy", "verify"], "site.yml"),
        (["deploy"], "deploy"),
        (["provision", "deploy"], "provision, deploy"),
        (["rollback"], "rollback"),
    ],
)
def test_an_operation_is_what_was_typed(operations: list[str], shown: str) -> None:
    assert run.holder(CONTROLLER, operations, NOW)["operation"] == shown


def test_a_run_without_tags_is_called_by_its_playbook() -> None:
    """The operations that are carried out then are the role's own default."""
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    assert run.holder(CONTROLLER, defaults["tornado_app_operations"], NOW)["operation"] == "site.yml"


def test_a_run_says_of_itself_what_is_compared_later() -> None:
    """A lock's machine and process are those that the lookup compares."""
    held = run.holder(told(), ["deploy"], NOW)
    assert (held["machine"], held["pid"]) == (told()["machine"], os.getpid())


def test_a_lease_is_longer_than_what_the_apps_may_take() -> None:
    """However many hosts there are: a run that waits for others is alive on those."""
    assert run.lease({}, 0) == run.LEASE
    assert run.lease({}, 30) == run.LEASE + 30
    patient = {"health": {"timeout": 300}, "drain": {"timeout": 3600}, "stop_timeout": 45}
    two = planned({"shop": SHOP, "api": {**SHOP, "port": 8100, "server_names": ["api.test"], **patient}})
    assert run.lease(two, 30) == run.LEASE + 30 + 300 + 3600 + 45
    assert run.lease({"shop": two["shop"]}, 0) == run.LEASE + 60 + 60 + 10
