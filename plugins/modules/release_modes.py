#!/usr/bin/python
"""Ansible module: give releases to their app, and to nginx what it serves of them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_modes
short_description: Give releases to their app, and to nginx what it serves of them
description:
  - Everything of a release is its app's to read, by its group. Others, nginx among them, pass its directories without listing them, and
    read the files that nginx serves.
  - A link below O(static) opens what it leads to in the release.
  - What nginx serves of a release may change while it is served. Then files are opened and none is closed, since nginx goes on with its
    old configuration until its next reload. What else pip has left in a release since is closed.
  - Refuses when the lock of the host is not this run's any more, since what a killed controller has started goes on.
options:
  paths:
    description: Releases, which are directories, and files beside them that are root's alone.
    type: list
    elements: path
    required: true
  group:
    description: The app's group.
    type: str
    required: true
  static:
    description: Directory in a release whose files nginx serves; empty when it serves none.
    type: str
    default: ""
extends_documentation_fragment: [tornado_app.deploy.lock]
attributes:
  check_mode:
    description: Needs no lock. A group that is not there yet counts as one that will be.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Give a release to its app
  tornado_app.deploy.release_modes:
    run: 20260102T030405Z-ana-build-1-4711
    paths: [/srv/shop/releases/0123456789ab]
    group: shop
    static: static
"""

RETURN = r"""
paths:
  description: The paths that changed, or in check mode would.
  type: list
  elements: path
  returned: success
"""

import grp
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED, held
from ansible_collections.tornado_app.deploy.plugins.module_utils.modes import give, wrong


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "required": True},
            "group": {"type": "str", "required": True},
            "static": {"type": "str", "default": ""},
            **LOCKED,
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        group = grp.getgrnam(params["group"]).gr_gid
    except KeyError:
        if not module.check_mode:
            module.fail_json(msg=f"there is no group {params['group']}")
        group = -1
    found = {path: list(wrong(path, params["static"], group)) for path in params["paths"]}
    differing = [path for path in found if found[path]]
    if differing and not module.check_mode:
        try:
            with held(Path(params["lock"]), params["run"]):
                for path in differing:
                    for change in found[path]:
                        give(*change)
        except NotHeldError as problem:
            module.fail_json(msg=f"nothing is changed: {problem}")
    module.exit_json(changed=bool(differing), paths=differing)


if __name__ == "__main__":
    main()
