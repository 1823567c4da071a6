#!/usr/bin/python
"""Ansible module: wait until ports have no established connection."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_drain
short_description: Wait until ports have no established connection
description:
  - Counts the established TCP connections on local ports, over IPv4 and IPv6, until there are none or the deadline has passed, for
    several apps at the same time.
  - A deadline that passes is no failure, the result says what was left.
  - Reads F(/proc/net/tcp) and F(/proc/net/tcp6) of the host; opens no connection itself.
options:
  drains:
    description: What to wait for.
    type: list
    elements: dict
    required: true
    suboptions:
      app: {description: Name of the app., type: str, required: true}
      ports: {description: Local ports., type: list, elements: int, required: true}
      timeout: {description: Seconds to wait at most., type: float, required: true}
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
    drains:
      - {app: shop, ports: [8000, 8001], timeout: 60}
"""

RETURN = r"""
apps:
  description: One entry an app.
  type: list
  elements: dict
  returned: always
  contains:
    app: {description: Its name., type: str}
    drained: {description: Whether no connection was left., type: bool}
    connections: {description: Number of connections left to each address that had any., type: dict, sample: {"127.0.0.1:8000": 1}}
    elapsed: {description: Seconds waited., type: float}
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import connections


def main() -> None:
    """Run the module."""
    drain = {
        "app": {"type": "str", "required": True},
        "addresses": {"type": "list", "elements": "str", "required": True},
        "timeout": {"type": "float", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "drains": {"type": "list", "elements": "dict", "required": True, "options": drain},
            "interval": {"type": "float", "default": 0.2},
        },
        supports_check_mode=True,
    )
    start = time.monotonic()
    waiting, done = list(module.params["drains"]), {}
    while waiting:
        left = connections({address for drain in waiting for address in drain["addresses"]})
        elapsed = time.monotonic() - start
        for drain in list(waiting):
            own = {address: left[address] for address in sorted(drain["addresses"]) if address in left}
            if not own or module.check_mode or elapsed >= drain["timeout"]:
                waiting.remove(drain)
                done[drain["app"]] = {"drained": not own, "connections": own, "elapsed": round(elapsed, 3)}
        if waiting:
            time.sleep(module.params["interval"])
    module.exit_json(changed=False, apps=[{"app": drain["app"], **done[drain["app"]]} for drain in module.params["drains"]])


if __name__ == "__main__":
    main()
