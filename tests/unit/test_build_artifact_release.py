"""build_artifact: the same tree gives the same bytes anywhere, any other tree gives another release."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.artifacts import Tree, build, folders, members, source, trees, write

__all__ = ["folders", "source"]  # fixtures


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
