"""What runs of site.yml take, in parts of a yardstick: a play that changes nothing, on the same hosts, right before and right after.

`make bench-converge` prints a line for each kind of run. Machines differ, and are not always equally fast: compare ratios, not seconds.
The hosts are made for it, in the same way as those of the demo, and removed at its end.
`python -m bench.converge TIMES` measures each kind another number of times.
"""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.hosts import Run, hosts, idle, play, yardstick
from tools.process import ROOT, interruptible

INVENTORY = ROOT / "bench/inventory"
TIMES = 3  # of each kind of run


class Bench:
    """The runs that are measured."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "app"
        self.stick = yardstick(folder)
        self.deploys = 0
        shutil.copytree(ROOT / "files/app", self.source)

    def settings(self, *arguments: str) -> tuple[str, ...]:
        return ("--extra-vars", f"tornado_app_bench_source={self.source}", *arguments)

    def yardstick(self, *arguments: str) -> Run:
        return idle(INVENTORY, self.stick, *arguments)

    def nothing(self, *arguments: str) -> Run:
        return idle(INVENTORY, "site.yml", *self.settings(*arguments))

    def operation(self, tag: str) -> Run:
        return play(INVENTORY, "site.yml", *self.settings("--tags", tag))

    def deploy(self) -> Run:
        """Deploy changed code with the same requirements."""
        self.deploys += 1
        with (self.source / "app.py").open("a") as code:
            code.write(f"# {self.deploys}\n")
        return self.operation("deploy")

    def kinds(self) -> dict[str, Callable[[], Run]]:
        """Name and way of each kind of run. The deploy comes after the rollback, or the next round would begin with something to do."""
        return {
            "nothing to do": self.nothing,
            "restart": lambda: self.operation("restart"),
            "rollback": lambda: self.operation("rollback"),
            "code-only deploy": self.deploy,
            "status": lambda: self.operation("status"),
        }


def ratio(before: float, seconds: float, after: float) -> float:
    """What a run took in parts of the yardstick, which was laid on before it and after it."""
    return seconds / statistics.mean([before, after])


def told(name: str, ratios: Sequence[float], seconds: Sequence[float]) -> str:
    """One line for a person: each ratio, their median, and the seconds, which hold for this machine only."""
    return (
        f"{name:<18} {statistics.median(ratios):6.2f}   of {' '.join(f'{each:6.2f}' for each in ratios)}"
        f"   ({' '.join(f'{each:.1f}' for each in seconds)} s here)"
    )


def measure(bench: Bench, times: int) -> None:
    """Run each kind of run some times, the yardstick between all of them."""
    kinds = bench.kinds()
    ratios: dict[str, list[float]] = {name: [] for name in kinds}
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    sticks = [bench.yardstick().seconds]
    for _ in range(times):
        for name, way in kinds.items():
            seconds[name].append(way().seconds)
            sticks.append(bench.yardstick().seconds)
            ratios[name].append(ratio(sticks[-2], seconds[name][-1], sticks[-1]))
            print(f"... {name}: {ratios[name][-1]:.2f} yardsticks", flush=True)
    print(f"{'in yardsticks':<18} median")
    for name in kinds:
        print(told(name, ratios[name], seconds[name]))
    print(f"the yardstick took {min(sticks):.1f} to {max(sticks):.1f} s here, {statistics.median(sticks):.1f} s in the median", flush=True)


def main() -> None:
    interruptible()
    times = int(sys.argv[1]) if sys.argv[1:] else TIMES
    with hosts(INVENTORY), tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        print(f"first run: {play(INVENTORY, 'site.yml', *bench.settings()).seconds:.0f} s", flush=True)
        bench.deploy()  # leaves a release to go back to
        nothing, stick = bench.nothing("-vvv"), bench.yardstick("-vvv")
        print(f"nothing to do: {nothing.calls()} calls of a host (the yardstick: {stick.calls()})")
        print(f"nothing to do: {nothing.skipped()} lines say skipping", flush=True)
        measure(bench, times)


if __name__ == "__main__":
    main()
