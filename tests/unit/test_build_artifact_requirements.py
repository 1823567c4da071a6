"""build_artifact: the digest of the requirements changes when what they install can change."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.unit.artifacts import build, source, write

__all__ = ["source"]  # a fixture


def requirements_digest(source: Path, tmp_path: Path, name: str = "requirements.txt") -> str:
    return str(build(source, tmp_path / "dest", requirements=name)["requirements_digest"])


def test_no_requirements(source: Path, tmp_path: Path) -> None:
    assert requirements_digest(source, tmp_path, "none.txt") == ""


def test_requirements_digest_is_of_the_requirements_alone(source: Path, tmp_path: Path) -> None:
    before = requirements_digest(source, tmp_path)
    assert len(before) == len(hashlib.sha256().hexdigest())
    write(source, {"app.py": "changed\n", "requirements-dev.txt": "pytest\n"})
    assert requirements_digest(source, tmp_path) == before
    write(source, {"requirements.txt": "tornado>6\n"})
    assert requirements_digest(source, tmp_path) != before


@pytest.mark.parametrize(
    "line",
    [
        "-r more/base.txt",
        "-rmore/base.txt",
        "  -r   more/base.txt",
        "-c more/base.txt",
        "--requirement more/base.txt",
        "--requirement=more/base.txt",
        "--constraint more/base.txt",
        "--constraint=more/base.txt",
        "-r ./more/../more/base.txt",
        "-r more/first.txt",
    ],
)
def test_included_requirements_count(source: Path, tmp_path: Path, line: str) -> None:
    write(source, {"requirements.txt": f"tornado\n{line}\n", "more/first.txt": "-r base.txt\n-r first.txt\n", "more/base.txt": "redis\n"})
    before = requirements_digest(source, tmp_path)
    write(source, {"app.py": "changed\n"})
    assert requirements_digest(source, tmp_path) == before
    write(source, {"more/base.txt": "redis>5\n"})
    assert requirements_digest(source, tmp_path) != before


def test_linked_requirements_count(source: Path, tmp_path: Path) -> None:
    write(source, {"more/base.txt": "redis\n"})
    (source / "requirements.txt").unlink()
    (source / "requirements.txt").symlink_to("current.txt")
    (source / "current.txt").symlink_to("more/base.txt")
    before = requirements_digest(source, tmp_path)
    write(source, {"app.py": "changed\n"})
    assert requirements_digest(source, tmp_path) == before
    write(source, {"more/base.txt": "redis>5\n"})
    assert requirements_digest(source, tmp_path) != before


def test_links_in_a_circle(source: Path, tmp_path: Path) -> None:
    (source / "requirements.txt").unlink()
    (source / "requirements.txt").symlink_to("again.txt")
    (source / "again.txt").symlink_to("requirements.txt")
    assert requirements_digest(source, tmp_path)


LOCAL = [
    ".",
    ".[extra]",
    "./libs/mine",
    "../mine",
    "libs/mine",
    "libs/mine[extra]",
    "wheels/mine-1.0-py3-none-any.whl",
    "mine-1.0-py3-none-any.whl",
    "mine-1.0.tar.gz",
    "-e .",
    "-e libs/mine",
    "--editable libs/mine",
    "--editable=libs/mine",
    "--find-links wheels",
    "-f wheels/",
    "--find-links=wheels",
    "file:libs/mine",
    "mine @ file:libs/mine",
    "  ./libs/mine",
]
REMOTE = [
    "tornado",
    "tornado==6.5 ; python_version < '3.12'",
    "tornado>=6,<7  # see docs/why.md",
    "mine @ https://example.com/mine-1.0-py3-none-any.whl",
    "mine[extra]@git+https://example.com/mine.git@main#egg=mine",
    "git+https://example.com/mine.git",
    "https://example.com/mine-1.0.tar.gz",
    "--index-url https://example.com/simple/",
    "--find-links https://example.com/wheels/",
    "-f https://example.com/wheels/",
    "zope.interface",
    "# ./libs/mine",
    "    --hash=sha256:0bcb763fddafba410f35cbde226aa7f8514b9fb82eb05a0c85f6588d1c13f8db",
]


@pytest.mark.parametrize(("line", "local"), [*((line, True) for line in LOCAL), *((line, False) for line in REMOTE)])
def test_local_paths_make_it_depend_on_the_release(source: Path, tmp_path: Path, line: str, local: bool) -> None:
    """Whatever is installed from the source itself can change with any of its files."""
    write(source, {"requirements.txt": f"tornado\n{line}\n"})
    before = requirements_digest(source, tmp_path)
    write(source, {"libs/mine/mine.py": "changed\n"})
    assert (requirements_digest(source, tmp_path) != before) == local


@pytest.mark.parametrize(
    ("files", "alone"),
    [
        ({"app.py": b"class Chat(WebSocketHandler): ..."}, "app.py"),
        ({"b/chat.py": b"from tornado.websocket import WebSocketHandler", "app.py": b"import chat"}, "b/chat.py"),
        ({"app.py": b"class Chat(WebSocketHandler): ...", "store.py": b"import os\nfrom redis.asyncio import Redis"}, ""),
        ({"app.py": b"# rediscover\nclass Chat(WebSocketHandler): ..."}, "app.py"),
        ({"app.py": b"import redis"}, ""),
        ({"notes.md": b"a WebSocketHandler is what you need"}, ""),
    ],
)
def test_websockets_that_no_other_process_hears_of_are_named(source: Path, tmp_path: Path, files: dict[str, bytes], alone: str) -> None:
    write(source, {name: (content, False) for name, content in files.items()})
    assert build(source, tmp_path / "dest")["alone"] == alone
