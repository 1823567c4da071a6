"""Archives as sources: what they hold, and what they must not hold."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.tree import LITTER, Entry, SourceError, ignored, is_ignored

ZSTANDARD = b"\x28\xb5\x2f\xfd"
DIRECTORY, LINK = 0o755 | stat.S_IFDIR, 0o777
UNIX, UTF_8, FAT_DIRECTORY = 3, 0x800, 0x10  # of members of a zip file: where it was made, how it is named, what it is
DRIVE = re.compile(r"[A-Za-z]:[/\\]")
COMMENT = "pax_global_header"  # of git, as a file when a tool that does not know it has packed it again


def archive_entries(source: Path) -> list[Entry]:
    """What of an archive counts: the same as of a directory with its content. Raises SourceError for what is refused."""
    try:
        found = {entry.path: entry for entry in (zip_entries if zipfile.is_zipfile(source) else tar_entries)(source)}
    except SourceError:
        raise
    except Exception as problem:  # of the formats in each other every one has errors of its own
        raise SourceError(f"source {source} is not an archive that can be read: {str(problem) or type(problem).__name__}") from problem
    found = without_root(with_parents(without_litter(found)))
    for entry in found.values():
        if entry.target and leads_out(entry.path, found):
            raise SourceError(f"source {source}: {entry.path} is a link out of the archive, to {entry.target}")
    listed = found.get(".deployignore")
    patterns = ignored(listed.content if listed else b"", f"{source}: .deployignore")
    left_out = [path for path, entry in found.items() if is_ignored(path, stat.S_ISDIR(entry.mode), patterns)]
    left_out += [posixpath.dirname(path) for path in found if posixpath.basename(path) == "pyvenv.cfg" and "/" in path]
    gone = frozenset(left_out)
    kept = [entry for path, entry in found.items() if path not in gone and not any(parent in gone for parent in parents(path))]
    return sorted(kept, key=lambda entry: [os.fsencode(part) for part in entry.path.split("/")])


def tar_entries(source: Path) -> Iterator[Entry]:
    """All that a tar file holds. A hard link is another file with the same content."""
    by_name: dict[str, Entry] = {}
    with tar(source) as archive:
        for member in archive:
            path = inside(source, member.name)
            if not path:
                continue
            if member.isdir():
                entry = Entry(path, DIRECTORY, "", b"")
            elif member.issym():
                entry = Entry(path, LINK, member.linkname, b"")
            elif member.islnk():
                original = by_name.get(inside(source, member.linkname))
                if original is None:
                    raise SourceError(f"source {source}: {member.name} is a link out of the archive, to {member.linkname}")
                entry = original._replace(path=path)
            elif member.isreg():
                content = archive.extractfile(member)
                entry = Entry(path, file_mode(member.mode), "", content.read() if content else b"")
            else:
                raise SourceError(f"source {source}: {member.name} is neither a file, a directory nor a link")
            by_name[path] = entry
            yield entry


@contextmanager
def tar(source: Path) -> Iterator[tarfile.TarFile]:
    """A tar file, to be read from its beginning to its end. Python itself knows nothing of zstd before 3.14."""
    with source.open("rb") as stream:
        compressed = stream.read(4) == ZSTANDARD
    if not compressed:
        with tarfile.open(source) as archive:
            yield archive
        return
    if not shutil.which("zstd"):
        raise SourceError(f"source {source}: zstd is needed on the controller to read it")
    with subprocess.Popen(
        ["zstd", "--decompress", "--stdout", "--quiet", str(source)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as zstd:
        with tarfile.open(fileobj=zstd.stdout, mode="r|") as archive:
            yield archive
        _, said = zstd.communicate()
    if zstd.returncode:
        raise SourceError(f"source {source}: {said.decode(errors='replace').strip()}")


def zip_entries(source: Path) -> Iterator[Entry]:
    """All that a zip file or a wheel holds. One that was made on Windows has no modes."""
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            name = zip_name(member)
            path = inside(source, name)
            mode = member.external_attr >> 16
            if not path:
                continue
            if name.endswith("/") or (member.create_system != UNIX and member.external_attr & FAT_DIRECTORY):
                yield Entry(path, DIRECTORY, "", b"")
            elif stat.S_ISLNK(mode):
                yield Entry(path, LINK, os.fsdecode(archive.read(member)), b"")
            elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
                yield Entry(path, file_mode(mode), "", archive.read(member))
            else:
                raise SourceError(f"source {source}: {name} is neither a file, a directory nor a link")


def zip_name(member: zipfile.ZipInfo) -> str:
    """A member's name as the machine had it that made the archive.

    Tools of Windows separate by backslashes, which a name of Unix may have; macOS writes UTF-8 without saying so.
    """
    if member.create_system != UNIX:
        return member.filename.replace("\\", "/")
    return member.filename if member.flag_bits & UTF_8 else os.fsdecode(member.filename.encode("cp437"))


def file_mode(mode: int) -> int:
    """The mode of a file in a release."""
    return 0o755 if mode & stat.S_IXUSR else 0o644


def inside(source: Path, name: str) -> str:
    """A member's path below the archive's root, empty for the root itself; refused when it is not below."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or DRIVE.match(name):
        raise SourceError(f"source {source}: {name} is a path out of the archive")
    return "/".join(parts)


def parents(path: str) -> Iterator[str]:
    """The directories above a path, the nearest first."""
    while "/" in path:
        path = posixpath.dirname(path)
        yield path


def with_parents(found: Mapping[str, Entry]) -> dict[str, Entry]:
    """The same with the directories that an archive need not list."""
    implied = {parent: Entry(parent, DIRECTORY, "", b"") for path in found for parent in parents(path)}
    return {**implied, **found}


def without_litter(found: Mapping[str, Entry]) -> dict[str, Entry]:
    """The same without what belongs to a tool: it may lie beside the one directory that all else is in."""
    return {
        path: entry
        for path, entry in found.items()
        if path != COMMENT and not any(is_ignored(part, is_directory=False, patterns=[*LITTER]) for part in path.split("/"))
    }


def without_root(found: Mapping[str, Entry]) -> dict[str, Entry]:
    """The content of the one directory that all of an archive lies in, as in an sdist; all of it when there is no such directory."""
    tops = {path.partition("/")[0] for path in found}
    root = next(iter(tops), "")
    if len(tops) != 1 or not stat.S_ISDIR(found[root].mode) or len(found) == 1:
        return dict(found)
    below = {path[len(root) + 1 :]: entry for path, entry in found.items() if path != root}
    return {path: entry._replace(path=path) for path, entry in below.items()}


def leads_out(path: str, found: Mapping[str, Entry]) -> bool:
    """Whether a link, or another one on its way, leads out of the archive."""
    waiting, followed = path.split("/"), 0
    reached: list[str] = []
    while waiting:
        part = waiting.pop(0)
        if part == "..":
            if not reached:
                return True
            reached.pop()
        elif part not in ("", "."):
            reached.append(part)
        entry = found.get("/".join(reached))
        if entry is not None and entry.target:
            followed += 1
            if entry.target.startswith("/"):
                return True
            if followed > len(found):  # in a circle
                return False
            reached.pop()
            waiting = entry.target.split("/") + waiting
    return False
