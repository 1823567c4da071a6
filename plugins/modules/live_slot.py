#!/usr/bin/python
"""Ansible module: make slots live."""

from __future__ import annotations

DOCUMENTATION = r"""
module: live_slot
short_description: Make slots live
description:
  - The switch. Creates or removes the flag file of each app, whose presence nginx looks at for each request. Each is one atomic
    operation, which is on the disk when the module returns.
  - Refuses when the lock of the host is not this run's any more, also when there is nothing to switch.
options:
  switches:
    description: The switches, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      app: {description: Name of the app., type: str, required: true}
      slot: {description: The slot that is to be live., type: str, choices: [blue, green], required: true}
      flag:
        description: The app's flag file; there, the green slot is live, not there, the blue one is.
        type: path
        required: true
  run:
    description: This run, which has to hold the lock (see M(tornado_app.deploy.fleet_lock)).
    type: str
    required: true
  lock:
    description: The lock file.
    type: path
    default: /run/tornado_app/lock
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Switch
  tornado_app.deploy.live_slot:
    switches:
      - {app: shop, slot: green, flag: /srv/shop/live/green}
    run: 20260102T030405Z-ana-build-1-4711
"""

RETURN = r"""
switched:
  description: App to the moment of its switch, in seconds since 1970 by the host's clock; only of apps that were switched.
  type: dict
  returned: success
  sample: {shop: 1767323045.123}
"""

import os
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import NotHeldError, held


def is_live(flag: Path, slot: str) -> bool:
    """Whether nginx sends new requests to the slot."""
    return flag.exists() == (slot == "green")


def switch(flag: Path, slot: str) -> None:
    """Make a slot live, and wait until that is on the disk."""
    if slot == "green":
        flag.touch(mode=0o644)
    else:
        flag.unlink()
    directory = os.open(flag.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def main() -> None:
    """Run the module."""
    one = {
        "app": {"type": "str", "required": True},
        "slot": {"type": "str", "choices": ["blue", "green"], "required": True},
        "flag": {"type": "path", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "switches": {"type": "list", "elements": "dict", "required": True, "options": one},
            "run": {"type": "str", "required": True},
            "lock": {"type": "path", "default": "/run/tornado_app/lock"},
        },
        supports_check_mode=True,
    )
    wanted = [(each["app"], Path(each["flag"]), each["slot"]) for each in module.params["switches"]]
    if module.check_mode:
        module.exit_json(changed=any(not is_live(flag, slot) for _, flag, slot in wanted), switched={})
    switched = {}
    try:
        with held(Path(module.params["lock"]), module.params["run"]):
            for app, flag, slot in wanted:
                if not is_live(flag, slot):
                    switch(flag, slot)
                    switched[app] = time.time()
    except NotHeldError as problem:
        module.fail_json(msg=f"nothing is switched: {problem}")
    module.exit_json(changed=bool(switched), switched=switched)


if __name__ == "__main__":
    main()
