"""`make molecule`: which scenarios run beside each other, what is said of their ends, and what is removed in any case."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.conftest import wait_until
from tools.minutes import NOTES

ROOT = Path(__file__).resolve().parents[2]
# Notes what it is called for, says that its hosts are there, and takes its time; the scenario `bad` fails.
MOLECULE = """\
#!/bin/sh
echo "$3 $1 begins" >>"$NOTES"
trap 'echo "$3 $1 was told to end" >>"$NOTES"; exit 1' TERM
if [ "$1" = test ]; then
  echo "INFO     $3 ➜ prepare: Executing" >&2
  sleep "$SECONDS_OF_A_TEST" &
  echo $! >>"$NOTES.children"
  wait $!
fi
echo "$3 $1 ends" >>"$NOTES"
[ "$3 $1" = "bad test" ] && echo "FAILED tests/test_bad.py::test_what_is_bad - it is bad"
[ "$3 $1" != "bad test" ]
"""


class Molecule:
    """Runs scenarios with a molecule that only notes what it is called for."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder / "notes"
        program = folder / "molecule"
        program.write_text(MOLECULE)
        program.chmod(0o755)
        rest = {name: value for name, value in os.environ.items() if name != NOTES}  # of `make test`, whose parts these are not
        self.environment = {**rest, "PATH": f"{folder}:{os.environ['PATH']}", "NOTES": str(self.notes)}

    def start(self, *names: str, seconds: float) -> subprocess.Popen[str]:
        environment = self.environment | {"SECONDS_OF_A_TEST": str(seconds)}
        command = [sys.executable, "-m", "tools.scenarios", *names]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def noted(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []


@pytest.fixture
def molecule(tmp_path: Path) -> Molecule:
    return Molecule(tmp_path)


def test_two_run_beside_each_other_and_one_that_fails_stops_no_other(molecule: Molecule) -> None:
    done = molecule.start("first", "bad", "last", seconds=1)
    output, _ = done.communicate()
    assert done.returncode == 1
    noted = molecule.noted()
    assert noted.index("bad test begins") < noted.index("first test ends") < noted.index("last test begins")
    assert noted[-6:] == [f"{name} destroy {what}" for name in ("first", "bad", "last") for what in ("begins", "ends")]
    results = [line for line in output.splitlines() if line.startswith("==> ") and " after " in line][-3:]
    results.sort()
    assert [line.rpartition(" after ")[0] for line in results] == ["==> bad: failed", "==> first: passed", "==> last: passed"]
    assert (
        output.splitlines()[output.splitlines().index(results[0]) + 1].strip() == "FAILED tests/test_bad.py::test_what_is_bad - it is bad"
    )
    assert "first      | INFO     first ➜ prepare: Executing" in output


def test_who_interrupts_it_finds_nothing_left(molecule: Molecule) -> None:
    done = molecule.start("first", "second", "third", seconds=60)
    wait_until(lambda: "second test begins" in molecule.noted(), "both lanes")
    done.send_signal(signal.SIGTERM)
    output, _ = done.communicate()
    assert done.returncode == 1
    assert {"first test was told to end", "second test was told to end"} <= set(molecule.noted())
    assert "third test begins" not in molecule.noted()
    # What a scenario has started ends with it.
    assert not any(Path("/proc", pid).exists() for pid in Path(f"{molecule.notes}.children").read_text().split())
    assert molecule.noted()[-6:] == [f"{name} destroy {what}" for name in ("first", "second", "third") for what in ("begins", "ends")]
    assert "==> (interrupted): failed" in output
