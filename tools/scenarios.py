"""Run every Molecule scenario, one after the other; leave no host, network or image behind, also on Ctrl-C.

`python -m tools.scenarios [NAME...]`
"""

import sys
import time

from tools.process import ROOT, interruptible, run, undisturbed


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
            code = run("molecule", "test", "--scenario-name", name, TORNADO_APP_KEEP_IMAGES="1")
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
