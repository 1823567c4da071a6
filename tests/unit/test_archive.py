"""Archives as sources: what they hold counts as in a directory, and what leads out of them is refused."""

from __future__ import annotations

import io
import os
import re
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.artifacts import Tree, build, folders, members, refusal, trees, write
from tests.unit.conftest import utils

__all__ = ["folders"]  # a fixture

archive, tree = utils("archive"), utils("tree")


def make_tar(source: Path, archive: Path, root: str = ".") -> Path:
    mode = {"gz": "w:gz", "bz2": "w:bz2", "xz": "w:xz", "tar": "w"}[archive.name.rpartition(".")[2]]
    with tarfile.open(archive, mode) as made:  # type: ignore[call-overload]
        made.add(source, root)
    return archive


def make_zst(source: Path, archive: Path, root: str = ".") -> Path:
    plain = make_tar(source, archive.with_suffix(".tar"), root)
    subprocess.run(["zstd", "--quiet", "-o", archive, plain], check=True)
    return archive


def make_zip(source: Path, archive: Path, root: str = ".") -> Path:
    with zipfile.ZipFile(archive, "w") as made:
        for path in sorted(source.rglob("*")):
            info = zipfile.ZipInfo(f"{root}/{path.relative_to(source)}".removeprefix("./") + ("/" if path.is_dir() else ""))
            info.external_attr = path.lstat().st_mode << 16
            made.writestr(info, str(path.readlink()) if path.is_symlink() else b"" if path.is_dir() else path.read_bytes())
    return archive


FORMATS = [(make_tar, "a.tar"), (make_tar, "a.tar.gz"), (make_tar, "a.tar.xz"), (make_zst, "a.tar.zst"), (make_zip, "a.zip")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = write(tmp_path / "source", {"app.py": "x", "deep/er/a.css": "a {}"})
    write(root, {"bin/run": (b"#!/bin/sh\n", True)})
    (root / "deep/link.css").symlink_to("er/a.css")
    (root / "empty").mkdir()
    return root


@pytest.mark.parametrize(("make", "name"), FORMATS)
@pytest.mark.parametrize("root", [".", "shop-1.4"])
def test_an_archive_is_the_release_that_its_directory_is(
    source: Path, tmp_path: Path, make: Callable[..., Path], name: str, root: str
) -> None:
    archive = make(source, tmp_path / name, root)
    one, other = build(source, tmp_path / "one"), build(archive, tmp_path / "other")
    assert Path(one["path"]).read_bytes() == Path(other["path"]).read_bytes()
    assert (one["files"], one["release"]) == (other["files"], other["release"])


@settings(max_examples=20)  # each builds two archives
@given(tree=trees)
def test_so_does_an_archive_of_any_tree(folders: Iterator[Path], tree: Tree) -> None:
    """The tar file of a build is an archive, too."""
    built = build(write(next(folders) / "x", tree), next(folders))
    listed = members(built)
    again = build(Path(built["path"]), next(folders))
    if len({name.partition("/")[0] for name in listed}) > 1 or len(listed) == 1:
        assert again["release"] == built["release"]


def test_directories_that_are_not_listed_are_there_all_the_same(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"app.py": "x", "deep/er/a.css": "a {}"})
    with tarfile.open(tmp_path / "bare.tar", "w") as archive:
        archive.add(source / "deep/er/a.css", "deep/er/a.css")
        archive.add(source / "app.py", "app.py")
    assert build(tmp_path / "bare.tar", tmp_path / "one")["release"] == build(source, tmp_path / "other")["release"]


def test_what_is_ignored_in_a_directory_is_ignored_in_an_archive(source: Path, tmp_path: Path) -> None:
    write(source, {".deployignore": "deep/er/\n*.log\n", "a.log": "x", "__pycache__/b": "x", "venv/pyvenv.cfg": "", "venv/lib/x.py": "x"})
    (source / "deep/link.css").unlink()
    archive = make_tar(source, tmp_path / "a.tar")
    built = build(archive, tmp_path / "one")
    assert sorted(members(built)) == ["app.py", "bin", "bin/run", "deep", "empty"]
    assert built["release"] == build(source, tmp_path / "other")["release"]


def test_a_hard_link_is_another_file(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"a": "x"})
    (source / "b").hardlink_to(source / "a")
    found = members(build(make_tar(source, tmp_path / "a.tar"), tmp_path / "dest"))
    assert {name: member.isreg() for name, member in found.items()} == {"a": True, "b": True}


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([member("/etc/passwd")], "/etc/passwd is a path out of the archive"),
        ([member("../x")], "../x is a path out of the archive"),
        ([member("a/../../x")], "a/../../x is a path out of the archive"),
        ([member("l", tarfile.SYMTYPE, "/etc/passwd")], "l is a link out of the archive, to /etc/passwd"),
        ([member("l", tarfile.SYMTYPE, "../x")], "l is a link out of the archive, to ../x"),
        ([member("d/l", tarfile.SYMTYPE, "../../x")], "d/l is a link out of the archive"),
        ([member("here", tarfile.SYMTYPE, "."), member("l", tarfile.SYMTYPE, "here/../x")], "l is a link out of the archive"),
        ([member("l", tarfile.LNKTYPE, "../../etc/passwd")], "is a path out of the archive"),
        ([member("l", tarfile.LNKTYPE, "later"), member("later")], "l is a link out of the archive, to later"),
        ([member("null", tarfile.CHRTYPE)], "null is neither a file, a directory nor a link"),
        ([member("pipe", tarfile.FIFOTYPE)], "pipe is neither a file, a directory nor a link"),
    ],
)
def test_what_leads_out_of_a_tar_file_is_refused(tmp_path: Path, bad: list[tarfile.TarInfo], said: str) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(member("app.py"))
        for info in bad:
            archive.addfile(info)
    assert said in refusal(tmp_path / "bad.tar", tmp_path / "dest")


@pytest.mark.parametrize(
    ("name", "mode", "content", "said"),
    [
        ("../x", stat.S_IFREG, b"", "../x is a path out of the archive"),
        ("/x", stat.S_IFREG, b"", "/x is a path out of the archive"),
        ("l", stat.S_IFLNK, b"/etc/passwd", "l is a link out of the archive, to /etc/passwd"),
        ("null", stat.S_IFCHR, b"", "null is neither a file, a directory nor a link"),
    ],
)
def test_what_leads_out_of_a_zip_file_is_refused(tmp_path: Path, name: str, mode: int, content: bytes, said: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("app.py", "x")
        info = zipfile.ZipInfo(name)
        info.external_attr = (mode | 0o644) << 16
        archive.writestr(info, content)
    assert said in refusal(tmp_path / "bad.zip", tmp_path / "dest")


@pytest.mark.parametrize("name", ["cut.tar.gz", "cut.tar.zst", "cut.zip"])
def test_an_archive_that_was_cut_short_is_refused(source: Path, tmp_path: Path, name: str) -> None:
    write(source, {"large": (bytes(range(256)) * 400, False)})
    make = {"gz": make_tar, "zst": make_zst, "zip": make_zip}[name.rpartition(".")[2]]
    archive = make(source, tmp_path / name)
    archive.write_bytes(archive.read_bytes()[:-200])
    assert str(archive) in refusal(archive, tmp_path / "dest")


def test_without_zstd_it_is_named(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zst(source, tmp_path / "a.tar.zst")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "zstd is needed on the controller" in refusal(archive, tmp_path / "dest")


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "none.tar", "w"):
        pass
    assert "is empty: no file is left to deploy" in refusal(tmp_path / "none.tar", tmp_path / "dest")


# Archives as people's tools make them


def zipped(archive: Path, files: Mapping[str, bytes | str], *, system: int, utf_8: bool = True) -> Path:
    """A zip file with members of these very names, as a tool of that system (0: Windows, 3: Unix) writes them."""
    with zipfile.ZipFile(archive, "w") as made:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = system, 0 if system == 0 else (stat.S_IFREG | 0o644) << 16
            made.writestr(info, content)
    if not utf_8:  # the same bytes, without the bit that says what they are; it is in both headers of each member
        data = bytearray(archive.read_bytes())
        for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            start = data.find(signature)
            while start >= 0:
                data[start + offset + 1] &= ~0x08
                start = data.find(signature, start + 4)
        archive.write_bytes(data)
    return archive


APP = {"app.py": "x", "static/a.css": "a {}"}
LITTER = {
    "macOS": ["__MACOSX/", "__MACOSX/._shop", "__MACOSX/shop/._app.py", ".DS_Store", "shop/.DS_Store", "shop/static/.DS_Store"],
    "tar of macOS": ["._shop", "shop/._app.py", "shop/static/._a.css"],
    "Windows": ["Thumbs.db", "shop/Thumbs.db", "shop/static/thumbs.db"],
    "git": ["pax_global_header"],
}


@pytest.mark.parametrize("tool", LITTER)
@pytest.mark.parametrize("root", ["shop/", ""])
def test_what_tools_leave_in_an_archive_stays_behind(tmp_path: Path, tool: str, root: str) -> None:
    """The one directory that all else lies in is found all the same."""
    wanted = build(write(tmp_path / "source", APP), tmp_path / "dest")["release"]
    litter = [name for name in LITTER[tool] if root or not name.startswith("shop/")]
    files = {**dict.fromkeys(litter, ""), **{f"{root}{name}": content for name, content in APP.items()}}
    assert build(zipped(tmp_path / "a.zip", files, system=3), tmp_path / "zip")["release"] == wanted
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, content in files.items():
            info = member(name.rstrip("/"), tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content.encode()))
    assert build(tmp_path / "a.tar", tmp_path / "tar")["release"] == wanted


def test_what_else_lies_beside_a_directory_is_of_the_app(tmp_path: Path) -> None:
    """Then the directory is not the root of the source."""
    archive = zipped(tmp_path / "a.zip", {"shop/app.py": "x", "README": "x"}, system=3)
    assert sorted(members(build(archive, tmp_path / "dest"))) == ["README", "shop", "shop/app.py"]


def test_an_archive_of_nothing_but_litter_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"__MACOSX/._shop": "", ".DS_Store": ""}, system=3)
    assert "is empty: no file is left to deploy" in refusal(archive, tmp_path / "dest")


@pytest.mark.parametrize("root", ["shop\\", ""])
def test_a_zip_file_of_windows_may_separate_by_backslashes(tmp_path: Path, root: str) -> None:
    wanted = build(write(tmp_path / "source", APP), tmp_path / "dest")["release"]
    directories = [f"{root}static\\"] + ([root] if root else [])
    files = {**dict.fromkeys(directories, ""), **{root + name.replace("/", "\\"): content for name, content in APP.items()}}
    assert build(zipped(tmp_path / "a.zip", files, system=0), tmp_path / "zip")["release"] == wanted


def test_a_directory_of_windows_may_have_no_separator_at_its_end(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        folder = zipfile.ZipInfo("shop")
        folder.create_system, folder.external_attr = 0, 0x10
        made.writestr(folder, "")
        made.writestr("shop/app.py", "x")
    assert sorted(members(build(tmp_path / "a.zip", tmp_path / "dest"))) == ["app.py"]


def test_a_backslash_in_a_name_of_unix_is_one(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"a\\b": "x", "app.py": "x"})
    wanted = build(source, tmp_path / "dest")["release"]
    assert build(make_zip(source, tmp_path / "a.zip"), tmp_path / "zip")["release"] == wanted
    assert build(make_tar(source, tmp_path / "a.tar"), tmp_path / "tar")["release"] == wanted


def test_names_that_macos_writes_in_utf_8_without_saying_so(tmp_path: Path) -> None:
    files = {"für.css": "x", "app.py": "x"}
    wanted = build(write(tmp_path / "source", files), tmp_path / "dest")["release"]
    assert build(zipped(tmp_path / "a.zip", files, system=3, utf_8=False), tmp_path / "zip")["release"] == wanted


@pytest.mark.parametrize("name", ["C:\\x", "c:/x", "C:\\Users\\ana\\app.py", "\\x", "\\\\server\\share\\x", "..\\x", "a\\..\\..\\x"])
def test_a_path_of_windows_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "a.zip", {"app.py": "x", name: "x"}, system=0)
    assert "is a path out of the archive" in refusal(archive, tmp_path / "dest")


@pytest.mark.parametrize("name", ["C:\\x", "c:/x"])
def test_a_drive_is_refused_wherever_the_archive_was_made(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(member("app.py"))
        archive.addfile(member(name))
    assert f"{name} is a path out of the archive" in refusal(tmp_path / "a.tar", tmp_path / "dest")
    assert "is a path out of the archive" in refusal(zipped(tmp_path / "a.zip", {"app.py": "x", name: "x"}, system=3), tmp_path / "dest")


# Anything


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Archives that can be read, one of each format."""
    folder = tmp_path_factory.mktemp("w")
    source = write(folder / "source", {"app.py": "x", "deep/er/a.css": "a {}" * 200})
    formats = [*FORMATS, (make_tar, "a.tar.bz2")]
    return [make(source, folder / f"{number}.{name}").read_bytes() for number, (make, name) in enumerate(formats)]


def entries(path: Path) -> list[Any] | None:
    """What of an archive counts; None when it is refused."""
    try:
        return list(archive.archive_entries(path))
    except archive.SourceError:
        return None


def placed(folder: Path, content: bytes) -> Path:
    """An archive of these bytes."""
    folder.mkdir()
    (folder / "a").write_bytes(content)
    return folder / "a"


@given(which=st.integers(0, len(FORMATS)), at=st.floats(0, 1, exclude_max=True), found=st.binary(max_size=4), gone=st.integers(0, 9))
def test_a_damaged_archive_is_read_or_refused(
    folders: Iterator[Path], whole: list[bytes], which: int, at: float, found: bytes, gone: int
) -> None:
    place = int(at * len(whole[which]))
    entries(placed(next(folders), whole[which][:place] + found + whole[which][place + gone :]))


@given(content=st.binary(max_size=600))
def test_bytes_are_an_archive_or_refused(folders: Iterator[Path], content: bytes) -> None:
    entries(placed(next(folders), content))


@pytest.mark.parametrize("which", range(len(FORMATS) + 1))
def test_each_format_with_a_checksum_is_refused_when_it_is_damaged(whole: list[bytes], tmp_path: Path, which: int) -> None:
    content = bytearray(whole[which])
    middle = len(content) // 2
    content[middle : middle + 9] = (byte ^ 0xFF for byte in content[middle : middle + 9])
    found = entries(placed(tmp_path / "a", bytes(content)))
    assert found is None or which == 0


ways = st.lists(st.sampled_from(["a", "b", "..", ".", ""]), min_size=1, max_size=4).map("/".join)
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE])


@given(made=st.lists(st.tuples(ways, kinds, ways), max_size=5))
def test_nothing_of_an_archive_is_outside(folders: Iterator[Path], made: list[tuple[str, bytes, str]]) -> None:
    """Neither by its path nor over links, as the file system goes them."""
    path = placed(next(folders), b"")
    with tarfile.open(path, "w") as packed:
        for name, kind, target in made:
            packed.addfile(member(name, kind, target))
    root = path.with_name("root")
    found = entries(path) or []
    for entry in sorted(found, key=lambda entry: bool(entry.target)):  # so that no link is gone through on the way to another entry
        assert ".." not in entry.path.split("/")
        place = root / entry.path
        with suppress(OSError):  # of an archive that has a file and a directory of one name
            place.parent.mkdir(parents=True, exist_ok=True)
            if entry.target:
                place.symlink_to(re.sub("/+", "/", entry.target))  # in a circle, realpath() takes what is behind // for absolute
            elif stat.S_ISDIR(entry.mode):
                place.mkdir(exist_ok=True)
            else:
                place.touch()
    # A link to itself leads nowhere; Path.resolve() calls that an error on some versions of Python.
    assert all(Path(os.path.realpath(root / entry.path)).is_relative_to(root) for entry in found)
