#!/usr/bin/python
"""Ansible module: wait until ports have no established connection."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_drain
short_description: Wait until ports have no established connection
description:
  - Counts the established TCP connections on local ports, over IPv4 and IPv6, until there are none or the deadline has passed.
  - A deadline that passes is no failure, the result says what was left.
  - Reads F(/proc/net/tcp) and F(/proc/net/tcp6) of the host; opens no connection itself.
options:
  ports:
    description: Local ports.
    type: list
    elements: int
    required: true
  timeout:
    description: Seconds to wait at most.
    type: float
    required: true
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
  wait_for_drain:
    ports: [8000, 8001]
    timeout: 60
"""

RETURN = r"""
drained:
  description: Whether no connection was left.
  type: bool
  returned: always
connections:
  description: Number of connections left on each port that had any; ports are text.
  type: dict
  returned: always
  sample: {"8000": 1}
elapsed:
  description: Seconds waited.
  type: float
  returned: always
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.tornado_app_proc import connections


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "int", "required": True},
            "timeout": {"type": "float", "required": True},
            "interval": {"type": "float", "default": 0.2},
        },
        supports_check_mode=True,
    )
    ports = set(module.params["ports"])
    start = time.monotonic()
    deadline = start + (0 if module.check_mode else module.params["timeout"])
    left = connections(ports)
    while left and time.monotonic() < deadline:
        time.sleep(module.params["interval"])
        left = connections(ports)
    module.exit_json(
        changed=False,
        drained=not left,
        connections={str(port): count for port, count in sorted(left.items())},
        elapsed=round(time.monotonic() - start, 3),
    )


if __name__ == "__main__":
    main()
