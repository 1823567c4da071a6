#!/usr/bin/python
"""Ansible module: make slots live."""

from __future__ import annotations

DOCUMENTATION = r"""
module: switch_slot
short_description: Make slots live
description:
  - The switch. Creates or removes the flag file of each app, whose presence nginx looks at for each request. Each is one atomic
    operation, which is on the disk when the module returns.
  - Refuses when the lock of the host is not this run's any more, also when there is nothing to switch.
extends_documentation_fragment:
  - tornado_app.deploy.slots
  - tornado_app.deploy.lock
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Switch
  tornado_app.deploy.switch_slot:
    slots: "{{ __tornado_app_own.slots }}"
    run: 20260102T030405Z-ana-build-1-4711
"""

RETURN = r"""
switched:
  description: App to the moment of its switch, in seconds since 1970 by the host's clock; only of apps that were switched.
  type: dict
  returned: success
  sample: {shop: 1767323045.123}
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.flag_file import put
from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED, held
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import SLOTS


def is_live(flag: Path, slot: str) -> bool:
    """Whether nginx sends new requests to the slot."""
    return flag.exists() == (slot == "green")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"slots": SLOTS, **LOCKED}, supports_check_mode=True)
    wanted = [(slot["app"], Path(slot["flag"]), slot["name"]) for slot in module.params["slots"]]
    if module.check_mode:
        module.exit_json(changed=any(not is_live(flag, slot) for _, flag, slot in wanted), switched={})
    switched = {}
    try:
        with held(Path(module.params["lock"]), module.params["run"]):
            for app, flag, slot in wanted:
                if not is_live(flag, slot):
                    put(flag, slot == "green")
                    switched[app] = time.time()
    except NotHeldError as problem:
        module.fail_json(msg=f"nothing is switched: {problem}")
    module.exit_json(changed=bool(switched), switched=switched)


if __name__ == "__main__":
    main()
