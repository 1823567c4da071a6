#!/usr/bin/python
"""Ansible module: start or remove one process group of a supervisord."""

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisor_group
short_description: Start or remove one process group of a supervisord
description:
  - Brings one group in or takes it out and touches no other group, unlike C(supervisorctl update), which restarts every group whose
    configuration has changed.
  - Speaks to supervisord's own XML-RPC interface.
options:
  socket:
    description: Unix socket of the supervisord.
    type: path
    required: true
  group:
    description: Name of the group.
    type: str
    required: true
  state:
    description:
      - V(started) reads the configuration files again and brings the group in, so that its processes start. Does nothing when it is in.
      - V(absent) stops all processes of the group, each by SIGTERM and after its C(stopwaitsecs) by SIGKILL, and takes the group out.
    type: str
    choices: [started, absent]
    required: true
  timeout:
    description: Seconds that stopping may take. supervisord itself ends it sooner, after the C(stopwaitsecs) of the processes.
    type: float
    default: 600
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Start the new version beside the running one
  supervisor_group:
    socket: /run/shop/supervisor.sock
    group: shop-green
    state: started
"""

RETURN = r"""
elapsed:
  description: Seconds that it took.
  type: float
  returned: success
"""

import time
import xmlrpc.client

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.tornado_app_supervisor import BAD_NAME, UNANSWERED, connect, processes

STOPPED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "required": True},
            "group": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "absent"], "required": True},
            "timeout": {"type": "float", "default": 600},
        },
        supports_check_mode=True,
    )
    group, state = module.params["group"], module.params["state"]
    supervisor = connect(module.params["socket"])
    start = time.monotonic()
    try:
        present = bool(processes(supervisor, group))
        changed = present != (state == "started")
        if changed and not module.check_mode:
            if state == "started":
                supervisor.reloadConfig()
                supervisor.addProcessGroup(group)
            else:
                deadline = start + module.params["timeout"]
                while any(info["statename"] not in STOPPED for info in processes(supervisor, group)):
                    # Told again each time: supervisord may just have been starting one anew that had died.
                    supervisor.stopProcessGroup(group, False)
                    if time.monotonic() > deadline:
                        module.fail_json(msg=f"{group} was still running {module.params['timeout']:.0f} s after it was told to stop")
                    time.sleep(0.1)
                supervisor.removeProcessGroup(group)
    except xmlrpc.client.Fault as fault:
        hint = " (its configuration file is not among those that supervisord includes)" if fault.faultCode == BAD_NAME else ""
        module.fail_json(msg=f"supervisord refused {state} of {group}: {fault.faultString}{hint}")
    except UNANSWERED as problem:
        module.fail_json(msg=f"supervisord does not answer on {module.params['socket']}: {problem}; look at its unit with systemctl status")
    module.exit_json(changed=changed, elapsed=round(time.monotonic() - start, 3))


if __name__ == "__main__":
    main()
