"""reload.py: a command is run anew when a file changes, and gets its signals."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.loading import ROLE
from tests.unit.conftest import PATIENCE, PYTHON, wait_until

SAY = "import pathlib, signal, sys, time; print('got', pathlib.Path('what').read_text(), *sys.argv[1:], flush=True); time.sleep(60)"


class Run:
    """reload.py with a command, and what both have printed."""

    def __init__(self, folder: Path, *options: str, code: str = SAY, argument: str = "--port=1", python: str = PYTHON) -> None:
        self.log = folder.with_suffix(".log")
        command = [PYTHON, "-I", "-S", str(ROLE / "files/reload.py"), *options, "--", python, "-c", code, argument]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)

    def says(self, text: str, times: int = 1) -> None:
        """Wait until it has said it so often."""
        wait_until(lambda: self.log.read_text().count(text) >= times, text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/what").write_text("one")
    return tmp_path / "app"


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        run.process.kill()
        run.process.wait()


def begin(runs: list[Run], folder: Path, *options: str, **settings: str) -> Run:
    runs.append(Run(folder, *options, **settings))
    return runs[-1]


def test_a_change_starts_it_anew(folder: Path, runs: list[Run]) -> None:
    run = begin(runs, folder)
    run.says("got one --port=1")
    (folder / "what").write_text("two")
    run.says("got two --port=1")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/app.pyc").write_text("nobody wrote this")
    (folder / "new").write_text("a file")
    run.says("got two --port=1", times=2)
    assert run.log.read_text().count("has changed") == 2


def test_a_file_elsewhere_is_watched_and_may_come_and_go(folder: Path, runs: list[Run], tmp_path: Path) -> None:
    run = begin(runs, folder, f"--watch={tmp_path}/settings", "--watch=../other")
    run.says("got one --port=1")
    (tmp_path / "settings").write_text("there")
    run.says("got one --port=1", times=2)
    (tmp_path / "other").write_text("there")
    run.says("got one --port=1", times=3)
    (tmp_path / "settings").unlink()
    run.says("got one --port=1", times=4)


def test_the_source_goes_first_where_it_is_there(folder: Path, runs: list[Run], tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/what").write_text("source")
    run = begin(runs, folder, f"--source={tmp_path}/source")
    run.says("got source --port=1")
    other = begin(runs, folder, f"--source={tmp_path}/nowhere")
    other.says("got one --port=1")


def test_what_ended_by_itself_waits_for_a_change(folder: Path, runs: list[Run]) -> None:
    (folder / "what").write_text("this is no Python")
    run = begin(runs, folder, code="import pathlib; compile(pathlib.Path('what').read_text(), 'what', 'exec'); print('good', flush=True)")
    run.says("SyntaxError: invalid syntax")
    run.says("ended with 1; it is run again when a file changes")
    (folder / "what").write_text("'Python'")
    run.says("good")
    assert run.process.poll() is None


def test_a_command_that_is_not_there_is_said(folder: Path, runs: list[Run]) -> None:
    run = begin(runs, folder, python="/nonexistent/python")
    run.says(f"cannot start /nonexistent/python in {folder}: No such file or directory")
    run.process.terminate()
    assert run.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_go_on_to_the_command_which_ends_it(folder: Path, runs: list[Run], number: signal.Signals) -> None:
    leave = "import signal, sys, time; signal.signal(int(sys.argv[1]), lambda *_: sys.exit(7)); print('ready', flush=True); time.sleep(60)"
    run = begin(runs, folder, code=leave, argument=str(int(number)))
    run.says("ready")
    run.process.send_signal(number)
    assert run.process.wait(PATIENCE) == 7
