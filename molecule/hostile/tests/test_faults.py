"""What fails in an app comes up again without a person. Each test notes what it has cost clients, and how long it took.

A dependency is away for as many seconds as TORNADO_APP_OUTAGE says; `make test-faults` takes five minutes.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterable

import pytest
from testinfra.host import Host

from tests.fleet import Fleet, wait_until
from tests.traffic import KINDS, Record

APP = "patient"
OUTAGE = float(os.environ.get("TORNADO_APP_OUTAGE", "40"))
CALM = 3  # seconds for which clients come after all was well again
ASKED = 12  # requests that reach all processes
LEAK = 400  # megabytes: above the setting memory_limit, and below what the host has
AWAY = f"/srv/{APP}/shared/away"


class Patient:
    """The app on its host."""

    def __init__(self, fleet: Fleet, note: Callable[[str, int, int, float], None]) -> None:
        self.fleet = fleet
        self.note = note
        ((self.name, self.host),) = fleet.hosts.items()
        self.processes = int(fleet.apps[APP]["processes"])

    def pids(self) -> frozenset[int]:
        """Its web processes, as the kernel has them."""
        return self.fleet.state(APP)[self.name].pids

    def answering(self) -> set[int]:
        """The processes that answer through nginx; empty when a request fails."""
        found = set()
        for _ in range(ASKED):
            answer = self.fleet.get(self.name, "/api/info", APP)
            if answer.status != 200:
                return set()
            found.add(int(json.load(answer)["pid"]))
        return found

    def is_well(self, without: Iterable[int] = ()) -> bool:
        """Whether all processes answer, and none of these is among them."""
        found = self.answering()
        return len(found) == self.processes and not found & set(without)

    def suffer(self, fault: str, cause: Callable[[], Iterable[int]]) -> tuple[list[Record], float]:
        """Let clients come while something happens, until all is well; the requests that failed, and when it had happened.

        `cause` returns the processes that do not serve any more.
        """
        with self.fleet.traffic() as traffic:
            lost = cause()
            caused = time.time()
            wait_until(lambda: self.is_well(lost))
            well = time.time()
            time.sleep(CALM)
        failed = [record for record in traffic.account.records if record.failed]
        self.note(fault, len(traffic.account.records), len(failed), well - caused)
        print(f"{fault}: {len(failed)} of {len(traffic.account.records)} requests failed, well again after {well - caused:.1f} s")
        assert [str(record) for record in failed if record.start > well] == []
        return failed, caused


@pytest.fixture(scope="module")
def patient(fleet: Fleet, note: Callable[[str, int, int, float], None]) -> Patient:
    """The app, with all processes answering."""
    found = Patient(fleet.only(APP), note)
    wait_until(found.is_well)
    return found


def one_of(patient: Patient) -> int:
    return min(patient.pids())


def send(patient: Patient, signal: str, pids: Iterable[int]) -> list[int]:
    """Send a signal to processes; these."""
    found = list(pids)
    patient.host.check_output(f"kill -{signal} {' '.join(map(str, found))}")
    return found


def test_a_process_is_killed(patient: Patient) -> None:
    failed, caused = patient.suffer("a process killed -9", lambda: send(patient, "KILL", [one_of(patient)]))
    # nginx asks another one, but for what the dead one had already got: also by a kept connection whose end nginx had not read yet,
    # of what may not be asked twice.
    assert {record.kind for record in failed if record.start > caused} <= {"post"}


def test_all_processes_are_killed_at_once(patient: Patient) -> None:
    patient.suffer("all processes killed -9 at once", lambda: send(patient, "KILL", patient.pids()))


def test_supervisord_is_killed(patient: Patient) -> None:
    def kill() -> frozenset[int]:
        before = patient.pids()
        patient.host.check_output(f"kill -9 $(systemctl show --property=MainPID --value {APP})")
        return before

    patient.suffer("supervisord killed -9", kill)


def test_a_process_hangs(patient: Patient) -> None:
    hanging, *others = sorted(patient.pids())
    patient.suffer("a process hangs", lambda: send(patient, "STOP", [hanging]))
    assert set(others) <= patient.pids()  # it alone was replaced


def leak(patient: Patient) -> list[int]:
    """Let a process take memory, asked without nginx, which would ask others when it breaks the connection; that process."""
    port = 8400 + (1000 if patient.fleet.state(APP)[patient.name].slot == "green" else 0)
    found = patient.host.check_output(f"pgrep --uid {APP} --full -- --port={port}").split()
    url = f"http://127.0.0.1:{port}/leak?megabytes={LEAK}"
    patient.host.run(f"python3 -c 'import urllib.request; urllib.request.urlopen(\"{url}\").read()'")
    return [int(pid) for pid in found]


def test_a_process_leaks(patient: Patient) -> None:
    before = patient.pids()
    failed, _ = patient.suffer(f"a process takes {LEAK} MB", lambda: leak(patient))
    assert len(before & patient.pids()) == patient.processes - 1
    assert len(failed) <= len(KINDS)  # it is asked to end: at most what was in flight


def test_a_dependency_is_away(patient: Patient) -> None:
    told = f"journalctl --unit={APP} --quiet --since=@{patient.host.check_output('date +%s')}"

    def be_away() -> frozenset[int]:
        before = patient.pids()
        patient.host.check_output(f"touch {AWAY}")
        try:
            send(patient, "KILL", before)
            time.sleep(OUTAGE)
            # By now supervisord has given the processes up, or nothing but its own patience is proven. On a busy machine one that ends at
            # once may have taken as long to begin as supervisord wants it to run.
            wait_until(lambda: "entered FATAL state" in patient.host.check_output(told))
            assert patient.answering() == set()
        finally:
            patient.host.check_output(f"rm {AWAY}")
        return before

    patient.suffer(f"a dependency away for {OUTAGE:.0f} s", be_away)


def memory_cgroup(host: Host) -> str:
    """The directory in which the kernel has a limit for the memory of the unit; empty where it has none."""
    limits = " -o ".join(f"-path '*/{APP}.service/memory.{name}'" for name in ("max", "limit_in_bytes"))
    for path in host.check_output(f"find /sys/fs/cgroup \\( {limits} \\) -writable").split():
        folder = str(path).rpartition("/")[0]
        used = host.check_output(f"cat {folder}/memory.current {folder}/memory.usage_in_bytes 2>/dev/null || true")
        wanted = int(used.split()[0]) + LEAK * 1024 * 1024 // 2
        host.check_output(f"systemctl set-property --runtime {APP} MemoryMax={wanted} MemorySwapMax=0")
        if abs(int(host.check_output(f"cat {path}").replace("max", "0")) - wanted) < 2**20:
            return folder
    return ""


def test_the_kernel_kills_a_process_for_its_memory(patient: Patient) -> None:
    """A container on a machine with cgroup v1 may have no limits of memory: there the kernel ends it for its time on the CPU."""
    folder = memory_cgroup(patient.host)
    kills = f"cat {folder}/memory.events {folder}/memory.oom_control 2>/dev/null | awk '$1 == \"oom_kill\" {{print $2}}'"
    try:
        if folder:
            before = int(patient.host.check_output(kills))
            patient.suffer("a process killed by the kernel for memory", lambda: leak(patient))
            assert int(patient.host.check_output(kills)) > before
        else:
            patient.suffer("a process killed by the kernel, no OOM here", lambda: out_of_time(patient))
    finally:
        patient.host.check_output(f"systemctl set-property --runtime {APP} MemoryMax=infinity MemorySwapMax=infinity")


def out_of_time(patient: Patient) -> list[int]:
    """Give a process no more time than it has had, and wait until the kernel has ended it."""
    pid = one_of(patient)
    ticks = sum(map(int, patient.host.check_output(f"awk '{{print $14, $15}}' /proc/{pid}/stat").split()))
    seconds = max(1, math.floor(ticks / 100))
    patient.host.check_output(f"prlimit --pid={pid} --cpu={seconds}:{seconds}")
    wait_until(lambda: patient.answering() is not None and pid not in patient.pids())
    return [pid]
