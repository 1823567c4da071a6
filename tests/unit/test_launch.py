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

from tests.unit.loading import ROLE
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import files
from tests.unit.builders import SHOP, planned, release
from tests.unit.conftest import PYTHON, process, utils

# What the command tells of itself, in bytes as the kernel has them.
TELL = (
    "import json, os, sys; print(json.dumps({'environment': {os.fsdecode(k): v.hex() for k, v in os.environb.items()}, "
    "'argv': [os.fsencode(a).hex() for a in sys.argv[1:]], 'pid': os.getpid()}))"
)

PORT = "8003"
PLAIN = {"PATH": "/usr/bin:/bin"}

values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


def hexed(text: str) -> str:
    return text.encode().hex()


def doubled(text: str) -> str:
    """The text as a command has it."""
    return text.replace("{", "{{").replace("}", "}}")


def web(*argv: str) -> dict[str, Any]:
    """What of a record says what starts a web process."""
    return {"commands": {"web": argv}, "addresses": [f"127.0.0.1:{PORT}"]}


def launch(
    folder: Path,
    record: Mapping[str, Any],
    name: str = PORT,
    secrets: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Start it as supervisord does."""
    path = folder / "slot.json"
    (folder / "slot.secrets.json").write_text(json.dumps(secrets or {}))
    path.write_text(
        json.dumps({"python": sys.executable, "environment": {}, "journal": "", **record, "secrets": str(folder / "slot.secrets.json")})
    )
    command: list[str | Path] = [PYTHON, "-I", "-S", ROLE / "files/launch.py", path, name]
    return subprocess.run(command, env=dict(environment or {}), capture_output=True, text=True, check=False)


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
    found = told(launch(folder, {"environment": given, **web("{python}", "-c", doubled(TELL))}))
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
    found = told(launch(folder, {"environment": given, **web("{python}", "-c", doubled(TELL))}, environment=locale))
    assert {key: value for key, value in found["environment"].items() if key in given} == {
        key: hexed(value) for key, value in given.items()
    }


@settings(max_examples=25)
@given(given=st.lists(values, max_size=6))
def test_arguments_arrive_unchanged(folder: Path, given: list[str]) -> None:
    """A literal brace is written twice, all else as it is."""
    assert told(launch(folder, web("{python}", "-c", *map(doubled, (TELL, *given)))))["argv"] == [hexed(argument) for argument in given]


def test_port_and_python(folder: Path) -> None:
    arguments = ["{port}", "--port={port}", "{python}", "{{port}}", "{port}{port}", "x{{{port}}}"]
    found = told(launch(folder, web("{python}", "-c", doubled(TELL), *arguments)))
    expected = [PORT, f"--port={PORT}", sys.executable, "{port}", PORT + PORT, f"x{{{PORT}}}"]
    assert found["argv"] == [hexed(argument) for argument in expected]
    assert found["environment"]["PORT"] == hexed(PORT)


@settings(max_examples=25)
@given(given=st.dictionaries(st.from_regex(r"\AV_[A-Za-z0-9_]{0,20}\Z"), values, max_size=8))
def test_secrets_arrive_unchanged_and_in_the_environment_alone(folder: Path, given: Mapping[str, str]) -> None:
    found = told(launch(folder, web("{python}", "-c", doubled(TELL)), secrets=given))
    assert {key: value for key, value in found["environment"].items() if key.startswith("V_")} == {
        key: hexed(value) for key, value in given.items()
    }
    assert found["argv"] == []


def test_record_is_over_what_supervisord_gives(folder: Path) -> None:
    found = told(
        launch(
            folder,
            {"environment": {"ONE": "record"}, **web("{python}", "-c", doubled(TELL))},
            environment={"ONE": "given", "OTHER": "given", "PORT": "1"},
        )
    )
    assert {key: bytes.fromhex(found["environment"][key]).decode() for key in ("ONE", "OTHER", "PORT")} == {
        "ONE": "record",
        "OTHER": "given",
        "PORT": PORT,
    }


def test_command_is_found_by_the_records_path(folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "bin/my-server").symlink_to("/bin/echo")
    done = launch(
        folder, {"environment": {"PATH": str(folder / "bin")}, **web("my-server", "{port}")}, environment={"PATH": "/usr/bin:/bin"}
    )
    assert (done.returncode, done.stdout) == (0, f"{PORT}\n")


def test_process_id_stays(folder: Path) -> None:
    """supervisord ends, and counts, the process that it started."""
    path = folder / "pid.json"
    argv = ["{python}", "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(3600)"]
    (folder / "none.json").write_text("{}")
    path.write_text(
        json.dumps({"python": sys.executable, "environment": {}, "journal": "", "secrets": str(folder / "none.json"), **web(*argv)})
    )
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
    done = launch(folder, {"environment": {"PATH": "/usr/bin:/bin"}, **web(program, "{port}")})
    assert done.returncode == 1
    assert done.stderr == f"cannot start {program}: {reason}; see the app's `command`\n"


def line(command: str, **environment: str) -> dict[str, Any]:
    """A record with this line of a Procfile for both types, and for the release."""
    given = {"TELL": TELL, "PYTHON": sys.executable, **environment}
    app = planned({"shop": {**SHOP, "command": None, "processes": 1, "port": int(PORT), "environment": given}})["shop"]
    wanted = release("r", commands=dict.fromkeys(("web", "worker", "release"), command))
    return files.record(app, app["slots"]["blue"], wanted)


@pytest.mark.parametrize("kind", [PORT, "worker.2", "release"])
def test_a_line_of_a_procfile_is_a_shell_command_whose_place_the_program_takes(folder: Path, kind: str) -> None:
    record = line(
        r"""GREETING='a "b"  c' $PYTHON -c "$TELL" '{port} {x}' "$WORD" ${WORD}s ${NONE:-50%} \$WORD 2>&1 # not this""", WORD="an apple"
    )
    found = told(launch(folder, record, kind))
    assert found["argv"] == [hexed(argument) for argument in ("{port} {x}", "an apple", "an", "apples", "50%", "$WORD")]
    assert bytes.fromhex(found["environment"]["GREETING"]).decode() == 'a "b"  c'


def test_a_web_process_alone_has_a_port(folder: Path) -> None:
    record = line('$PYTHON -c "$TELL"')
    assert told(launch(folder, record))["environment"]["PORT"] == hexed(PORT)
    assert "PORT" not in told(launch(folder, record, "worker.1"))["environment"]
    assert "PORT" not in told(launch(folder, record, "release"))["environment"]


def test_a_variable_that_is_not_there_is_an_error(folder: Path) -> None:
    done = launch(folder, line("echo $NO_SUCH"))
    assert done.returncode != 0
    assert "NO_SUCH" in done.stderr


@pytest.mark.parametrize(
    ("addresses", "field", "expected", "variable"),
    [
        (["127.0.0.1:8002", f"127.0.0.1:{PORT}"], "{port}", PORT, "PORT"),
        (["127.0.0.1:8000"], "{port}", "8000", "PORT"),  # shared, or forked
        (["unix:/run/x/sockets/8002.sock", f"unix:/run/x/sockets/{PORT}.sock"], "{socket}", f"/run/x/sockets/{PORT}.sock", "SOCKET"),
    ],
)
def test_where_a_process_listens(folder: Path, addresses: list[str], field: str, expected: str, variable: str) -> None:
    found = told(launch(folder, {**web("{python}", "-c", doubled(TELL), field), "addresses": addresses}))
    assert found["argv"] == [hexed(expected)]
    assert found["environment"][variable] == hexed(expected)
    assert ({"PORT", "SOCKET"} - {variable}).isdisjoint(found["environment"])
