"""The tree of files that a release is made of: what of a source counts, in the order of paths."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# What the file managers of macOS and Windows leave in directories and archives.
LITTER = ("__MACOSX", "._*", ".DS_Store", "[Tt]humbs.db")
IGNORED = (".git", "__pycache__", "*.pyc", ".deployignore", *LITTER)


class SourceError(Exception):
    """The source cannot be packed; the message says why."""


class Entry(NamedTuple):
    """One thing of a tree: its path, mode (of a directory with its type), link target (links), content (files)."""

    path: str
    mode: int
    target: str
    content: bytes

    def digest(self) -> str:
        """Digest of all that counts."""
        head = f"{self.path}\0{self.mode:o}\0{self.target}\0".encode("utf-8", "surrogateescape")
        return hashlib.sha256(head + hashlib.sha256(self.content).digest()).hexdigest()


def ignored(listed: bytes, where: object) -> list[str]:
    """The patterns of a source: the built-in ones and those of its .deployignore, which says ``listed``."""
    lines = (line.strip() for line in listed.decode("utf-8", "surrogateescape").splitlines())
    patterns = [*IGNORED, *(line for line in lines if line and not line.startswith("#"))]
    negated = [pattern for pattern in patterns if pattern.startswith("!")]
    if negated:
        raise SourceError(f"{where}: {negated[0]} negates, which is not supported; name what is to be left out")
    return patterns


def is_ignored(path: str, is_directory: bool, patterns: list[str]) -> bool:
    """Whether one of the patterns leaves this path (relative to the source) out."""
    for pattern in patterns:
        if pattern.endswith("/") and not is_directory:
            continue
        pattern = pattern.rstrip("/")
        subject = path if "/" in pattern else path.rpartition("/")[2]
        if fnmatch.fnmatchcase(subject, pattern.lstrip("/")):
            return True
    return False


def directory_entries(source: Path) -> list[Entry]:
    """What of a directory counts."""
    listed = source / ".deployignore"
    patterns = ignored(listed.read_bytes() if listed.is_file() else b"", listed)

    def walk(directory: Path) -> Iterator[Entry]:
        for item in sorted(directory.iterdir(), key=lambda child: os.fsencode(child.name)):
            path = item.relative_to(source).as_posix()
            mode = item.lstat().st_mode
            if is_ignored(path, stat.S_ISDIR(mode), patterns):
                continue
            if stat.S_ISLNK(mode):
                target = os.readlink(item)
                inside = os.path.normpath(os.path.join(os.path.dirname(path), target))
                # By its words it may stay inside and yet be led out by another link on its way.
                led = Path(os.path.realpath(item)).is_relative_to(os.path.realpath(source))
                if os.path.isabs(target) or inside == ".." or inside.startswith("../") or not led:
                    raise SourceError(f"{item} is a link out of the source, to {target}; copy the file, or name it in .deployignore")
                yield Entry(path, 0o777, target, b"")
            elif stat.S_ISDIR(mode):
                if not (item / "pyvenv.cfg").exists():
                    yield Entry(path, 0o755 | stat.S_IFDIR, "", b"")
                    yield from walk(item)
            elif stat.S_ISREG(mode):
                yield Entry(path, 0o755 if mode & stat.S_IXUSR else 0o644, "", item.read_bytes())
            else:
                raise SourceError(f"{item} is neither a file, a directory nor a link; remove it, or name it in .deployignore")

    return list(walk(source))
