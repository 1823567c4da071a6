"""What a source says of itself."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.conftest import run_module, utils

declared, tree = utils("declared"), utils("tree")


def source(folder: Path, **files: str) -> Sequence[Any]:
    """The entries of a source with these files; `pyproject_toml` is pyproject.toml."""
    (folder / "app.py").write_text("")
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return list(tree.directory_entries(folder))


def test_a_source_that_says_nothing(tmp_path: Path) -> None:
    packed = source(tmp_path)
    assert (declared.procfile(packed), declared.python(packed), declared.dependencies(packed)) == ({}, "", [])


def test_the_lines_of_a_procfile(tmp_path: Path) -> None:
    found = declared.procfile(source(tmp_path, Procfile="web: python app.py $PORT\nworker: python work.py\n"))
    assert {kind: process["command"] for kind, process in found.items()} == {"web": "python app.py $PORT", "worker": "python work.py"}


def test_a_linked_procfile_counts(tmp_path: Path) -> None:
    (tmp_path / "procs").write_text("web: x\n")
    (tmp_path / "Procfile").symlink_to("procs")
    assert list(declared.procfile(source(tmp_path))) == ["web"]


@pytest.mark.parametrize("text", ["python-3.12", "python-3.12.4\n", "\ufeffpython-3.12\r\n"])
def test_a_runtime_is_a_minor_version_of_python(tmp_path: Path, text: str) -> None:
    assert declared.python(source(tmp_path, runtime_txt=text)) == "3.12"


@pytest.mark.parametrize(
    ("text", "dependencies"),
    [
        ('[project]\nname = "x"\ndependencies = ["tornado>=6.5", "redis"]', ["tornado>=6.5", "redis"]),
        ('[project]\nname = "x"', []),
        ("[tool.ruff]\nline-length = 100", []),
    ],
)
def test_dependencies_of_a_project(tmp_path: Path, text: str, dependencies: list[str]) -> None:
    assert declared.dependencies(source(tmp_path, pyproject_toml=text)) == dependencies


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"Procfile": "web"}, "Procfile, line 1 'web' does not have the form `type: command`"),
        ({"runtime_txt": "pypy-7"}, "runtime.txt says 'pypy-7'; it has the form python-3.12"),
        ({"pyproject_toml": "[project"}, "pyproject.toml: "),
        ({"pyproject_toml": '[project]\ndynamic = ["dependencies"]'}, "pyproject.toml leaves its dependencies to a build"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, files: dict[str, str], problem: str) -> None:
    source(tmp_path, **files)
    result = run_module("build_artifact", source=str(tmp_path), dest=str(tmp_path.with_name("artifacts")))
    assert result["failed"]
    assert result["msg"].startswith(problem)


def test_a_project_is_not_asked_beside_a_requirements_file(tmp_path: Path) -> None:
    source(tmp_path, pyproject_toml='[project]\ndynamic = ["dependencies"]', requirements_txt="tornado\n")
    result = run_module("build_artifact", source=str(tmp_path), dest=str(tmp_path.with_name("artifacts")))
    assert result["dependencies"] == []
    assert result["requirements_digest"]


def test_dependencies_make_the_environment(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        source(tmp_path, pyproject_toml=text)
        return str(run_module("build_artifact", source=str(tmp_path), dest=str(tmp_path.with_name("artifacts")))["requirements_digest"])

    one, same, other = (
        digest(f'[project]\nname = "x"\n{rest}\n') for rest in ('dependencies = ["a"]', '# x\ndependencies = ["a"]', 'dependencies = ["b"]')
    )
    assert one == same != other
    assert digest('[project]\nname = "x"') == ""


words = st.sampled_from(
    [
        "[project]\n",
        "dependencies",
        "dynamic",
        " = ",
        "[",
        "]",
        '"x"',
        "'",
        "7",
        "\n",
        "web",
        ": ",
        "python-3",
        ".12",
        "\ufeff",
        "\0",
        "{",
        "#",
    ]
)
contents = st.binary(max_size=60) | st.lists(words, max_size=20).map(lambda listed: "".join(listed).encode())


@given(content=contents)
@example(content=b"[project]\ndependencies = 7")
@example(content=b'[project]\ndependencies = ["x", 7]')
@example(content=b"[project]\ndynamic = 7")
@example(content=b"x = " + b"[" * 9000)
def test_whatever_a_source_says_is_read_or_refused(content: bytes) -> None:
    packed = [tree.Entry(path, 0o644, "", content) for path in ("Procfile", "runtime.txt", "pyproject.toml")]
    for read in (declared.procfile, declared.python, declared.dependencies):
        with suppress(tree.SourceError):
            assert all(isinstance(text, str) for text in read(packed))
