"""The logs of processes: who writes them, that what comes before is found, and that they stay within their size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import ROLE, ROOT
from tests.unit.conftest import PATIENCE, PYTHON, Supervisor, process, render, wait_until

UNPACKED = ROOT / ".tools/logrotate"
SIZE = 20_000  # bytes of a log
# Whole lines, each by one write, with numbers that tell when one is lost.
WRITER = """
import os, time
number = 0
while True:
    for _ in range(50):
        os.write(1 + number % 2, b"line %08d of a process that goes on\\n" % number)
        number += 1
    time.sleep(0.001)
"""
LINE = len("line 00000000 of a process that goes on\n")


@pytest.fixture
def rotate(tmp_path: Path) -> Callable[..., None]:
    """A function that rotates logs, as the unit does."""
    program = UNPACKED / "usr/sbin/logrotate"
    assert program.exists(), "no logrotate: run tools/bootstrap.py --with-nginx"
    libraries = {str(path.parent) for path in UNPACKED.glob("**/libpopt.so.0")}

    def run(*logs: Path) -> None:
        config = tmp_path / "blue.logrotate"
        config.write_text(render("slot.logrotate.j2", {"logs": [str(log) for log in logs], "max_bytes": SIZE}))
        environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": ":".join(libraries)}
        state = tmp_path / "state"
        state.unlink(missing_ok=True)
        done = subprocess.run([program, f"--state={state}", config], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    return run


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Path]:
    """The log of a process that writes without an end, started by the launcher."""
    record, secrets, log = (tmp_path / name for name in ("blue.json", "blue.secrets.json", "8000.log"))
    commands = {"web": ["{python}", "-c", WRITER.replace("{", "{{").replace("}", "}}")]}
    given = {"python": sys.executable, "environment": {}, "journal": "", "secrets": str(secrets), "addresses": ["127.0.0.1:8000"]}
    record.write_text(json.dumps({**given, "commands": commands}))
    secrets.write_text("{}")
    with process(PYTHON, "-I", "-S", ROLE / "files/launch.py", record, "8000", log):
        yield log


def grown(path: Path) -> None:
    wait_until(lambda: path.exists() and path.stat().st_size > SIZE, f"{path} grows")


def numbers(content: bytes) -> list[int]:
    """The numbers of whole lines; a line that is not whole is an error."""
    assert len(content) % LINE == 0, content[:100]
    lines = content.splitlines(keepends=True)
    assert {line[:5] + line[13:] for line in lines} <= {b"line  of a process that goes on\n"}
    return [int(line[5:13]) for line in lines]


def test_a_process_goes_on_writing_to_the_log_that_is_rotated(logged: Path, rotate: Callable[..., None]) -> None:
    """A line is whole wherever it is; one that comes between copy and cut is lost."""
    grown(logged)
    own, old = logged.stat().st_ino, logged.with_name("8000.log.1")
    last = -1
    for _ in range(3):
        grown(logged)
        rotate(logged)
        rotated = old.read_bytes()
        found = numbers(rotated[: len(rotated) // LINE * LINE])  # the copy may end within a line that was being written
        assert found == list(range(found[0], found[0] + len(found)))
        assert found[0] > last
        last = found[-1]
        wait_until(lambda: logged.stat().st_size > 10 * LINE, "it goes on")
        content = logged.read_bytes()
        assert numbers(content[: len(content) // LINE * LINE])[0] > last
        assert logged.stat().st_ino == own
    assert sorted(path.name for path in logged.parent.glob("8000.log*")) == ["8000.log", "8000.log.1"]
    assert logged.stat().st_mode & 0o777 == old.stat().st_mode & 0o777 == 0o640


def test_a_log_that_is_small_or_not_there_is_left_alone(tmp_path: Path, rotate: Callable[..., None]) -> None:
    small, large = tmp_path / "8000.log", tmp_path / "blue.worker.1.log"
    small.write_text("x" * (SIZE - 1))
    for _ in range(3):
        large.write_text("x" * (SIZE + 1))
        rotate(small, large, tmp_path / "8001.log")
        assert sorted(path.name for path in tmp_path.glob("*.log*")) == [
            "8000.log",
            "blue.logrotate",
            "blue.worker.1.log",
            "blue.worker.1.log.1",
        ]
        assert (small.stat().st_size, large.stat().st_size) == (SIZE - 1, 0)


def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    record, log = tmp_path / "blue.json", tmp_path / "8000.log"
    given = {"python": PYTHON, "environment": {}, "journal": "", "secrets": str(record), "addresses": ["127.0.0.1:8000"]}
    record.write_text(json.dumps({**given, "commands": {"web": ["/bin/echo", "hello"]}}))
    log.symlink_to("other")
    done = subprocess.run([PYTHON, "-I", "-S", ROLE / "files/launch.py", record, "8000", log], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert str(log) in done.stderr
    assert not (tmp_path / "other").exists()


# With supervisord


def log(supervisor: Supervisor, slot: Mapping[str, Any]) -> Path:
    return Path(supervisor.app["logs"]) / f"{slot['ports'][0]}.log"


def test_no_line_of_a_process_passes_supervisord(supervisor: Supervisor) -> None:
    """It has no pipe to it any more, and the file that it would write has nothing."""
    other = supervisor.root / "other.log"
    slot = supervisor.write_slot("own", ["200"], stdout_logfile=str(other))
    supervisor.group(slot, "started")
    assert supervisor.health(slot, timeout=PATIENCE)["healthy"]
    own = log(supervisor, slot)
    assert len(own.read_text().splitlines()) == 30
    assert other.read_bytes() == b""
    pid = supervisor.pids()[f"{slot['group']}:{slot['ports'][0]}"]
    assert [os.readlink(f"/proc/{pid}/fd/{descriptor}") for descriptor in (1, 2)] == [str(own)] * 2


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f"{PYTHON} -I -S /no/such/launch.py", "can't open file '/no/such/launch.py'"),
        (f"{PYTHON} -I -S -c 'import no_such_module'", "No module named 'no_such_module'"),
    ],
)
def test_what_is_printed_before_a_process_has_its_log_is_found_at_the_gate(supervisor: Supervisor, command: str, said: str) -> None:
    name = f"broken{len(command)}"
    slot = supervisor.write_slot(name, ["200"], command=command, startretries="0")
    supervisor.group(slot, "started")
    result = supervisor.health(slot, timeout=PATIENCE)
    assert not result["healthy"]
    assert said in "\n".join(result["processes"][0]["log"])
    assert said in log(supervisor, slot).read_text()
