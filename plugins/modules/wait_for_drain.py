#!/usr/bin/python
"""Ansible module: wait until slots have no established connection."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_drain
short_description: Wait until slots have no established connection
description:
  - Counts the established connections to the addresses of the slots, over IPv4, IPv6 and unix sockets, until there are none or the
    drain timeout of the slot has passed; all slots at the same time.
  - A deadline that passes is not a failure. The result says what was left.
  - Does not wait for a slot whose record says that its processes say goodbye on a signal.
  - Counts those of the apps' own users; a user of the host can make others that have the same port.
  - Reads F(/proc/net/tcp) and F(/proc/net/tcp6) of the host, and asks its kernel for unix sockets; opens no connection itself.
extends_documentation_fragment: [tornado_app.deploy.slots]
options:
  interval:
    description: Seconds between two looks.
    type: float
    default: 0.2
attributes:
  check_mode:
    description: Looks once and does not wait.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Wait for the requests in flight
  tornado_app.deploy.wait_for_drain:
    slots: "{{ __tornado_app_own.retiring }}"
"""

RETURN = r"""
apps:
  description: One entry a slot, in the order of O(slots).
  type: list
  elements: dict
  returned: always
  contains:
    app: {description: Name of the app., type: str}
    drained: {description: Whether no connection was left., type: bool}
    connections: {description: Number of connections left to each address that had any., type: dict, sample: {"127.0.0.1:8000": 1}}
    elapsed: {description: Seconds waited., type: float}
    signal: {description: "The signal on which its processes say goodbye; empty when they have none.", type: str, sample: TERM}
"""

import json
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import connections
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import SLOTS, Slot
from ansible_collections.tornado_app.deploy.plugins.module_utils.users import user_id


def goodbye(slot: Slot) -> str:
    """The signal on which the processes of a slot say goodbye, as they were started; empty where they know of none."""
    try:  # root's own file; a slot that an earlier run has left may have none
        record: dict[str, Any] = json.loads(Path(slot["record"]).read_text(encoding="utf-8"))
        return str(record.get("goodbye", ""))
    except (OSError, ValueError):
        return ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"slots": SLOTS, "interval": {"type": "float", "default": 0.2}},
        supports_check_mode=True,
    )
    start = time.monotonic()
    waiting, done = list(module.params["slots"]), {}
    signals = {slot["group"]: goodbye(slot) for slot in waiting}
    owners = {slot["user"]: user_id(slot["user"]) for slot in waiting}
    while waiting:
        left = connections({address: owners[slot["user"]] for slot in waiting for address in slot["addresses"]})
        elapsed = time.monotonic() - start
        for slot in list(waiting):
            own = {address: left[address] for address in sorted(slot["addresses"]) if address in left}
            if not own or module.check_mode or signals[slot["group"]] or elapsed >= slot["drain"]["timeout"]:
                waiting.remove(slot)
                took = {"elapsed": round(elapsed, 3), "signal": signals[slot["group"]]}
                done[slot["group"]] = {"drained": not own, "connections": own, **took}
        if waiting:
            time.sleep(module.params["interval"])
    module.exit_json(changed=False, apps=[{"app": slot["app"], **done[slot["group"]]} for slot in module.params["slots"]])


if __name__ == "__main__":
    main()
