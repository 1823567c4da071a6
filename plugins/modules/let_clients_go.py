#!/usr/bin/python
"""Ansible module: ask the clients of nginx to close their connections, and wait until they have."""

from __future__ import annotations

DOCUMENTATION = r"""
module: let_clients_go
short_description: Ask the clients of nginx to close their connections, and wait until they have
description:
  - From then on each answer of nginx says that its connection will be closed. That ends when O(closing) is removed.
  - Waits until none of the connections is left that are there at the beginning. Downloads, uploads and websockets are among them.
  - A deadline that passes is not a failure.
options:
  timeout:
    description: Seconds to wait at most.
    type: float
    required: true
  closing:
    description: The file for which nginx looks.
    type: path
    default: /run/tornado_app/closing
attributes:
  check_mode:
    description: Asks nobody, and does not wait.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Wait until clients have closed their connections
  tornado_app.deploy.let_clients_go:
    timeout: 30
"""

RETURN = r"""
left:
  description: How many of the connections are left.
  type: int
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx_reload import CLOSING, ask_to_close, let_clients_go


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"timeout": {"type": "float", "required": True}, "closing": {"type": "path", "default": CLOSING}},
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True, left=0)
    ask_to_close(Path(module.params["closing"]))
    module.exit_json(changed=True, left=len(let_clients_go(module.params["timeout"])))


if __name__ == "__main__":
    main()
