"""What `make test` says of its own time."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.minutes import NOTES, note, table

ROOT = Path(__file__).resolve().parents[2]
PART = f"{sys.executable} -m tools.minutes"


def test_the_table_adds_up_the_steps_of_each_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NOTES, str(tmp_path / "notes"))
    for part, step, seconds in (("lint", "ruff", 3.0), ("default", "verify", 60.0), ("lint", "mypy", 90.0), ("lint", "ruff", 3.0)):
        note(part, step, seconds)
    assert table((tmp_path / "notes").read_text(), 120).splitlines() == [
        "part        minutes",
        "lint            1.6  ruff 0.1, mypy 1.5",
        "default         1.0  verify 1.0",
        "whole           2.0",
    ]


@pytest.mark.parametrize(("ends", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)])
def test_a_part_that_fails_fails_the_whole_and_is_in_the_table(ends: str, code: int) -> None:
    script = f"{PART} first true && {PART} second sh -c '{ends}'"
    command = [*PART.split(), "whole", "sh", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["part", "first", "second", "whole"]
    assert rows[2][2:] == ["sh", "0.0"]
