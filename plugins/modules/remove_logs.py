#!/usr/bin/python
"""Ansible module: remove logs from directories that apps can write."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remove_logs
short_description: Remove logs from directories that apps can write
description:
  - Removes files of which the apps may have made anything else. No link is followed; a directory stays, and is no failure.
  - Refuses when the lock of the host is not this run's any more, since what a killed controller has started goes on.
options:
  paths:
    description: The logs. The parents of their directories are root's.
    type: list
    elements: path
    required: true
extends_documentation_fragment: [tornado_app.deploy.lock]
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Remove the logs of a port that the app has no more
  tornado_app.deploy.remove_logs:
    run: 20260102T030405Z-ana-build-1-4711
    paths: [/var/log/shop/8003.log, /var/log/shop/8003.log.1]
"""

RETURN = r"""
paths:
  description: The paths that were removed, or in check mode would be.
  type: list
  elements: path
  returned: success
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED, held
from ansible_collections.tornado_app.deploy.plugins.module_utils.untrusted import remove


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"paths": {"type": "list", "elements": "path", "required": True}, **LOCKED},
        supports_check_mode=True,
    )
    there = [path for path in module.params["paths"] if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path))]
    if there and not module.check_mode:
        try:
            with held(Path(module.params["lock"]), module.params["run"]):
                there = [path for path in there if remove(path)]
        except NotHeldError as problem:
            module.fail_json(msg=f"nothing is removed: {problem}")
    module.exit_json(changed=bool(there), paths=there)


if __name__ == "__main__":
    main()
