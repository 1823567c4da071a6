"""What a host costs the controller, and whether it costs more when there are more of them: CPU seconds a host, for fleets of some sizes.

`make bench-fleet` prints a line for each size. The hosts are many names of a few test hosts. These are set up once; then each fleet sees
a run in check mode with nothing to do, a look at the status, and the yardstick (see hosts.py).
`python -m bench.fleet 4 12` takes other sizes.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from bench.hosts import Run, hosts, idle, play, playbook, yardstick
from tools.process import ROOT, interruptible

INVENTORY = ROOT / "bench/inventory"
SIZES = (4, 40, 200)
FORKS = ("--forks", "20")

# sshd turns clients away while more than ten log in: a real host has one controller, a test host has one for each of its names.
ADMIT: list[Mapping[str, Any]] = [
    {
        "name": "Let many clients log in at the same time",
        "ansible.builtin.copy": {"dest": "/etc/ssh/sshd_config.d/bench.conf", "content": "MaxStartups 100\n", "mode": "0644"},
    },
    {"name": "Let sshd take it up", "ansible.builtin.service": {"name": "ssh", "state": "reloaded"}},
]


def fleet(addresses: Mapping[str, Mapping[str, Any]], size: int, sockets: Path) -> dict[str, dict[str, Any]]:
    """Names of hosts, each with how to reach the test host behind it, over a connection of its own."""
    names = sorted(addresses)
    found = {}
    for number in range(size):
        name = names[number % len(names)]
        found[f"{name}-{number}"] = {**addresses[name], "ansible_control_path": str(sockets / str(number))}
    return found


def inventory(folder: Path, size: int) -> Path:
    """Write the inventory of a fleet, with the settings of the test hosts."""
    addresses = yaml.safe_load((INVENTORY / "addresses.yml").read_text())["all"]["hosts"]
    path = folder / str(size)
    shutil.copytree(INVENTORY / "group_vars", path / "group_vars")
    (path / "hosts.yml").write_text(json.dumps({"tornado": {"hosts": fleet(addresses, size, folder)}}))
    return path


def further(totals: Mapping[int, float]) -> str:
    """What each host beyond a size costs, up to the next size: without the start of a run, which all hosts share."""
    steps = [f"{(totals[more] - totals[few]) / (more - few):.2f} s from {few} to {more} hosts" for few, more in pairwise(sorted(totals))]
    return f"each further host costs {', '.join(steps)}"


def measure(folder: Path, source: Path, sizes: list[int]) -> None:
    """Run each kind of run on fleets of each size."""
    stick, apps = yardstick(folder), ("--extra-vars", f"tornado_app_bench_source={source}")
    kinds: dict[str, Callable[[Path], Run]] = {
        "nothing to do": lambda hosts: idle(hosts, "site.yml", "--check", *FORKS, *apps),
        "status": lambda hosts: idle(hosts, "site.yml", "--tags", "status", *FORKS, *apps),
        "yardstick": lambda hosts: idle(hosts, stick, *FORKS),
    }
    totals: dict[str, dict[int, float]] = {name: {} for name in kinds}
    print(
        f"CPU seconds of the controller for each host (and seconds of the run)\n{'hosts':>5}",
        *(f"{name:>22}" for name in kinds),
        flush=True,
    )
    for size in sizes:
        names = inventory(folder, size)
        print(f"{size:>5}", end="", flush=True)
        for name, way in kinds.items():
            run = way(names)
            totals[name][size] = run.cpu
            print(f" {run.cpu / size:>12.2f} ({run.seconds:5.0f} s)", end="", flush=True)
        print(flush=True)
    if len(sizes) > 1:
        for name in kinds:
            print(f"{name}: {further(totals[name])}")


def main() -> None:
    interruptible()
    sizes = sorted({int(size) for size in sys.argv[1:]} or SIZES)
    with hosts(INVENTORY), tempfile.TemporaryDirectory() as name:
        folder, source = Path(name), ROOT / "files/app"
        play(INVENTORY, playbook(folder, "admit", ADMIT))
        play(INVENTORY, "site.yml", "--extra-vars", f"tornado_app_bench_source={source}")
        measure(folder, source, sizes)


if __name__ == "__main__":
    main()
