#!/usr/bin/python
"""Ansible module: make several directories in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: install_directories
short_description: Make several directories in one call
description:
  - One call for what a task that loops over directories pays a second for, per directory and host.
  - Makes what is not there, with its parents, and gives each directory its owner, group and mode. Follows no link.
  - Refuses when the lock of the host is not this run's any more, since what a killed controller has started goes on.
options:
  directories:
    description: The directories, in the order in which they are made.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {description: "The path; a link there is refused.", type: path, required: true}
      owner: {description: "The user.", type: str, default: root}
      group: {description: "The group.", type: str, default: root}
      mode: {description: "The mode, an octal number with a leading zero.", type: str, default: "0755"}
extends_documentation_fragment: [tornado_app.deploy.lock]
attributes:
  check_mode:
    description: Needs no lock. A user or a group that is not there yet counts as one that will be.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Make the directories of the app
  tornado_app.deploy.install_directories:
    run: 20260102T030405Z-ana-build-1-4711
    directories:
      - {path: /srv/shop, mode: "0751"}
      - {path: /srv/shop/shared, owner: shop, group: shop, mode: "0750"}
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
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED, held


def wanted(directory: Mapping[str, str]) -> tuple[int, int, int]:
    """Mode, user id and group id; raises KeyError when there is no such user or group."""
    return int(directory["mode"], 8), pwd.getpwnam(directory["owner"]).pw_uid, grp.getgrnam(directory["group"]).gr_gid


def differs(directory: Mapping[str, str]) -> bool:
    """Whether the directory is not there as it is wanted."""
    try:
        found = os.lstat(directory["path"])
        return (found.st_mode, found.st_uid, found.st_gid) != (stat.S_IFDIR | wanted(directory)[0], *wanted(directory)[1:])
    except (FileNotFoundError, NotADirectoryError, KeyError):
        return True


def install(directory: Mapping[str, str]) -> None:
    """Make the directory, or give it what it lacks."""
    mode, user, group = wanted(directory)
    path = Path(directory["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(path):
        path.mkdir(mode=0o700)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(handle, user, group)
        os.fchmod(handle, mode)  # the kernel takes some bits away when the owner changes
    finally:
        os.close(handle)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "owner": {"type": "str", "default": "root"},
                    "group": {"type": "str", "default": "root"},
                    "mode": {"type": "str", "default": "0755"},
                },
            },
            **LOCKED,
        },
        supports_check_mode=True,
    )
    os.umask(0o022)  # of directories on the way there
    directory: Mapping[str, str] = {}
    try:
        differing = [directory for directory in module.params["directories"] if differs(directory)]
        if differing and not module.check_mode:
            with held(Path(module.params["lock"]), module.params["run"]):
                for directory in differing:
                    install(directory)
    except NotHeldError as problem:
        module.fail_json(msg=f"nothing is changed: {problem}")
    except KeyError as problem:
        module.fail_json(msg=f"there is no such user or group: {problem.args[0]}")
    except OSError as problem:
        module.fail_json(msg=f"{problem.filename or directory['path']} cannot be a directory: {problem.strerror}")
    module.exit_json(changed=bool(differing), paths=[directory["path"] for directory in differing])


if __name__ == "__main__":
    main()
