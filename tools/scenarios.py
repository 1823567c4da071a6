"""Run every Molecule scenario, one after the other; leave no host, network or image behind, also on Ctrl-C.

`python -m tools.scenarios [NAME...]`
"""

import re
import sys
import time

from tools.minutes import note
from tools.process import ROOT, interruptible, run, undisturbed

# What Molecule prints when it begins a step, between codes for colours.
STEP = re.compile(r"➜ (?P<step>[a-z_]+): Executing$")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def test(scenario: str) -> int:
    """Run a scenario, and note how long each of its steps took."""
    steps: list[tuple[str, float]] = []

    def watch(line: str) -> None:
        if found := STEP.search(COLOUR.sub("", line).rstrip()):
            steps.append((found["step"], time.monotonic()))

    try:
        return run("molecule", "test", "--scenario-name", scenario, errors=watch, TORNADO_APP_KEEP_IMAGES="1")
    finally:
        ends = [*(begin for _, begin in steps[1:]), time.monotonic()]
        for (step, begin), end in zip(steps, ends, strict=True):
            note(scenario, step, end - begin)


def main() -> int:
    names = sys.argv[1:] or sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    results: dict[str, str] = {}
    started: list[str] = []
    interruptible()
    try:
        for name in names:
            print(f"==> Scenario {name}", flush=True)
            started.append(name)
            begin = time.monotonic()
            code = test(name)
            results[name] = f"{'failed' if code else 'passed'} after {time.monotonic() - begin:.0f} s"
    except KeyboardInterrupt:
        results["(interrupted)"] = "failed"
    finally:
        with undisturbed():
            print("==> Removing hosts, and the images that the scenarios shared", flush=True)
            for name in started:
                if run("molecule", "destroy", "--scenario-name", name):
                    results[f"{name} (clean-up)"] = "failed"
    for name, result in results.items():
        print(f"==> {name}: {result}")
    return int(any(result.startswith("failed") for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
