"""build_artifact: what is no part of the app, or is in .deployignore, is left out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.unit.artifacts import build, members, refusal, source, write

__all__ = ["source"]  # a fixture


def test_leaves_out_what_is_no_part_of_the_app(source: Path, tmp_path: Path) -> None:
    before = build(source, tmp_path / "dest")
    litter = [
        ".git/HEAD",
        "__pycache__/app.pyc",
        "static/__pycache__/x",
        "old.pyc",
        "static/old.pyc",
        ".DS_Store",
        "static/.DS_Store",
        "static/._app.css",
        "static/Thumbs.db",
        "thumbs.db",
        "__MACOSX/._app.py",
        ".venv/pyvenv.cfg",
        ".venv/bin/python",
    ]
    write(source, dict.fromkeys((*litter, "lib/env/pyvenv.cfg", "lib/env/x"), "x"))
    (source / "static/.git").write_text("gitdir: elsewhere\n")  # of a submodule
    shutil.copytree(source / "lib", source / "static/lib")
    assert set(members(build(source, tmp_path / "dest"))) == {*members(before), "lib", "static/lib"}


IGNORABLE = ["a.log", "docs/a.log", "docs/b.md", "docs/deep/b.md", "deep/docs/b.md", "cache", "lib/cache/x", "tests/t.py", "lib/tests/t.py"]


@pytest.mark.parametrize(
    ("pattern", "ignored"),
    [
        ("*.log", ["a.log", "docs/a.log"]),
        ("a.log", ["a.log", "docs/a.log"]),
        ("/a.log", ["a.log"]),
        ("[ab].md", ["docs/b.md", "docs/deep/b.md", "deep/docs/b.md"]),
        ("?.log", ["a.log", "docs/a.log"]),
        ("docs/b.md", ["docs/b.md"]),
        ("/docs/b.md", ["docs/b.md"]),
        ("cache", ["cache", "lib/cache/x"]),
        ("cache/", ["lib/cache/x"]),
        ("tests/", ["tests/t.py", "lib/tests/t.py"]),
        ("/tests/", ["tests/t.py"]),
        ("lib/tests", ["lib/tests/t.py"]),
        ("lib/tests/", ["lib/tests/t.py"]),
        ("docs/*.md", ["docs/b.md", "docs/deep/b.md"]),
        ("# *.log", []),
        ("#a.log", []),
        ("", []),
        ("A.LOG", []),
        ("log", []),
    ],
)
def test_deployignore(tmp_path: Path, pattern: str, ignored: list[str]) -> None:
    source = write(tmp_path / "source", dict.fromkeys(IGNORABLE, "x"))
    (source / ".deployignore").write_text(f"# what stays here\n\n{pattern}\n")
    found = {name for name, member in members(build(source, tmp_path / "dest")).items() if member.isfile()}
    assert found == set(IGNORABLE) - set(ignored)


def test_deployignore_names_no_text(source: Path, tmp_path: Path) -> None:
    (source / os.fsdecode(b"caf\xe9")).write_text("x")
    (source / ".deployignore").write_bytes(b"caf\xe9\n")
    assert os.fsdecode(b"caf\xe9") not in members(build(source, tmp_path / "dest"))


def test_deployignore_cannot_negate(source: Path, tmp_path: Path) -> None:
    (source / ".deployignore").write_text("*.css\n!app.css\n")
    assert "!app.css negates" in refusal(source, tmp_path / "dest")


def test_what_is_ignored_does_not_count(source: Path, tmp_path: Path) -> None:
    (source / ".deployignore").write_text("*.log\n")
    before = build(source, tmp_path / "dest")
    write(source, {"today.log": "x", ".deployignore": "# the same in other words\n*.log\n"})
    os.mkfifo(source / "pipe.log")
    after = build(source, tmp_path / "dest")
    assert (after["release"], after["changed"]) == (before["release"], False)
