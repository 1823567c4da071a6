#!/usr/bin/python
"""Ansible module: pack a directory into a deterministic archive named by its content."""

from __future__ import annotations

DOCUMENTATION = r"""
module: build_artifact
short_description: Pack a directory into a deterministic archive named by its content
description:
  - The same tree gives the same bytes and the same name on any machine. Names, contents, the executable bit and symbolic links count;
    owners and times do not.
  - Each file's modification time is derived from its content, so that web servers, which make ETags of it, see a file change exactly when
    its content does.
  - F(.git), C(__pycache__), C(*.pyc), virtualenvs and what F(.deployignore) names are left out. A line of F(.deployignore) is a shell
    pattern; it matches names at any depth, or a path from the source's root when it contains a slash before its end; a slash at its end
    makes it match directories only; empty lines and lines that begin with C(#) do not count.
  - The archive is a tar file without compression, whose bytes depend on no library's version.
  - An archive that is there already counts as new, so that building other sources does not remove it.
options:
  source:
    description: The directory.
    type: path
    required: true
  dest:
    description: Directory for archives. The newest O(keep) of them stay there.
    type: path
    required: true
  keep:
    description: Archives kept in O(dest).
    type: int
    default: 20
  requirements:
    description: Requirements file in O(source), whose digest is told; it need not be there.
    type: str
    default: requirements.txt
attributes:
  check_mode:
    description: Tells the release without writing the archive.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Build the artifact
  build_artifact:
    source: files/app
    dest: ~/.cache/tornado_app
  delegate_to: localhost
"""

RETURN = r"""
release:
  description: The release's id, the first 12 hexadecimal digits of the SHA-256 digest of names, types, modes and contents.
  type: str
  returned: success
  sample: 0f9c2d6b41aa
path:
  description: The archive.
  type: path
  returned: success
size:
  description: Bytes of the archive; of all files together when there is none, in check mode.
  type: int
  returned: success
files:
  description: Number of files.
  type: int
  returned: success
requirements_digest:
  description: SHA-256 of all that the requirements file says, the files that it includes too; empty when there is no such file. It
    depends on the whole release when the file names local paths.
  type: str
  returned: success
version:
  description: What C(git describe) calls the source, with C(-dirty) when it differs from its commit; empty when git does not know it.
  type: str
  returned: success
  sample: v1.4-2-g0f9c2d6
"""

import fnmatch
import hashlib
import io
import os
import re
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ansible.module_utils.basic import AnsibleModule

IGNORED = (".git", "__pycache__", "*.pyc", ".deployignore")
OLDEST_TIME = 1_000_000_000  # in 2001: no tool takes the derived times for times of the future
INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]?\s*(\S+)", re.MULTILINE)
# An option or a path that leads pip to a directory or an archive of the source; `name @ https://…` and `git+https://…` do not.
LOCAL = re.compile(
    r"^\s*(-e\b|--editable|(-f|--find-links)[ =]?\s*(?![\s=]|\w+://)|/|file:|\.(\[|\s|$)|[\w.][^\s:@#;]*(/|\.(whl|zip|tar|tgz)\b))|@\s*file:",
    re.MULTILINE,
)


class SourceError(Exception):
    """The source cannot be packed; the message says why."""


class Entry(NamedTuple):
    """One thing in the archive: its path, mode, link target (links), content (files)."""

    path: str
    mode: int
    target: str
    content: bytes

    def digest(self) -> str:
        """Digest of all that counts."""
        head = f"{self.path}\0{self.mode:o}\0{self.target}\0".encode("utf-8", "surrogateescape")
        return hashlib.sha256(head + hashlib.sha256(self.content).digest()).hexdigest()


def read_ignored(source: Path) -> list[str]:
    """The patterns of a source: the built-in ones and those of its .deployignore."""
    patterns = list(IGNORED)
    listed = source / ".deployignore"
    if listed.is_file():
        lines = (line.strip() for line in listed.read_text(encoding="utf-8", errors="surrogateescape").splitlines())
        patterns += [line for line in lines if line and not line.startswith("#")]
    negated = [pattern for pattern in patterns if pattern.startswith("!")]
    if negated:
        raise SourceError(f"{listed}: {negated[0]} negates, which is not supported; name what is to be left out")
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


def entries(source: Path) -> Iterator[Entry]:
    """What of a source goes into the archive, in the order of paths."""
    patterns = read_ignored(source)

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

    yield from walk(source)


def release_id(packed: list[Entry]) -> str:
    """The id of the release that these entries make."""
    return hashlib.sha256("".join(entry.digest() for entry in packed).encode()).hexdigest()[:12]


def write_archive(packed: list[Entry], dest: Path) -> None:
    """Write the tar file; it appears under its name when it is whole."""
    handle, temporary = tempfile.mkstemp(dir=dest.parent, prefix=f".{dest.name}.")
    try:
        with os.fdopen(handle, "wb") as raw, tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for entry in packed:
                info = tarfile.TarInfo(entry.path)
                info.mode = stat.S_IMODE(entry.mode)
                info.mtime = OLDEST_TIME + int(hashlib.sha256(entry.content).hexdigest()[:7], 16)
                if entry.target:
                    info.type, info.linkname = tarfile.SYMTYPE, entry.target
                elif stat.S_ISDIR(entry.mode):
                    info.type = tarfile.DIRTYPE
                else:
                    info.size = len(entry.content)
                archive.addfile(info, io.BytesIO(entry.content))
        os.replace(temporary, dest)
    except BaseException:
        os.unlink(temporary)
        raise


def followed(entry: Entry, by_path: dict[str, Entry]) -> Entry:
    """What a link leads to, over other links too."""
    for _ in by_path:
        if not entry.target:
            break
        entry = by_path.get(os.path.normpath(os.path.join(os.path.dirname(entry.path), entry.target)), entry)
    return entry


def requirements_digest(packed: list[Entry], name: str, release: str) -> str:
    """Digest of a requirements file and of those that it includes."""
    by_path = {entry.path: entry for entry in packed}
    seen: dict[str, str] = {}
    waiting = [name]
    while waiting:
        path = waiting.pop()
        if path in seen or path not in by_path:
            continue
        seen[path] = followed(by_path[path], by_path).content.decode("utf-8", "replace")
        waiting += [os.path.normpath(os.path.join(os.path.dirname(path), found)) for found in INCLUDE.findall(seen[path])]
    if not seen:
        return ""
    text = "\0".join(f"{path}\0{seen[path]}" for path in sorted(seen))
    return hashlib.sha256((text + (release if any(LOCAL.search(content) for content in seen.values()) else "")).encode()).hexdigest()


def prune(directory: Path, keep: int) -> None:
    """Remove all archives but the newest ones."""
    archives = sorted(directory.glob("*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in archives[keep:]:
        old.unlink(missing_ok=True)


def version(module: AnsibleModule, source: Path) -> str:
    """What git calls the source; empty when there is no git, no commit, or a repository around it that ignores it."""
    git = module.get_bin_path("git")
    if not git or module.run_command([git, "-C", str(source.parent), "check-ignore", "--quiet", str(source)])[0] == 0:
        return ""
    code, said, _ = module.run_command([git, "-C", str(source), "describe", "--always", "--tags", "--dirty"])
    return str(said).strip() if code == 0 else ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "keep": {"type": "int", "default": 20},
            "requirements": {"type": "str", "default": "requirements.txt"},
        },
        supports_check_mode=True,
    )
    source, dest = Path(module.params["source"]), Path(module.params["dest"])
    try:
        if not source.is_dir():
            raise SourceError(f"source {source} is {'no directory' if source.exists() else 'not there'}")
        packed = list(entries(source))
        if not any(stat.S_ISREG(entry.mode) or stat.S_IFMT(entry.mode) == 0 for entry in packed):
            raise SourceError(f"source {source} is empty: no file is left to deploy")
        release = release_id(packed)
        archive = dest / f"{release}.tar"
        changed = not archive.exists()
        if changed and not module.check_mode:
            dest.mkdir(parents=True, exist_ok=True)
            write_archive(packed, archive)
            prune(dest, module.params["keep"])
        elif not module.check_mode:
            os.utime(archive)
    except SourceError as problem:
        module.fail_json(msg=str(problem))
    except OSError as problem:
        module.fail_json(msg=f"source {source}: cannot read or write {problem.filename or dest}: {problem.strerror}")
    module.exit_json(
        changed=changed,
        release=release,
        path=str(archive),
        size=archive.stat().st_size if archive.exists() else sum(len(entry.content) for entry in packed),
        files=sum(1 for entry in packed if stat.S_IFMT(entry.mode) == 0 and not entry.target),
        requirements_digest=requirements_digest(packed, module.params["requirements"], release),
        version=version(module, source),
    )


if __name__ == "__main__":
    main()
