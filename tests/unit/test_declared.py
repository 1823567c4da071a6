"""What a source says of itself."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import utils

declared, tree = utils("declared"), utils("tree")


def told(folder: Path, **files: str) -> dict[str, Any]:
    """What a source with these files says; `pyproject_toml` is pyproject.toml."""
    (folder / "app.py").write_text("")
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return dict(declared.declared(tree.directory_entries(folder)))


def test_a_source_that_says_nothing(tmp_path: Path) -> None:
    assert told(tmp_path) == {"processes": {}, "python": "", "dependencies": None}


def test_the_lines_of_a_procfile(tmp_path: Path) -> None:
    found = told(tmp_path, Procfile="web: python app.py $PORT\nworker: python work.py\n")["processes"]
    assert found == {
        "web": {"command": "python app.py $PORT", "variables": ["PORT"]},
        "worker": {"command": "python work.py", "variables": []},
    }


def test_a_linked_procfile_counts(tmp_path: Path) -> None:
    (tmp_path / "procs").write_text("web: x\n")
    (tmp_path / "Procfile").symlink_to("procs")
    assert list(told(tmp_path)["processes"]) == ["web"]


@pytest.mark.parametrize("text", ["python-3.12", "python-3.12.4\n", "\ufeffpython-3.12\r\n"])
def test_a_runtime_is_a_minor_version_of_python(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, runtime_txt=text)["python"] == "3.12"


@pytest.mark.parametrize(
    ("text", "dependencies"),
    [
        ('[project]\nname = "x"\ndependencies = ["tornado>=6.5", "redis"]', ["tornado>=6.5", "redis"]),
        ('[project]\nname = "x"', []),
        ("[tool.ruff]\nline-length = 100", None),
    ],
)
def test_dependencies_of_a_project(tmp_path: Path, text: str, dependencies: list[str] | None) -> None:
    assert told(tmp_path, pyproject_toml=text)["dependencies"] == dependencies


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"Procfile": "web"}, "Procfile, line 1 'web': it has the form `type: command`"),
        ({"runtime_txt": "pypy-7"}, "runtime.txt says 'pypy-7'; it has the form python-3.12"),
        ({"pyproject_toml": "[project"}, "pyproject.toml: "),
        (
            {"pyproject_toml": '[project]\ndynamic = ["dependencies"]'},
            "pyproject.toml leaves its dependencies to a build; write them to a file",
        ),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, files: dict[str, str], problem: str) -> None:
    with pytest.raises(tree.SourceError) as raised:
        told(tmp_path, **files)
    assert str(raised.value).startswith(problem)
