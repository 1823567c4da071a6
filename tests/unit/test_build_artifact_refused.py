"""build_artifact: a source that cannot be packed as a whole is refused, and nothing is written."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tests.unit.artifacts import build, build_apart, members, refusal, source, write

__all__ = ["source"]  # a fixture


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../source/app.py", "static/../../secret", "here/../secret", "here/.."])
def test_links_out_of_the_source(source: Path, tmp_path: Path, target: str) -> None:
    (source / "here").symlink_to(".")  # over this one, a link whose words stay inside leads out
    (source / "link").symlink_to(target)
    message = refusal(source, tmp_path / "dest")
    assert f"{source}/link is a link out of the source, to {target}" in message
    assert ".deployignore" in message


@pytest.mark.parametrize("target", ["app.py", "static", "static/../app.py", "nowhere", "./static/app.css", "link"])
def test_links_inside_the_source(source: Path, tmp_path: Path, target: str) -> None:
    (source / "link").symlink_to(target)
    assert members(build(source, tmp_path / "dest"))["link"].linkname == target


def test_special_files(source: Path, tmp_path: Path) -> None:
    os.mkfifo(source / "static/pipe")
    assert f"{source}/static/pipe is neither a file, a directory nor a link" in refusal(source, tmp_path / "dest")


def test_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "source", {"app.py": "x"})
    monkeypatch.chdir(root)  # a socket's path may have 107 bytes only
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("sock")
        assert f"{root}/sock is neither" in refusal(root, tmp_path / "dest")


def test_missing_source(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere", tmp_path / "dest") == f"source {tmp_path}/nowhere is not there"


def test_source_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert refusal(tmp_path / "file", tmp_path / "dest").startswith(f"source {tmp_path}/file is not an archive that can be read: ")


@pytest.mark.parametrize("files", [[], [".git/HEAD"], ["a.pyc", "deep/b.pyc"], [".deployignore"]])
def test_empty_source(tmp_path: Path, files: list[str]) -> None:
    (tmp_path / "source").mkdir()
    write(tmp_path / "source", dict.fromkeys(files, "x"))
    assert "is empty: no file is left to deploy" in refusal(tmp_path / "source", tmp_path / "dest")


@pytest.mark.parametrize("name", ["app.py", "static", ""])
def test_unreadable_source(source: Path, tmp_path: Path, name: str) -> None:
    """Root can read everything unless it does without the two capabilities that let it."""
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    (source / name).chmod(0)
    try:
        done = build_apart(source, tmp_path / "dest", prefix=drop)
    finally:
        (source / name).chmod(0o755)
    result = json.loads(done.stdout)
    assert result["failed"]
    assert result["msg"].startswith(f"source {source}: cannot read or write {source / name}")
    assert result["msg"].endswith(": Permission denied")
    assert not (tmp_path / "dest").exists()


def test_what_is_refused_need_not_have_a_name_in_utf_8(source: Path, tmp_path: Path) -> None:
    (source / os.fsdecode(b"f\xfcr")).symlink_to("/etc/passwd")
    assert f"{source}/f\ufffdr is a link out of the source" in refusal(source, tmp_path / "dest")
