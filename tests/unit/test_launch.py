"""launch.py: a slot's record becomes a process, whatever its values are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.conftest import PYTHON, process, utils
from tests.unit.loading import ROLE

# What the command tells of itself, in bytes as the kernel has them.
TELL = (
    "import json, os, sys; print(json.dumps({'environment': {os.fsdecode(k): v.hex() for k, v in os.environb.items()}, "
    "'argv': [os.fsencode(a).hex() for a in sys.argv[1:]], 'pid': os.getpid()}))"
)

PORT = "8003"

values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


def hexed(text: str) -> str:
    return text.encode().hex()


def doubled(text: str) -> str:
    """The text as a command has it."""
    return text.replace("{", "{{").replace("}", "}}")


def launch(folder: Path, record: Mapping[str, Any], **environment: str) -> subprocess.CompletedProcess[str]:
    """Start it as supervisord does."""
    path = folder / "slot.json"
    path.write_text(json.dumps({"python": sys.executable, "environment": {}, "argv": [], **record}))
    command: list[str | Path] = [PYTHON, "-I", "-S", ROLE / "files/launch.py", path, PORT]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("launch")


@settings(max_examples=25)
@given(given=st.dictionaries(st.from_regex(r"\AV_[A-Za-z0-9_]{0,20}\Z"), values, max_size=8))
def test_environment_arrives_unchanged(folder: Path, given: Mapping[str, str]) -> None:
    found = told(launch(folder, {"environment": given, "argv": ["{python}", "-c", doubled(TELL)]}))
    assert {key: value for key, value in found["environment"].items() if key.startswith("V_")} == {
        key: hexed(value) for key, value in given.items()
    }


HARD = [
    "",
    " ",
    "a b",
    '"',
    "'",
    '"quoted"',
    "50%",
    "%(process_num)d",
    "%%",
    "$HOME",
    "`id`",
    "a\nb\n",
    "\t",
    "\\",
    "\\n",
    "ä€😀",
    "{x}",
    ";#",
    "a=b",
]


@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C"}, {"LANG": "C.UTF-8"}, {"LC_ALL": "xx_XX.ISO-8859-1"}])
def test_values_that_supervisord_would_change(folder: Path, locale: Mapping[str, str]) -> None:
    """In any locale: what is not ASCII arrives as UTF-8."""
    given = {f"V_{index}": value for index, value in enumerate(HARD)}
    found = told(launch(folder, {"environment": given, "argv": ["{python}", "-c", doubled(TELL)]}, **locale))
    assert {key: value for key, value in found["environment"].items() if key in given} == {
        key: hexed(value) for key, value in given.items()
    }


@settings(max_examples=25)
@given(given=st.lists(values, max_size=6))
def test_arguments_arrive_unchanged(folder: Path, given: list[str]) -> None:
    """A literal brace is written twice, all else as it is."""
    assert told(launch(folder, {"argv": ["{python}", "-c", *map(doubled, (TELL, *given))]}))["argv"] == [
        hexed(argument) for argument in given
    ]


def test_port_and_python(folder: Path) -> None:
    arguments = ["{port}", "--port={port}", "{python}", "{{port}}", "{port}{port}", "x{{{port}}}"]
    found = told(launch(folder, {"argv": ["{python}", "-c", doubled(TELL), *arguments]}))
    expected = [PORT, f"--port={PORT}", sys.executable, "{port}", PORT + PORT, f"x{{{PORT}}}"]
    assert found["argv"] == [hexed(argument) for argument in expected]
    assert found["environment"]["PORT"] == hexed(PORT)


def test_record_is_over_what_supervisord_gives(folder: Path) -> None:
    found = told(
        launch(folder, {"environment": {"ONE": "record"}, "argv": ["{python}", "-c", doubled(TELL)]}, ONE="given", OTHER="given", PORT="1")
    )
    assert {key: bytes.fromhex(found["environment"][key]).decode() for key in ("ONE", "OTHER", "PORT")} == {
        "ONE": "record",
        "OTHER": "given",
        "PORT": PORT,
    }


def test_command_is_found_by_the_records_path(folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "bin/my-server").symlink_to("/bin/echo")
    done = launch(folder, {"environment": {"PATH": str(folder / "bin")}, "argv": ["my-server", "{port}"]}, PATH="/usr/bin:/bin")
    assert (done.returncode, done.stdout) == (0, f"{PORT}\n")


def test_process_id_stays(folder: Path) -> None:
    """supervisord ends, and counts, the process that it started."""
    path = folder / "pid.json"
    argv = ["{python}", "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(3600)"]
    path.write_text(json.dumps({"python": sys.executable, "environment": {}, "argv": argv}))
    reading, writing = os.pipe()
    with process(PYTHON, "-I", "-S", ROLE / "files/launch.py", path, PORT, stdout=writing) as running:
        os.close(writing)
        with os.fdopen(reading) as stream:
            assert int(stream.readline()) == running.pid
        assert utils("proc").children(running.pid) == []


@pytest.mark.parametrize(
    ("program", "reason"),
    [("no-such-server", "No such file or directory"), ("./here/server", "No such file or directory"), ("/etc/passwd", "Permission denied")],
)
def test_program_that_cannot_start(folder: Path, program: str, reason: str) -> None:
    """One sentence that names the program and the setting; no traceback."""
    done = launch(folder, {"environment": {"PATH": "/usr/bin:/bin"}, "argv": [program, "{port}"]})
    assert done.returncode == 1
    assert done.stderr == f"cannot start {program}: {reason}; see the app's `command`\n"
