"""Three ways to bring a new version live, on the same hosts in one run, while clients keep asking all of them.

`make bench-switch` prints a line for each, writes bench/results/switch.json, and draws it (see switch_plot.py). The hosts, four with 64
processes each, are made for it and removed at its end. `python -m bench.switch INVENTORY` takes the test hosts of another inventory.
"""

import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

from testinfra.host import Host

from bench.hosts import hosts, play
from tests.fleet import Fleet
from tests.traffic import Record, Target, Traffic
from tools.process import ROOT, interruptible

APP = "bench"
INVENTORY = ROOT / "bench/switch_inventory"
RESULTS = ROOT / "bench/results/switch.json"
SCRIPT = (ROOT / "bench/ways.sh").read_text()

KINDS = ("keep-alive", "new", "post")
CLIENTS = 4  # of each kind for each host
RATE = 600  # requests a second at most, of all clients together
LIMIT = 1200.0  # seconds after which the clients end in any case
CALM = 5.0  # seconds of load before and after a change
STEP = 0.1  # seconds of one point of the series
SAMPLE = 5.0  # seconds between two looks at the memory


class Way(NamedTuple):
    """A way to bring a release live: steps of ways.sh, each on all hosts at the same time; without any, a deploy by the role."""

    name: str
    before: tuple[str, ...] = ()  # not measured, nor is what follows it
    steps: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


WAYS = (
    Way("this role"),
    Way("restart one by one", before=("use-defaults",), steps=("restart",), after=("after-restart",)),
    Way("upstream rewrite + reload", steps=("start-beside", "reload"), after=("after-reload",)),
)


class Bench:
    """The hosts, the app on them, and its source."""

    def __init__(self, inventory: Path, folder: Path) -> None:
        self.inventory = inventory
        self.folder = folder
        self.source = folder / "app"
        shutil.copytree(ROOT / "bench/switch_app", self.source)
        shutil.copy(ROOT / "files/app/requirements.txt", self.source)
        self.fleet = Fleet(inventory, self.source, {APP: {}})
        self.replaced = ""  # the release that was live before the last deploy: it is still on the disks

    def play(self, *arguments: str) -> float:
        """Run site.yml; return the seconds it took."""
        return play(self.inventory, "site.yml", "--extra-vars", f"tornado_app_bench_source={self.source}", *arguments).seconds

    def deploy(self) -> float:
        """Let the role deploy changed code; return the seconds it took."""
        self.replaced = self.fleet.release()
        self.fleet.change(f"after {self.replaced}")
        return self.play("--tags", "deploy")

    def step(self, *names: str) -> list[list[float]]:
        """Do steps of ways.sh, each on all hosts at the same time; return the numbers that they print, a list for each host."""

        def on(host: Host, name: str) -> list[float]:
            return [float(line) for line in host.check_output("sh -c %s ways.sh %s %s %s", SCRIPT, name, APP, self.replaced).split()]

        found: list[list[float]] = [[] for _ in self.fleet.hosts]
        with ThreadPoolExecutor(len(self.fleet.hosts)) as pool:
            for name in names:
                for numbers, more in zip(found, pool.map(on, self.fleet.hosts.values(), repeat(name)), strict=True):
                    numbers += more
        return found

    def memory(self) -> tuple[float, float]:
        """Memory of the app's processes and of all processes, of all hosts together, in MB."""
        app, everything = zip(*self.step("memory"), strict=True)
        return 1024 * sum(app) / 1e6, 1024 * sum(everything) / 1e6

    @contextmanager
    def traffic(self) -> Iterator[Traffic]:
        """Clients of all hosts, some seconds longer than the block at both ends."""
        targets = [
            Target(f"{name} {number}", address, address) for name, address in self.fleet.addresses.items() for number in range(CLIENTS)
        ]
        traffic = Traffic(targets, self.folder, limit=LIMIT, interval=len(targets) * len(KINDS) / RATE, kinds=KINDS)
        with traffic:
            time.sleep(CALM)
            yield traffic
            time.sleep(CALM)


class Change(NamedTuple):
    """A change that was made, and what the clients noticed of it. Times are seconds since 1970."""

    start: float
    seconds: float
    moments: list[list[float]]  # for each host when it went over to the new release, or when parts of it did
    old: str
    records: list[Record]


def change(bench: Bench, way: Way) -> Change:
    """Bring another release live in one way, from where a deploy by the role ends, and put things back."""
    bench.deploy()
    old = bench.fleet.release()
    bench.step(*way.before)
    with bench.traffic() as traffic:
        start = time.time()
        if way.steps:
            moments = bench.step(*way.steps)
            seconds = time.time() - start
        else:
            seconds = bench.deploy()
            moments = [[switched] for _, switched in bench.fleet.look()[APP].values()]
    bench.step(*way.after)
    return Change(start, seconds, moments, old, traffic.account.records)


def cause(record: Record) -> str:
    """What failed, without addresses: the status of the answer or the name of the innermost error."""
    return str(record.status) if record.status else (re.findall(r"\w*Error", record.error) or [record.error])[-1]


def figures(name: str, change: Change) -> dict[str, Any]:
    """What is told of a change: figures, and series of points `STEP` seconds apart, from `CALM` seconds before it to as many after it."""
    good = [record for record in change.records if not record.failed]
    failed = [record for record in change.records if record.failed]
    old = [record.end for record in good if record.release == change.old]
    new = [record.end for record in good if record.release != change.old]
    took = statistics.quantiles([1000 * (record.end - record.start) for record in good], n=100)
    first, last = min(min(host) for host in change.moments), max(max(host) for host in change.moments)

    def series(moments: list[float]) -> list[int]:
        count = Counter(int((moment - change.start + CALM) // STEP) for moment in moments)
        return [count[point] for point in range(round((change.seconds + 2 * CALM) / STEP))]

    return {
        "name": name,
        "requests": len(change.records),
        "failed": len(failed),
        "failures": Counter(f"{record.kind}: {cause(record)}" for record in failed),
        "window_seconds": round(max(old) - min(new), 3),
        "switches_seconds": round(last - first, 3),
        "change_seconds": round(change.seconds, 1),
        "median_ms": round(took[49], 1),
        "p99_ms": round(took[98], 1),
        "moments": [[round(moment - change.start, 2) for moment in host] for host in change.moments],
        "points_start": -CALM,
        "points_seconds": STEP,
        "old_answers": series(old),
        "new_answers": series(new),
        "failed_requests": series([record.end for record in failed]),
    }


def most_memory(bench: Bench) -> tuple[float, float]:
    """The most memory that a deploy takes, in MB: of the app's processes, and of all. Both slots run for a part of it."""
    with ThreadPoolExecutor(1) as pool:
        deploy = pool.submit(bench.deploy)
        samples = [bench.memory()]
        while not deploy.done():
            time.sleep(SAMPLE)
            samples.append(bench.memory())
        deploy.result()
    app, everything = zip(*samples, strict=True)
    return max(app), max(everything)


def versions(bench: Bench) -> dict[str, str]:
    """What was measured, on the hosts and on the controller."""
    host = next(iter(bench.fleet.hosts.values()))
    commands = {
        "host": ". /etc/os-release; echo $PRETTY_NAME",
        "nginx": "nginx -v 2>&1 | cut -d/ -f2",
        "python": "python3 --version | cut -d' ' -f2",
        "tornado": f"/srv/{APP}/environments/*/bin/python -c 'import tornado; print(tornado.version)'",
        "supervisor": "/opt/tornado_app/environments/*/bin/supervisord --version",
    }
    found = {name: str(host.check_output(command)) for name, command in commands.items()}
    return {**found, "ansible-core": version("ansible-core")}


def told(way: dict[str, Any]) -> str:
    """One line for a person."""
    return (
        f"{way['name']:<26} {way['requests']:>8,} requests {way['failed']:>6,} failed   both releases answer for "
        f"{way['window_seconds']:.2f} s   hosts switch within {way['switches_seconds']:.2f} s   {way['change_seconds']:.0f} s in all"
    )


def main() -> None:
    interruptible()
    inventory = Path(sys.argv[1]).resolve() if sys.argv[1:] else INVENTORY
    with hosts(inventory), tempfile.TemporaryDirectory() as folder:
        bench = Bench(inventory, Path(folder))
        bench.play()
        processes = [len(state.pids) for state in bench.fleet.state(APP).values()]
        (app, everything), (most_app, most_everything) = bench.memory(), most_memory(bench)
        print(f"{len(processes)} hosts with {processes[0]} processes each: {app / sum(processes):.1f} MB a process")
        print(f"memory of all hosts: {everything:,.0f} MB with one slot, {most_everything:,.0f} MB with both", flush=True)
        ways = []
        for way in WAYS:
            ways.append(figures(way.name, change(bench, way)))
            print(told(ways[-1]), flush=True)
        results = {
            "hosts": len(processes),
            "processes_of_a_host": processes[0],
            "cpus_of_all_hosts_clients_and_controller": len(os.sched_getaffinity(0)),
            "clients": len(processes) * CLIENTS * len(KINDS),
            "memory_mb": {
                "one_slot": {"app": round(app), "all_processes": round(everything)},
                "both_slots": {"app": round(most_app), "all_processes": round(most_everything)},
            },
            "versions": versions(bench),
            "ways": ways,
        }
    # Lists of numbers on one line each.
    text = re.sub(r"\[[\d\s,.-]+\]", lambda numbers: " ".join(numbers[0].split()), json.dumps(results, indent=1))
    RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
