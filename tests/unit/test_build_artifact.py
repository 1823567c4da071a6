"""build_artifact: the same tree gives the same bytes anywhere, any other tree gives another release."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.loading import ROOT
from tests.unit.conftest import run_module

Tree = Mapping[str, tuple[bytes, bool]]  # path -> content, executable

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


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {"app.py": "print('hello')\n", "static/app.css": "a {}\n", "static/copy.css": "a {}\n", "requirements.txt": "tornado\n"}
    root = write(tmp_path / "source", files)
    (root / "bin").mkdir()
    write(root, {"bin/run": (b"#!/bin/sh\n", True)})
    (root / "latest.css").symlink_to("static/app.css")
    (root / "empty").mkdir()
    return root


# What the release depends on, and what not


@settings(max_examples=20)  # each builds an archive or two, and asks git
@given(tree=trees)
def test_bytes_depend_on_the_tree_alone(folders: Iterator[Path], tree: Tree) -> None:
    """Neither on where it lies, nor on times, nor on the order in which the files came, nor on modes beside the executable bit."""
    one, other = write(next(folders), tree), write(next(folders) / "elsewhere", dict(reversed(list(tree.items()))))
    for index, path in enumerate(sorted(other.rglob("*"))):
        os.utime(path, (index, index))
        if path.is_file():
            path.chmod(path.stat().st_mode & 0o700)
    first, second = build(one, next(folders)), build(other, next(folders))
    assert Path(first["path"]).read_bytes() == Path(second["path"]).read_bytes()
    assert Path(first["path"]).name == Path(second["path"]).name == f"{first['release']}.tar"
    assert first["files"] == len(tree)


@settings(max_examples=20)  # each builds an archive or two, and asks git
@given(tree=trees, data=st.data())
def test_any_change_is_another_release(folders: Iterator[Path], tree: Tree, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(tree)), "changed path")
    content, executable = tree[path]
    changes: dict[str, Tree] = {
        "content": {**tree, path: (content + b"x", executable)},
        "executable bit": {**tree, path: (content, not executable)},
        "name": {**{key: value for key, value in tree.items() if key != path}, f"{path}x": tree[path]},
        "new empty file": {**tree, "zz-a-name-of-its-own": (b"", False)},
    }
    change = data.draw(st.sampled_from(sorted(changes)), "change")
    before, after = write(next(folders), tree), write(next(folders), changes[change])
    assert build(before, next(folders))["release"] != build(after, next(folders))["release"]


@settings(max_examples=20)  # each builds an archive or two, and asks git
@given(tree=trees)
def test_times_follow_contents(folders: Iterator[Path], tree: Tree) -> None:
    """Web servers make ETags of size and time: equal contents have equal times, different ones different times."""
    result = build(write(next(folders), tree), next(folders))
    found = {name: member.mtime for name, member in members(result).items() if member.isfile()}
    assert set(found) == set(tree)
    for one, other in itertools.combinations(found, 2):
        assert (found[one] == found[other]) == (tree[one][0] == tree[other][0])


@settings(max_examples=20)  # each builds an archive or two, and asks git
@given(tree=trees)
def test_unpacked_it_is_the_tree(folders: Iterator[Path], tree: Tree) -> None:
    result, target = build(write(next(folders), tree), next(folders)), next(folders)
    target.mkdir()
    subprocess.run(["tar", "--extract", "--file", result["path"], "--directory", target], check=True)  # as Ansible does
    unpacked = {path.relative_to(target).as_posix(): path for path in target.rglob("*") if path.is_file()}
    assert {name: (path.read_bytes(), bool(path.stat().st_mode & 0o100)) for name, path in unpacked.items()} == tree


def test_content_split_otherwise_is_another_release(tmp_path: Path) -> None:
    """What stands in one file's name or content can never pass for another's."""
    shapes: list[Tree] = [
        {"ab": (b"c", False)},
        {"a": (b"bc", False)},
        {"a": (b"b", False), "c": (b"", False)},
        {"a": (b"", False), "b": (b"c", False)},
        {"a/b": (b"c", False)},
    ]
    releases = {build(write(tmp_path / str(index), shape), tmp_path / "dest")["release"] for index, shape in enumerate(shapes)}
    assert len(releases) == len(shapes)


def test_link_target_directory_and_kind_count(source: Path, tmp_path: Path) -> None:
    releases = [build(source, tmp_path / "dest")["release"]]

    def changed() -> None:
        releases.append(build(source, tmp_path / "dest")["release"])

    (source / "latest.css").unlink()
    (source / "latest.css").symlink_to("static/copy.css")
    changed()
    (source / "latest.css").unlink()
    (source / "latest.css").write_text("static/copy.css")
    changed()
    (source / "empty").rmdir()
    changed()
    (source / "empty").write_text("")
    changed()
    assert len(set(releases)) == len(releases)


def test_owner_and_umask_do_not_count(source: Path, tmp_path: Path) -> None:
    before = build(source, tmp_path / "one")
    umask = os.umask(0o077)
    try:
        copy = tmp_path / "copy"
        subprocess.run(["cp", "-R", "--no-preserve=mode,ownership,timestamps", source, copy], check=True)
        (copy / "bin/run").chmod(0o700)
        if os.geteuid() == 0:
            for path in (copy, *copy.rglob("*")):
                os.chown(path, 12345, 54321, follow_symlinks=False)
        after = build(copy, tmp_path / "other")
    finally:
        os.umask(umask)
    assert (copy / "app.py").stat().st_mode & 0o777 == 0o600
    assert Path(before["path"]).read_bytes() == Path(after["path"]).read_bytes()


def test_members_belong_to_nobody_in_particular(source: Path, tmp_path: Path) -> None:
    found = members(build(source, tmp_path / "dest"))
    assert {(member.uid, member.gid, member.uname, member.gname) for member in found.values()} == {(0, 0, "", "")}
    assert {name: oct(member.mode) for name, member in found.items()} == {
        "app.py": "0o644",
        "bin": "0o755",
        "bin/run": "0o755",
        "empty": "0o755",
        "latest.css": "0o777",
        "requirements.txt": "0o644",
        "static": "0o755",
        "static/app.css": "0o644",
        "static/copy.css": "0o644",
    }
    assert found["latest.css"].linkname == "static/app.css"


def test_counts_and_name(source: Path, tmp_path: Path) -> None:
    result = build(source, tmp_path / "deep/dest")
    assert result["path"] == str(tmp_path / "deep/dest" / f"{result['release']}.tar")
    assert len(result["release"]) == 12
    assert int(result["release"], 16) >= 0
    assert result["files"] == 5
    assert result["size"] == Path(result["path"]).stat().st_size


def test_names_that_are_no_text(source: Path, tmp_path: Path) -> None:
    """File names are bytes, and any of them is packed as it is."""
    strange = os.fsdecode(b"caf\xe9 \xff.txt")
    (source / strange).write_text("x")
    assert strange in members(build(source, tmp_path / "dest"))


# What is left out


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


# What is refused


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


# Writing


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A limit that makes writing fail half-way, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_killed_while_it_writes(source: Path, tmp_path: Path) -> None:
    """What was written so far has no archive's name."""
    (source / "large").write_bytes(bytes(1_000_000))
    before = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000,) * 2)"
    )
    done = build_apart(source, tmp_path / "dest", before=before)
    assert done.returncode == -signal.SIGXFSZ, done.stderr
    assert sum(path.stat().st_size for path in (tmp_path / "dest").iterdir()) == 100_000
    assert not list((tmp_path / "dest").glob("*.tar"))
    assert build(source, tmp_path / "dest")["changed"]


def test_half_written_archives_never_appear(source: Path, tmp_path: Path) -> None:
    (source / "large").write_bytes(bytes(1_000_000))
    with largest_file(100_000):
        message = refusal(source, tmp_path / "dest")  # looks into dest, too
    assert message == f"source {source}: cannot read or write {tmp_path}/dest: File too large"
    assert build(source, tmp_path / "dest")["changed"]


def test_second_build_finds_the_archive(source: Path, tmp_path: Path) -> None:
    first = build(source, tmp_path / "dest")
    inode = Path(first["path"]).stat().st_ino
    second = build(source, tmp_path / "dest")
    assert (first["changed"], second["changed"]) == (True, False)
    assert {**first, "changed": False} == second
    assert Path(second["path"]).stat().st_ino == inode


def test_check_mode_writes_nothing(source: Path, tmp_path: Path) -> None:
    told = run_module("build_artifact", check=True, source=str(source), dest=str(tmp_path / "dest"))
    assert told["changed"]
    assert told["size"] == sum(path.stat().st_size for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    assert not (tmp_path / "dest").exists()
    built = build(source, tmp_path / "dest")
    assert all(told[key] == built[key] for key in ("release", "path", "files", "requirements_digest"))
    assert not run_module("build_artifact", check=True, source=str(source), dest=str(tmp_path / "dest"))["changed"]


def version(source: Path, number: int, dest: Path, **arguments: Any) -> Path:
    """Build a version; its archive."""
    (source / "app.py").write_text(f"VERSION = {number}\n")
    return Path(build(source, dest, **arguments)["path"])


def test_newest_archives_stay(source: Path, tmp_path: Path) -> None:
    built = []
    for number in range(4):
        built.append(version(source, number, tmp_path / "dest"))
        os.utime(built[-1], (number, number))
    (tmp_path / "dest/notes.txt").write_text("mine\n")
    last = version(source, 4, tmp_path / "dest", keep=3)
    assert {path.name for path in (tmp_path / "dest").iterdir()} == {built[2].name, built[3].name, last.name, "notes.txt"}


def test_an_archive_that_is_needed_again_counts_as_new(source: Path, tmp_path: Path) -> None:
    """A run builds several sources one after the other, and then takes all of their archives."""
    old = version(source, 0, tmp_path / "dest")
    os.utime(old, (0, 0))
    os.utime(version(source, 1, tmp_path / "dest"), (1, 1))
    assert version(source, 0, tmp_path / "dest") == old
    version(source, 2, tmp_path / "dest", keep=2)
    assert old.exists()


# The environment's requirements


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


# What git calls it


@pytest.fixture
def git(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that runs git without the settings of this machine."""
    for key in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(key)
    for key in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(key, "/dev/null")

    def run(folder: Path, *arguments: str) -> None:
        who = ["-c", "user.name=ana", "-c", "user.email=ana@example.com"]
        subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)

    return run


def commit(git: Callable[..., None], folder: Path) -> None:
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "--message", "first")


def test_a_source_that_git_does_not_know_has_no_version(source: Path, tmp_path: Path, git: Callable[..., None]) -> None:
    assert build(source, tmp_path / "dest")["version"] == ""
    git(source, "init")  # without a commit
    assert build(source, tmp_path / "dest")["version"] == ""


def test_the_version_is_what_git_describes(source: Path, tmp_path: Path, git: Callable[..., None]) -> None:
    commit(git, source)
    assert re.fullmatch("[0-9a-f]{7,}", build(source, tmp_path / "dest")["version"])
    git(source, "tag", "v1.4")
    found = build(source, tmp_path / "dest")
    head = subprocess.run(["git", "-C", source, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert (found["version"], found["commit"]) == ("v1.4", head)
    (source / "app.py").write_text("print('changed')\n")
    assert build(source, tmp_path / "dest")["version"] == "v1.4-dirty"
    git(source, "commit", "--all", "--message", "second")
    assert re.fullmatch("v1[.]4-1-g[0-9a-f]{7,}", build(source, tmp_path / "dest")["version"])


def test_the_version_of_a_folder_is_that_of_its_repository(tmp_path: Path, git: Callable[..., None]) -> None:
    source = write(tmp_path / "repository/files/app", {"app.py": ""})
    commit(git, tmp_path / "repository")
    git(tmp_path / "repository", "tag", "v2")
    assert build(source, tmp_path / "dest")["version"] == "v2"


def test_a_folder_that_git_ignores_has_no_version_of_the_repository_around_it(tmp_path: Path, git: Callable[..., None]) -> None:
    write(tmp_path / "repository", {".gitignore": "app/\n"})
    commit(git, tmp_path / "repository")
    assert build(write(tmp_path / "repository/app", {"app.py": ""}), tmp_path / "dest")["version"] == ""


def test_the_version_does_not_count_for_the_release(source: Path, tmp_path: Path, git: Callable[..., None]) -> None:
    before = build(source, tmp_path / "dest")
    commit(git, source)
    after = build(source, tmp_path / "dest")
    assert after["version"]
    assert (after["release"], after["changed"]) == (before["release"], False)


def test_without_git_there_is_no_version(source: Path, tmp_path: Path, git: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    commit(git, source)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("ansible.module_utils.basic.get_bin_path", no_git)
    assert build(source, tmp_path / "dest")["version"] == ""


def no_git(arg: str, *_: object, **__: object) -> str:
    raise ValueError(f"no {arg} here")


def test_what_is_refused_need_not_have_a_name_in_utf_8(source: Path, tmp_path: Path) -> None:
    (source / os.fsdecode(b"f\xfcr")).symlink_to("/etc/passwd")
    assert f"{source}/f\ufffdr is a link out of the source" in refusal(source, tmp_path / "dest")
