"""Whether a second set of processes fits into the memory of a host: what the kernel says, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import SlotState, State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.memory import second_set_problems
from tests.unit.builders import PLAN, SHOP, WANTED, A, app_state, blue, host_state, planned, process, slot, state
from tests.unit.conftest import OWN, Supervisor, run_module, utils
from tests.unit.test_actions import FLEET, RUN, built, changes, fleet, refusal, releases, releases_refusal

memory, proc = utils("memory"), utils("proc")

MEMINFO = "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    2000000 kB\nSwapFree:         500000 kB\n"
MB, KB = 10**6, 1024


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


# What is left


@pytest.mark.parametrize(
    ("cgroups", "left"),
    [
        ({}, 2_500_000 * KB),
        ({"memory.max": "max\n", "memory.current": "1000\n"}, 2_500_000 * KB),
        ({"memory.max": "900000\n", "memory.current": "700000\n", "memory.stat": "anon 1\ninactive_file 50000\n"}, 250_000),
        ({"memory.max": "900000\n", "memory.current": "950000\n"}, 0),
        ({"memory.max": "9000000000\n", "memory.current": "0\n"}, 2_500_000 * KB),
        (
            {
                "memory/memory.limit_in_bytes": "900000\n",
                "memory/memory.usage_in_bytes": "700000\n",
                "memory/memory.stat": "inactive_file 7\ntotal_inactive_file 50000\n",
            },
            250_000,
        ),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "7\n"}, 2_500_000 * KB),
    ],
    ids=["no container", "no limit", "a limit", "above its limit", "a limit above the machine", "version 1", "version 1 without a limit"],
)
def test_what_a_host_has_left(tmp_path: Path, cgroups: dict[str, str], left: int) -> None:
    tree = write(tmp_path / "proc", {"meminfo": MEMINFO})
    assert memory.available(tree, write(tmp_path / "cgroup", cgroups)) == left


def test_this_machine_has_some_left() -> None:
    assert run_module("state_info", apps={})["host"]["memory"] > MB


# What is used


def test_where_the_share_of_a_process_is_not_told_all_of_it_counts(tmp_path: Path) -> None:
    tree = write(tmp_path, {"7/smaps_rollup": "x [rollup]\nRss: 9 kB\nPss: 5 kB\nPss_Anon: 1 kB\n", "7/status": "VmRSS:\t 9 kB\n"})
    assert memory.of(7, tree) == 5 * KB
    (tree / "7/smaps_rollup").unlink()
    assert memory.of(7, tree) == 9 * KB
    assert memory.of(8, tree) == 0


def test_children_count_and_nobody_elses_processes() -> None:
    code = "import subprocess, sys; x = b'x' * 50_000_000; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    child = "y = b'y' * 50_000_000; print('ready', flush=True); import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, child], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"ready\n"
        families = proc.families()
        try:
            both = memory.used([parent.pid, parent.pid], families, os.getuid(), OWN["unit"])
            assert 100 * MB < both < 150 * MB  # each once
            assert memory.used([parent.pid], families, os.getuid() + 1, OWN["unit"]) == 0
            assert memory.used([parent.pid], families, os.getuid(), "other.service") == 0
        finally:
            for pid in families[parent.pid]:
                os.kill(pid, 9)


def test_a_slot_tells_what_its_processes_use(supervisor: Supervisor) -> None:
    one, none = supervisor.write_slot("blue", ["200", "200"]), supervisor.write_slot("green", ["crash"])
    supervisor.group(one, "started")
    app = {**supervisor.app, "slots": {"blue": one, "green": none}}
    slots = run_module("state_info", apps={"shop": app})["apps"]["shop"]["slots"]
    assert slots["blue"]["memory"] > MB
    assert slots["green"]["memory"] == 0


# What is refused


def host(left: int, *, apps: Mapping[str, Any] | None = None, **slots: SlotState) -> State:
    found = apps or {"shop": app_state(slots=slots)}
    return {"host": host_state(memory=left), "apps": dict(found), "differences": []}


def problems(found: State, *starting: str, apps: Any = PLAN) -> list[str]:
    return second_set_problems(apps, found, starting, "web-1")


def test_a_second_set_that_does_not_fit_is_refused_with_the_ways_out() -> None:
    assert problems(host(1100 * MB, blue=blue(memory=3200 * MB)), "shop") == [
        "tornado_apps.shop.processes: web-1 has 1.1 GB of memory left; a second set of 2 processes needs 3.2 GB, as the live ones use. "
        "Lower processes, give the host more memory, or stop the live ones there for the deploy: "
        "sudo python3 /opt/tornado_app/sandboxed.py shop supervisorctl stop 'shop-blue:*'"
    ]


def test_the_ways_out_are_some() -> None:
    full = blue(memory=3200 * MB)
    fewer = planned({"shop": {**SHOP, "processes": 1}})
    assert problems(host(1700 * MB, blue=full), "shop", apps=fewer) == []
    assert problems(host(3200 * MB, blue=full), "shop") == []
    stopped = slot(A, True, tuple({**process(port, "STOPPED"), "pid": 0} for port in (8000, 8001)))
    assert problems(host(0, blue=stopped), "shop") == []


def test_what_gets_no_second_set_needs_no_memory() -> None:
    assert problems(host(0, blue=blue(memory=3200 * MB))) == []
    assert problems(host(0, blue=slot()), "shop") == []


def test_what_an_idle_slot_still_uses_is_free_before_it_is_filled() -> None:
    draining = slot(A, True, (process(9000),), memory=2200 * MB)
    assert problems(host(1000 * MB, blue=blue(memory=3200 * MB), green=draining), "shop") == []


def test_more_processes_need_more_and_forked_ones_are_counted() -> None:
    more = planned({"shop": {**SHOP, "processes": 4}})
    (found,) = problems(host(1000 * MB, blue=blue(memory=900 * MB)), "shop", apps=more)
    assert "a second set of 4 processes needs 1.8 GB" in found
    forking = planned({"shop": {**SHOP, "processes": 4, "listen": "fork"}})
    one = slot(A, True, ({**process(8000), "children": 4},), memory=900 * MB)
    assert problems(host(900 * MB, blue=one), "shop", apps=forking) == []
    assert "needs 900 MB" in problems(host(899 * MB, blue=one), "shop", apps=forking)[0]


def test_all_apps_of_a_run_are_summed() -> None:
    apps = planned({name: {**SHOP, "processes": 2, "server_names": [f"{name}.test"]} for name in ("shop", "api")})
    owns = {name: app_state(slots={"blue": blue(memory=600 * MB)}) for name in apps}
    assert problems(host(1200 * MB, apps=owns), "shop", "api", apps=apps) == []
    found = problems(host(1100 * MB, apps=owns), "shop", "api", apps=apps)
    assert [line.partition(":")[0] for line in found] == ["tornado_apps.shop.processes", "tornado_apps.api.processes"]
    assert all("needs 600 MB, as the live ones use, and all apps of this run 1.2 GB. Lower" in line for line in found)
    assert problems(host(1100 * MB, apps=owns), "api", apps=apps) == []


SAID = "tornado_apps.shop.processes: web-2 has 0 MB of memory left"
FITS, FULL = state(), host(0, blue=blue(memory=MB))


def test_another_release_is_refused_before_anything_changes() -> None:
    (found,) = releases_refusal(fleet(FITS, FULL), "deploy", **built())
    assert found.startswith(SAID)
    same = built(release=A)
    assert releases(fleet(FITS, FULL), "deploy", **same)["hosts"]


def test_other_settings_and_a_restart_are_refused_before_a_slot_is_filled() -> None:
    hosts = fleet(FITS, FULL, compared={"apps": ["shop"]})
    wanted = {name: {"releases": WANTED} for name in hosts}
    for operation in ("deploy", "restart", "rollback"):
        (found,) = refusal("changes", hosts, **FLEET, operation=operation, run=RUN, releases=wanted, compared="compared")
        assert found.startswith(SAID)


def test_where_no_slot_is_filled_nothing_is_refused() -> None:
    assert changes(fleet(FITS, FULL, compared={"apps": []}), compared="compared")["changing"] is False
