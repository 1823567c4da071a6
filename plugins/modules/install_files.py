#!/usr/bin/python
"""Ansible module: write, link and remove several files in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: install_files
short_description: Write, link and remove several files in one call
description:
  - One call for what a task that loops over files pays a second for, per file and host.
  - Everything is made beside where it goes, and judged, before the first of it is put in place; what is refused changes nothing.
  - Each file and link is put in place atomically, with its group and mode. Nobody ever sees a half of it, nor a moment without it.
  - A link at the path is replaced or removed, never followed. Files belong to the user that the module runs as.
  - What it is called with is not written to the host's log, since contents may be secret.
  - Refuses when the lock of the host is not this run's any more, since what a killed controller has started goes on.
options:
  files:
    description: The files, in the order in which they are put in place; each path once, and none below another.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {description: "The path; its directory has to be there.", type: path, required: true}
      state: {description: "What is to be there.", type: str, choices: [file, link, absent], default: file}
      content: {description: "The whole content of a file.", type: str}
      secret: {description: "The same, instead; no output shows it.", type: str}
      target: {description: "What a link says; need not be there.", type: str}
      group: {description: "The group of a file.", type: str, default: root}
      mode: {description: "The mode of a file, an octal number with a leading zero.", type: str, default: "0644"}
      validate:
        description: Command that judges a file before it is put in place, with C(%s) for where it is until then; run without a shell.
        type: str
extends_documentation_fragment: [tornado_app.deploy.lock]
attributes:
  check_mode:
    description: Needs no lock and validates nothing. A directory or a group that is not there yet counts as one that will be.
    support: full
  diff_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Install the slot
  tornado_app.deploy.install_files:
    run: 20260102T030405Z-ana-build-1-4711
    files:
      - {path: /srv/shop/slots/green, state: link, target: /srv/shop/releases/0123456789ab}
      - path: /etc/tornado_app/shop/slots/green.json
        content: "{{ record | to_nice_json }}\n"
        group: shop
        mode: "0640"
        validate: python3 -m json.tool %s
      - {path: /etc/tornado_app/shop/slots/old.json, state: absent}
"""

RETURN = r"""
paths:
  description: The paths that changed, or in check mode would.
  type: list
  elements: path
  returned: success
"""

import grp
import os
import re
import secrets
import shlex
import stat
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED, held
from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import valid


class File(NamedTuple):
    """What is to be at a path; what its state does not need is None."""

    path: Path
    state: str
    content: str
    secret: bool
    target: str
    group: str
    mode: str
    validate: str


def file_of(options: dict[str, Any]) -> File:
    """A file as the module was told of it."""
    secret = options["secret"] is not None
    content = options["secret"] if secret else options["content"]
    return File(**{**options, "path": Path(options["path"]), "content": content, "secret": secret})


# Of files that are not in place yet. They are hidden, and no include of a directory's files takes this ending.
ENDING = ".install_files"


class RefusedError(Exception):
    """A file cannot be put in place as it is wanted."""


def present(path: Path) -> os.stat_result | None:
    """What is at a path, a link itself; None when nothing is."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def text(file: File) -> str:
    """What a diff shows of what is there; of what goes no more than that it was there."""
    path, found = file.path, present(file.path)
    if found is None:
        return ""
    if file.secret:
        return "(another secret)\n"
    if file.state == "absent":
        return "(there)\n"
    return f"-> {valid(os.readlink(path))}\n" if stat.S_ISLNK(found.st_mode) else path.read_bytes().decode("utf-8", "replace")


def wanted_text(file: File) -> str:
    """What a diff shows of a path as it is wanted."""
    return {"file": "(a secret)\n" if file.secret else file.content, "link": f"-> {file.target}\n", "absent": ""}[file.state] or ""


def group_id(file: File) -> int:
    """The group of a file; -1, which no file has, when there is no such group."""
    try:
        return grp.getgrnam(file.group).gr_gid
    except KeyError:
        return -1


def check_arguments(files: list[File]) -> None:
    """Refuse what is wrong whatever the host is like."""
    paths = [file.path for file in files]
    for file in files:
        path = file.path
        if paths.count(path) > 1 or set(paths).intersection(path.parents):  # what is there is looked at before the first change
            raise RefusedError(f"{path} is given more than once, or below another one")
        if not re.fullmatch("0[0-7]{3,4}", file.mode):  # without quotes YAML makes 0640 the decimal 416, which is octal as well
            raise RefusedError(f'{path} has the mode {file.mode}, which is not one like "0644", in quotes')
        if file.validate and "%s" not in file.validate:
            raise RefusedError(f"{path} has a validate without %s")


def check_host(file: File, later: bool) -> None:
    """Refuse what cannot be put in place on this host; `later`, directories and groups may still be made."""
    path, found = file.path, present(file.path)
    if found and not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        raise RefusedError(f"{path} is {'a directory' if stat.S_ISDIR(found.st_mode) else 'neither a file nor a link'}")
    if later or file.state == "absent":
        return
    if not path.parent.is_dir():
        raise RefusedError(f"{path} cannot be made: {path.parent} is not a directory")
    if file.state == "file" and group_id(file) < 0:
        raise RefusedError(f"{path} cannot be made: there is no group {file.group}")


def differs(file: File) -> bool:
    """Whether what is there is not what is wanted."""
    path, found = file.path, present(file.path)
    if found is None or file.state == "absent":
        return (found is None) != (file.state == "absent")
    if file.state == "link":
        return not stat.S_ISLNK(found.st_mode) or os.readlink(path) != file.target
    attributes = (stat.S_IFREG | int(file.mode, 8), os.geteuid(), group_id(file))
    return (found.st_mode, found.st_uid, found.st_gid) != attributes or path.read_bytes() != file.content.encode()


def prepare(file: File, temporary: Path) -> None:
    """Make a file or link as it will be, under another name."""
    if file.state == "link":
        os.symlink(file.target, temporary)
    elif file.state == "file":
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(file.content.encode())
            stream.flush()
            os.fchown(stream.fileno(), os.geteuid(), group_id(file))
            os.fchmod(stream.fileno(), int(file.mode, 8))
            os.fsync(stream.fileno())


def judge(module: AnsibleModule, file: File, temporary: Path) -> None:
    """Let the file's own command judge it."""
    if file.state != "file" or not file.validate:
        return
    command = [part.replace("%s", str(temporary)) for part in shlex.split(file.validate)]
    try:
        code, output, errors = module.run_command(command, handle_exceptions=False)
    except OSError as problem:
        code, output, errors = 1, "", str(problem)
    if code:
        said = valid(output + errors).replace(str(temporary), str(file.path)).strip()
        module.fail_json(msg=f"{file.path} is refused, nothing is changed: {said or f'{command[0]} ended with {code}'}")


def sync(directory: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def install(module: AnsibleModule, files: list[File]) -> None:
    """Put all in place, once none of it is refused."""
    directories = list(dict.fromkeys(file.path.parent for file in files))
    for directory in directories:  # of one that was killed; nobody else is at work here, see the lock
        for left in directory.glob(f".*{ENDING}"):
            left.unlink()
    prepared = [(file, file.path.with_name(f".{secrets.token_hex(8)}{ENDING}")) for file in files]
    try:
        for file, temporary in prepared:
            prepare(file, temporary)
            judge(module, file, temporary)
        for file, temporary in prepared:
            if file.state == "absent":
                file.path.unlink()
            else:
                temporary.replace(file.path)
    finally:
        for _, temporary in prepared:
            temporary.unlink(missing_ok=True)
    for directory in directories:
        sync(directory)


def main() -> None:
    """Run the module."""
    module = QuietModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "state": {"type": "str", "choices": ["file", "link", "absent"], "default": "file"},
                    "content": {"type": "str"},
                    "secret": {"type": "str", "no_log": True},
                    "target": {"type": "str"},
                    "group": {"type": "str", "default": "root"},
                    "mode": {"type": "str", "default": "0644"},
                    "validate": {"type": "str"},
                },
                "required_if": [("state", "file", ["content", "secret"], True), ("state", "link", ["target"])],
                "mutually_exclusive": [("content", "secret")],
            },
            **LOCKED,
        },
        supports_check_mode=True,
    )
    files = [file_of(options) for options in module.params["files"]]
    try:
        check_arguments(files)
        for file in files:
            check_host(file, later=module.check_mode)
    except RefusedError as problem:
        module.fail_json(msg=f"{problem}; nothing is changed")
    differing = [file for file in files if differs(file)]
    result: dict[str, Any] = {"changed": bool(differing), "paths": [str(file.path) for file in differing]}
    if module._diff:
        result["diff"] = [
            {
                "before_header": str(file.path),
                "after_header": str(file.path),
                "before": text(file),
                "after": wanted_text(file),
            }
            for file in differing
        ]
    if differing and not module.check_mode:
        try:
            with held(Path(module.params["lock"]), module.params["run"]):
                install(module, differing)
        except NotHeldError as problem:
            module.fail_json(msg=f"nothing is changed: {problem}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
