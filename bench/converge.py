"""How long a run takes on the two demo hosts: the first one, one with nothing to do, and a deploy of changed code.

`make bench-converge` prints a line for each. The hosts are made for it, in the same way as those of the demo, and removed at its end.
"""

import shutil
import tempfile
from pathlib import Path

from bench.hosts import hosts, play
from tools.process import ROOT, interruptible

INVENTORY = ROOT / "bench/inventory"
TIMES = 3  # of each kind of run but the first


def main() -> None:
    interruptible()
    with hosts(INVENTORY), tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "app")
        shutil.copytree(ROOT / "files/app", source)
        apps = f"tornado_app_bench_source={source}"
        first = play(INVENTORY, "site.yml", "--extra-vars", apps)
        nothing = [play(INVENTORY, "site.yml", "--extra-vars", apps) for _ in range(TIMES)]
        deploys = []
        for number in range(TIMES):
            with (source / "app.py").open("a") as code:
                code.write(f"# {number}\n")
            deploys.append(play(INVENTORY, "site.yml", "--tags", "deploy", "--extra-vars", apps))
    print(f"first run            {first:6.1f} s")
    print(f"nothing to do        {' '.join(f'{seconds:6.1f} s' for seconds in nothing)}")
    print(f"code-only deploy     {' '.join(f'{seconds:6.1f} s' for seconds in deploys)}")


if __name__ == "__main__":
    main()
