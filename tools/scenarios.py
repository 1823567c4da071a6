"""Run the Molecule scenarios, two at a time; leave no host, network or image behind, also on Ctrl-C.

`python -m tools.scenarios [NAME...]`
"""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from threading import Thread
from typing import IO

from tools.minutes import note
from tools.process import ROOT, interruptible, postponed, undisturbed

LANES = 2  # one alone leaves up to a third of two processors idle: it waits for drains, for gates, for hosts
PATIENCE = 60  # seconds that an interrupted scenario has to end
LONGEST = ["rolling", "operations", "fleet", "apps", "hostile"]  # these begin, so that no lane is left alone at the end
# What Molecule prints when it begins a step, between codes for colours.
STEP = re.compile(r"➜ (?P<step>[a-z_]+): Executing$")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# What pytest's summary and Ansible print of what has failed. Said again at the very end, where it is looked for.
FAILURE = re.compile(r"^(FAILED|ERROR) .*::|^(fatal|failed): \[")
FAILURES_SHOWN = 10


class Scenario:
    """A scenario that is being run; what it prints appears line by line, behind its name."""

    def __init__(self, name: str, *arguments: str, **environment: str) -> None:
        self.name = name
        self.begin = time.monotonic()
        self.steps: list[tuple[str, float]] = []
        self.failures: list[str] = []
        command = ["molecule", *arguments, "--scenario-name", name]
        # In a session of its own, no Ctrl-C reaches it: all of it is asked to end, and then waited for.
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        assert self.process.stdout
        self.reader = Thread(target=self.show, args=(self.process.stdout,), daemon=True)
        self.reader.start()

    def show(self, output: IO[bytes]) -> None:
        """Print what comes, and note when a step begins."""
        for line in output:
            text = line.decode(errors="replace").rstrip()
            print(f"{self.name:<11}| {text}", flush=True)
            plain = COLOUR.sub("", text)
            if found := STEP.search(plain):
                self.steps.append((found["step"], time.monotonic()))
            if FAILURE.search(plain):
                self.failures.append(plain[:500])

    def interrupt(self) -> None:
        """Ask Molecule and all that it has started to end; what goes on would be in the way of removing the hosts."""
        deadline = time.monotonic() + PATIENCE
        with suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.killpg(self.process.pid, signal.SIGTERM)
                self.process.poll()
                time.sleep(0.5)

    @property
    def has_hosts(self) -> bool:
        """Whether its hosts are there: what it has built for them another scenario finds."""
        return any(step not in ("destroy", "create") for step, _ in self.steps)

    def end(self) -> str:
        """Wait for its end, and note how long each step took; how it ended."""
        code = self.process.wait()
        self.reader.join(5)  # whoever the scenario left behind may keep its output open
        ends = [*(begin for _, begin in self.steps), time.monotonic()][1:]
        for (step, begin), end in zip(self.steps, ends, strict=True):
            note(self.name, step, end - begin)
        took = f"after {time.monotonic() - self.begin:.0f} s"
        return "\n    ".join([f"failed {took}", *self.failures[-FAILURES_SHOWN:]]) if code else f"passed {took}"


def run(names: list[str], results: dict[str, str], running: list[Scenario]) -> None:
    """Run the scenarios in this order, as many at a time as there are lanes; each begins when the one before it has its hosts."""
    waiting = list(names)
    while waiting or running:
        for scenario in [scenario for scenario in running if scenario.process.poll() is not None]:
            results[scenario.name] = scenario.end()
            running.remove(scenario)
            print(f"==> {scenario.name}: {results[scenario.name]}", flush=True)
        if waiting and len(running) < LANES and all(scenario.has_hosts for scenario in running):
            print(f"==> Scenario {waiting[0]}", flush=True)
            with postponed():
                running.append(Scenario(waiting.pop(0), "test", TORNADO_APP_KEEP_IMAGES="1"))
        time.sleep(0.2)


def main() -> int:
    found = {path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")}
    names = sys.argv[1:] or sorted(found, key=lambda name: ([*LONGEST, name].index(name), name))
    results: dict[str, str] = {}
    running: list[Scenario] = []
    interruptible()
    try:
        run(names, results, running)
    except KeyboardInterrupt:
        results["(interrupted)"] = "failed"
    finally:
        with undisturbed():
            for scenario in running:
                scenario.interrupt()
            for scenario in running:
                scenario.end()
            print("==> Removing hosts, and the images that the scenarios shared", flush=True)
            for name in names:
                ended = Scenario(name, "destroy").end()
                if ended.startswith("failed"):
                    results[f"{name} (clean-up)"] = ended
    for name, result in results.items():
        print(f"==> {name}: {result}")
    return int(any(result.startswith("failed") for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
