#!/usr/bin/python
"""Ansible module: pack a directory or an archive into a deterministic archive named by its content."""

from __future__ import annotations

DOCUMENTATION = r"""
module: build_artifact
short_description: Pack a directory or an archive into a deterministic archive named by its content
description:
  - The same tree gives the same bytes and the same name on any machine. Names, contents, the executable bit and symbolic links count;
    owners and times do not.
  - Each file's modification time is derived from its content, so that web servers, which make ETags of it, see a file change exactly when
    its content does.
  - F(.git), C(__pycache__), C(*.pyc), virtualenvs, what macOS and Windows leave everywhere (F(.DS_Store), C(._*), F(__MACOSX),
    F(Thumbs.db)) and what F(.deployignore) names are left out. A line of F(.deployignore) is a shell
    pattern; it matches names at any depth, or a path from the source's root when it contains a slash before its end; a slash at its end
    makes it match directories only; empty lines and lines that begin with C(#) do not count.
  - The archive is a tar file without compression, whose bytes depend on no library's version.
  - An archive that is there already counts as new, so that building other sources does not remove it.
options:
  source:
    description:
      - The directory, or an archive (C(.tar) with any compression, C(.zip), a wheel, an sdist), whose content makes the same release as a
        directory of it would. When all of an archive lies in one directory, that directory is the source.
      - An archive is refused when it holds a path or a link that leaves it, or a device.
    type: path
    required: true
  dest:
    description:
      - Directory for archives. The newest O(keep) of them stay there.
      - It is its user's alone. One that is a link, belongs to somebody else or can be written by others is refused.
    type: path
    required: true
  keep:
    description: Archives kept in O(dest).
    type: int
    default: 20
  requirements:
    description:
      - Requirements file in O(source), whose digest is told. When it is not there, the dependencies are those that a F(pyproject.toml)
        names, if it names any.
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
  tornado_app.deploy.build_artifact:
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
  description: SHA-256 of all that the requirements file says, the files that it includes too, or of the dependencies; empty when there
    are none. It depends on the whole release when the file names local paths.
  type: str
  returned: success
dependencies:
  description: What F(pyproject.toml) wants to be installed, where there is no requirements file.
  type: list
  elements: str
  returned: success
  sample: ["tornado>=6.5"]
processes:
  description: The lines of its F(Procfile). Type of process to its C(command), why it cannot be started (C(problem)), the C(variables) that
    it cannot do without, and all that it C(mentions).
  type: dict
  returned: success
  sample: {web: {command: "python app.py --port=$PORT", problem: "", variables: [PORT], mentions: [PORT]}}
python:
  description: Version of Python that its F(runtime.txt) asks for; empty when there is no such file.
  type: str
  returned: success
  sample: "3.12"
version:
  description: What C(git describe) calls the source, with C(-dirty) when it differs from its commit; empty when git does not know it.
  type: str
  returned: success
  sample: v1.4-2-g0f9c2d6
commit:
  description: The commit that the source is at; empty when git does not know it.
  type: str
  returned: success
alone:
  description: A file that handles websockets, where no file of Python imports a client of Redis, another broker or a database by which
    processes could share what their visitors say; empty otherwise.
  type: str
  returned: success
  sample: chat.py
"""

import hashlib
import io
import os
import re
import stat
import tarfile
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.archive import archive_entries
from ansible_collections.tornado_app.deploy.plugins.module_utils.cache import CacheError, private
from ansible_collections.tornado_app.deploy.plugins.module_utils.declared import alone, dependencies, followed, procfile, python
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import valid
from ansible_collections.tornado_app.deploy.plugins.module_utils.tree import Entry, SourceError, directory_entries

OLDEST_TIME = 1_000_000_000  # in 2001: no tool takes the derived times for times of the future
INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]?\s*(\S+)", re.MULTILINE)
# An option or a path that leads pip to a directory or an archive of the source; `name @ https://…` and `git+https://…` do not.
LOCAL = re.compile(
    r"^\s*(-e\b|--editable|(-f|--find-links)[ =]?\s*(?![\s=]|\w+://)|/|file:|\.(\[|\s|$)|[\w.][^\s:@#;]*(/|\.(whl|zip|tar|tgz)\b))|@\s*file:",
    re.MULTILINE,
)


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


def described(module: AnsibleModule, source: Path) -> dict[str, str]:
    """What git calls the source; empty when there is no git, no commit, or a repository around it that ignores it."""
    git = module.get_bin_path("git")
    if not git or module.run_command([git, "-C", str(source.parent), "check-ignore", "--quiet", str(source)])[0] == 0:
        return {"version": "", "commit": ""}
    where = str(source if source.is_dir() else source.parent)
    commands = {"version": ["describe", "--always", "--tags", "--dirty"], "commit": ["rev-parse", "--verify", "--quiet", "HEAD"]}
    answers = {key: module.run_command([git, "-C", where, *command]) for key, command in commands.items()}
    return {key: valid(str(said)).strip() if code == 0 else "" for key, (code, said, _) in answers.items()}


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
        if not source.exists():
            raise SourceError(f"source {source} is not there")
        packed = directory_entries(source) if source.is_dir() else archive_entries(source)
        if not any(stat.S_ISREG(entry.mode) or stat.S_IFMT(entry.mode) == 0 for entry in packed):
            raise SourceError(f"source {source} is empty: no file is left to deploy")
        release = release_id(packed)
        digest = requirements_digest(packed, module.params["requirements"], release)
        says = {
            "processes": procfile(packed),
            "python": python(packed),
            "dependencies": [] if digest else dependencies(packed),
            "alone": alone(packed),
        }
        private(dest, make=not module.check_mode)
        archive = dest / f"{release}.tar"
        changed = not archive.exists()
        if changed and not module.check_mode:
            write_archive(packed, archive)
            prune(dest, module.params["keep"])
        elif not module.check_mode:
            os.utime(archive)
    except (SourceError, CacheError) as problem:
        module.fail_json(msg=valid(str(problem)))
    except OSError as problem:
        module.fail_json(msg=valid(f"source {source}: cannot read or write {problem.filename or dest}: {problem.strerror}"))
    if says["dependencies"]:
        digest = hashlib.sha256("\0".join(says["dependencies"]).encode()).hexdigest()
    module.exit_json(
        changed=changed,
        release=release,
        path=str(archive),
        size=archive.stat().st_size if archive.exists() else sum(len(entry.content) for entry in packed),
        files=sum(1 for entry in packed if stat.S_IFMT(entry.mode) == 0 and not entry.target),
        requirements_digest=digest,
        **says,
        **described(module, source),
    )


if __name__ == "__main__":
    main()
