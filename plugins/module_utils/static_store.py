"""The store of an app's static files, by content: ``assets/<digest>/<path below static>``, hard links to the files of releases.

The digests are those that Tornado puts into the ``v`` of a URL, SHA-512 today and MD5 before. nginx finds what a URL names there without
knowing of releases. Beside a file lie what it is compressed to.
"""

from __future__ import annotations

import filecmp
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ansible_collections.tornado_app.deploy.plugins.module_utils.untrusted import remove_tree

DIGESTS = ("sha512", "md5")
MARKS, NEW = ".done", ".new"  # in the store: what was done of each release, and what is being made
BROTLI = "/usr/bin/brotli"
SUFFIXES = (".gz", ".br")
WORTH_IT = 1000  # bytes: what is smaller goes in one packet anyway
COMPRESSIBLE = re.compile(
    r"\.(atom|bmp|[cm]?js|css|csv|eot|gltf|html?|ico|ics|(geo)?json|jsonld|map|md|otf|rss|svg|ttf|txt|vtt|wasm|webmanifest|x?html|xml|ya?ml)",
    re.IGNORECASE,
)


class StaticFile(NamedTuple):
    """A file that nginx serves: its path in a URL, where it is in its release, and whether it lies there among the static files."""

    path: str
    real: str
    own: bool


def files(release: str, static: str) -> Iterator[StaticFile]:
    """The static files of a release. A link inside of the release counts as what it leads to; no link leads out, or in circles.

    What begins with a dot nginx does not serve.
    """
    root = os.path.realpath(release)
    top = os.path.realpath(os.path.join(root, static))
    waiting = [(top, "", False)]
    while waiting:
        directory, prefix, linked = waiting.pop()
        if not is_below(directory, root) or not os.path.isdir(directory):
            continue
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            is_link = os.path.islink(path)
            real = os.path.realpath(path) if is_link else path
            if name.startswith(".") or not is_below(real, root):
                continue
            if os.path.isdir(real):
                if not (is_link and linked):
                    waiting.append((real, f"{prefix}{name}/", linked or is_link))
            elif os.path.isfile(real):
                yield StaticFile(f"{prefix}{name}", real, is_below(real, top))


def is_below(path: str, directory: str) -> bool:
    """Whether a path is a directory or lies below it."""
    return os.path.commonpath((path, directory)) == directory


def is_compressible(path: str) -> bool:
    """Whether a file of this name becomes smaller."""
    return COMPRESSIBLE.fullmatch(os.path.splitext(path)[1]) is not None


def variants(file: StaticFile) -> list[str]:
    """The suffixes of what a file is compressed to, of those that are there."""
    if not (file.own and is_compressible(file.path)):
        return []
    return [suffix for suffix in SUFFIXES if os.path.isfile(file.real + suffix) and not os.path.islink(file.real + suffix)]


def digests(path: str) -> list[str]:
    """The digests of a file's content, by which URLs name it."""
    found = [hashlib.new(name, usedforsecurity=False) for name in DIGESTS]
    with open(path, "rb") as stream:
        while part := stream.read(1 << 20):
            for digest in found:
                digest.update(part)
    return [digest.hexdigest() for digest in found]


def marks(assets: str) -> dict[str, str]:
    """Release -> the directory of static files with which it was done."""
    return {mark.name: said(mark) for mark in sorted(Path(assets, MARKS).glob("*"))}


def said(mark: Path) -> str:
    """What a mark says; empty when it says nothing."""
    try:
        return str(json.loads(mark.read_text(encoding="utf-8"))["static"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


class Store:
    """The store of one app, for what holds the lock: there is one at a time."""

    def __init__(self, assets: str, releases: str, static: str) -> None:
        self.assets, self.releases, self.static = assets, releases, static
        self.new = os.path.join(assets, NEW)

    def missing(self, releases: list[str]) -> list[str]:
        """Those of the releases that are not in the store, or were put there with other static files."""
        done = marks(self.assets) if self.static else {}
        return [release for release in releases if self.static and done.get(release) != self.static]

    def prepare(self) -> None:
        """Make what has to be there, and remove what a killed run was making."""
        if not os.path.isdir(self.assets):
            os.mkdir(self.assets)
            os.chown(self.assets, os.geteuid(), os.stat(self.releases).st_gid)
        if os.path.lexists(self.new):
            remove_tree(self.new)
        for name in (NEW, MARKS):
            os.makedirs(os.path.join(self.assets, name), exist_ok=True)

    def add(self, release: str) -> None:
        """Compress the static files of a release, and give each its names. The mark comes last: what was cut short is done again."""
        found = list(files(os.path.join(self.releases, release), self.static))
        own = {real: digests(real) for real in {file.real for file in found}}
        self.compress(found, own)
        compressed = {file.path + suffix for file in found for suffix in variants(file)}
        shared = set()
        for file in found:
            for real in (file.real + suffix for suffix in ("", *variants(file)) if file.path not in compressed):
                for digest in own[file.real]:
                    # Once, and by the first digest: with the same MD5 it may be another file, and all names of a file are to lead to one.
                    self.keep(real, os.path.join(self.assets, digest, file.path + real[len(file.real) :]), share=real not in shared)
                    shared.add(real)
        made = os.path.join(self.new, "mark")
        Path(made).write_text(json.dumps({"static": self.static}), encoding="utf-8")
        os.rename(made, os.path.join(self.assets, MARKS, release))

    def compress(self, found: list[StaticFile], own: dict[str, list[str]]) -> None:
        """Put beside each file what is not there yet and smaller. It gets its name when it is on the disk: one that is there is whole.

        What another release has of the same content is taken: most files are the same in the next release.
        """
        made: list[tuple[str, str]] = []
        for real, name in sorted({file.real: file.path for file in found if file.own and is_compressible(file.path)}.items()):
            original = os.stat(real)
            for suffix in SUFFIXES if original.st_size > WORTH_IT else ():
                path, known = os.path.join(self.new, str(len(made))), os.path.join(self.assets, own[real][0], name + suffix)
                if os.path.lexists(real + suffix):
                    continue
                if os.path.isfile(known):
                    os.link(known, real + suffix)
                elif packed(real, suffix, path) and os.stat(path).st_size < original.st_size:
                    os.chown(path, original.st_uid, original.st_gid)
                    os.chmod(path, original.st_mode & 0o644)
                    os.utime(path, ns=(original.st_mtime_ns, original.st_mtime_ns))
                    made.append((path, real + suffix))
        if made:
            subprocess.run(["sync", "--file-system", self.new], check=True)
        for path, goal in made:
            os.rename(path, goal)

    def keep(self, real: str, name: str, *, share: bool) -> None:
        """Give a file a name in the store. To share is to become the file that has the name already, where the content is the same."""
        try:
            os.makedirs(os.path.dirname(name), exist_ok=True)
            os.link(real, name)
        except NotADirectoryError:  # of the same content, another release has a file where this one has a directory
            return
        except FileExistsError:
            if not os.path.isfile(name) or os.path.samefile(real, name):
                return
            old, new = (real, name) if share and filecmp.cmp(real, name, shallow=False) else (name, real)
            if new == name:
                own, mode = os.stat(real), os.stat(name).st_mode
                os.chown(name, own.st_uid, own.st_gid)
                os.chmod(name, (own.st_mode | mode) & 0o777)  # a program stays one
            link = os.path.join(self.new, "link")
            os.link(new, link)
            os.rename(link, old)

    def prune(self, releases: list[str]) -> int:
        """Remove what no release has any more, and say how many files these were."""
        kept = set()
        for release in releases if self.static else ():
            for file in files(os.path.join(self.releases, release), self.static):
                for suffix in ("", *variants(file)):
                    found = os.stat(file.real + suffix)
                    kept.add((found.st_dev, found.st_ino))
        gone = 0
        for entry in sorted(os.listdir(self.assets)):
            if entry in (MARKS, NEW):
                continue
            for folder, _, names in os.walk(os.path.join(self.assets, entry), topdown=False):
                for name in names:
                    path = os.path.join(folder, name)
                    found = os.lstat(path)
                    if (found.st_dev, found.st_ino) not in kept:
                        os.unlink(path)
                        gone += 1
                if not os.listdir(folder):
                    os.rmdir(folder)
        for mark in marks(self.assets):
            if mark not in releases or not self.static:
                os.unlink(os.path.join(self.assets, MARKS, mark))
        remove_tree(self.new)
        return gone


def packed(real: str, suffix: str, path: str) -> bool:
    """Compress a file to another one as small as can be, always to the same bytes; False where the host cannot."""
    if suffix == ".br" and not os.path.exists(BROTLI):
        return False
    with open(path, "wb") as target:
        if suffix == ".br":
            # Its best quality, 11, takes twelve times as long for a tenth less.
            command = ["nice", BROTLI, "--quality=9", "--stdout", real]
            subprocess.run(command, stdout=target, stdin=subprocess.DEVNULL, check=True)
            return True
        with open(real, "rb") as source, gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=target, mtime=0) as stream:
            shutil.copyfileobj(source, stream)
    return True
