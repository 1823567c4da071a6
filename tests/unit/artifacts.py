"""Sources that build_artifact builds from, and what it makes of them."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tests.unit.loading import ROOT
from tests.unit.conftest import run_module

Tree = Mapping[str, tuple[bytes, bool]]  # path -> content, executable


# Sources

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda name: (
        name not in (".", "..", ".git", "__pycache__", "__MACOSX", ".DS_Store", ".deployignore", "pyvenv.cfg")
        and name not in ("Procfile", "runtime.txt", "pyproject.toml")  # which have to say what they are there for
        and name.lower() != "thumbs.db"
        and not name.endswith((".pyc", ":"))  # no drive of Windows either
        and not name.startswith("._")
    )
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
trees = st.dictionaries(paths, st.tuples(st.binary(max_size=40), st.booleans()), min_size=1, max_size=6).filter(
    lambda tree: not any(other.startswith(f"{path}/") for path in tree for other in tree)  # no file where another needs a directory
)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """New directories, without end."""
    base = tmp_path_factory.mktemp("artifacts")
    return (base / str(number) for number in itertools.count())


def write(root: Path, tree: Tree | Mapping[str, str]) -> Path:
    """Make the files, in the order of the mapping."""
    for path, given_content in tree.items():
        content, executable = (given_content.encode(), False) if isinstance(given_content, str) else given_content
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o755 if executable else 0o644)
    return root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {"app.py": "print('hello')\n", "static/app.css": "a {}\n", "static/copy.css": "a {}\n", "requirements.txt": "tornado\n"}
    root = write(tmp_path / "source", files)
    (root / "bin").mkdir()
    write(root, {"bin/run": (b"#!/bin/sh\n", True)})
    (root / "latest.css").symlink_to("static/app.css")
    (root / "empty").mkdir()
    return root


# Builds


def build(source: Path, dest: Path, **arguments: Any) -> dict[str, Any]:
    result = run_module("build_artifact", source=str(source), dest=str(dest), **arguments)
    assert not result.get("failed"), result["msg"]
    return result


def refusal(source: Path, dest: Path) -> str:
    """Why the source is refused."""
    result = run_module("build_artifact", source=str(source), dest=str(dest))
    assert result["failed"]
    assert not dest.exists() or not list(dest.iterdir())
    return str(result["msg"])


def members(result: Mapping[str, Any]) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(result["path"]) as archive:
        return {member.name: member for member in archive}


def build_apart(source: Path, dest: Path, *, prefix: list[str] | None = None, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the module in a process of its own, which runs some code before."""
    code = (
        f"import json, runpy, sys; from ansible.module_utils.testing import patch_module_args\n{before}\n"
        "import tests.unit.loading\n"
        "with patch_module_args(json.loads(sys.argv[2])): runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    arguments = json.dumps({"source": str(source), "dest": str(dest)})
    command: list[str | Path] = [*(prefix or []), sys.executable, "-c", code, ROOT / "plugins/modules/build_artifact.py", arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
