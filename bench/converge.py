"""How long a run takes on the two demo hosts: the first one, one with nothing to do, and a deploy of changed code.

`make bench-converge` prints a line for each. The hosts are made for it, in the same way as those of the demo, and removed at its end.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.process import ROOT, interruptible, undisturbed

INVENTORY = ROOT / "bench/inventory"
TIMES = 3  # of each kind of run but the first


def play(playbook: str, *arguments: str) -> float:
    """Run a playbook on the hosts; return the seconds it took."""
    start = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", playbook, "-i", str(INVENTORY), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}\n{playbook} failed, see above")
    return time.monotonic() - start


def main() -> None:
    interruptible()
    try:
        play("molecule/shared/create.yml")
        play("molecule/shared/prepare.yml")
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "app")
            shutil.copytree(ROOT / "files/app", source)
            apps = f"tornado_app_bench_source={source}"
            first = play("site.yml", "--extra-vars", apps)
            nothing = [play("site.yml", "--extra-vars", apps) for _ in range(TIMES)]
            deploys = []
            for number in range(TIMES):
                with (source / "app.py").open("a") as code:
                    code.write(f"# {number}\n")
                deploys.append(play("site.yml", "--tags", "deploy", "--extra-vars", apps))
        print(f"first run            {first:6.1f} s")
        print(f"nothing to do        {' '.join(f'{seconds:6.1f} s' for seconds in nothing)}")
        print(f"code-only deploy     {' '.join(f'{seconds:6.1f} s' for seconds in deploys)}")
    finally:
        with undisturbed():
            play("molecule/shared/destroy.yml")


if __name__ == "__main__":
    main()
