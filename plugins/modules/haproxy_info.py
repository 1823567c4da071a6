#!/usr/bin/python
"""Ansible module: ask a running HAProxy which of its servers are up, and look at its certificates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_info
short_description: Ask a running HAProxy which of its servers are up, and look at its certificates
description:
  - Waits until each of the backends has a server that is up, since one that comes back has to answer twice before.
options:
  backends:
    description: Names of backends.
    type: list
    elements: str
    required: true
  certificates:
    description: The certificates.
    type: list
    elements: dict
    default: []
    suboptions:
      app: {description: "The app that the certificate is called after.", type: str, required: true}
      source: {description: "Where it comes from.", type: str, choices: [files, acme, self_signed], required: true}
      path: {description: "Its file.", type: path, required: true}
  socket:
    description: The socket by which HAProxy is asked.
    type: path
    default: /run/haproxy/admin.sock
  timeout:
    description: Seconds to wait at most.
    type: float
    default: 10
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Ask HAProxy
  tornado_app.deploy.haproxy_info:
    backends: [shop]
"""

RETURN = r"""
running:
  description: Whether HAProxy answers.
  type: bool
  returned: success
servers:
  description: Backend to its servers, each with whether it is up. A backend that HAProxy does not have has none.
  type: dict
  returned: success
  sample: {"shop": {"web-1": true, "web-2": false}}
certificates:
  description: App to C(source), C(expires) (UTC), C(days_left), C(days) of the whole life, and what is wrong with its C(renewal).
  type: dict
  returned: success
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import state
from ansible_collections.tornado_app.deploy.plugins.module_utils.haproxy import SOCKET, process, up


def main() -> None:
    """Run the module."""
    certificate = {
        "app": {"type": "str", "required": True},
        "source": {"type": "str", "choices": ["files", "acme", "self_signed"], "required": True},
        "path": {"type": "path", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "backends": {"type": "list", "elements": "str", "required": True},
            "certificates": {"type": "list", "elements": "dict", "default": [], "options": certificate},
            "socket": {"type": "path", "default": SOCKET},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    socket, backends = Path(module.params["socket"]), module.params["backends"]
    deadline = time.monotonic() + module.params["timeout"]
    while process(socket) and not all(any(servers.values()) for servers in up(socket, backends).values()) and time.monotonic() < deadline:
        time.sleep(0.2)
    module.exit_json(
        changed=False,
        running=bool(process(socket)),
        servers=up(socket, backends),
        certificates={each["app"]: state(each["app"], each["source"], Path(each["path"])) for each in module.params["certificates"]},
    )


if __name__ == "__main__":
    main()
