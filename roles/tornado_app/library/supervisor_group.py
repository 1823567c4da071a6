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
        Refuses when the slot is live or the lock of the host is not this run's, since what a killed controller has started goes on.
    type: str
    choices: [started, absent]
    required: true
  slot:
    description: The slot of the group, C(blue) or C(green). Required with O(state=absent).
    type: str
  flag:
    description: The flag file, which is there while the green slot is live. Required with O(state=absent).
    type: path
  run:
    description: This run, which has to hold the lock (see M(fleet_lock)). Required with O(state=absent).
    type: str
  lock:
    description: The lock file.
    type: path
    default: /run/tornado_app/lock
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
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.tornado_app_lock import NotHeldError, held
from ansible.module_utils.tornado_app_supervisor import BAD_NAME, UNANSWERED, connect, processes

STOPPED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")


def stop(module: AnsibleModule, supervisor: Any) -> None:
    """Stop the processes of the group and take it out, unless its slot is live."""
    group, slot, deadline = module.params["group"], module.params["slot"], time.monotonic() + module.params["timeout"]
    if Path(module.params["flag"]).exists() == (slot == "green"):
        module.fail_json(msg=f"{group} is not stopped: the {slot} slot is live")
    while any(info["statename"] not in STOPPED for info in processes(supervisor, group)):
        # Told again each time: supervisord may just have been starting one anew that had died.
        supervisor.stopProcessGroup(group, False)
        if time.monotonic() > deadline:
            module.fail_json(msg=f"{group} was still running {module.params['timeout']:.0f} s after it was told to stop")
        time.sleep(0.1)
    supervisor.removeProcessGroup(group)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "required": True},
            "group": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "absent"], "required": True},
            "slot": {"type": "str"},
            "flag": {"type": "path"},
            "run": {"type": "str"},
            "lock": {"type": "path", "default": "/run/tornado_app/lock"},
            "timeout": {"type": "float", "default": 600},
        },
        required_if=[("state", "absent", ("slot", "flag", "run"))],
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
                with held(Path(module.params["lock"]), module.params["run"]):  # nobody makes the slot live meanwhile
                    stop(module, supervisor)
    except xmlrpc.client.Fault as fault:
        hint = " (its configuration file is not among those that supervisord includes)" if fault.faultCode == BAD_NAME else ""
        module.fail_json(msg=f"supervisord refused {state} of {group}: {fault.faultString}{hint}")
    except NotHeldError as problem:
        module.fail_json(msg=f"{group} is not stopped: {problem}")
    except UNANSWERED as problem:
        module.fail_json(msg=f"supervisord does not answer on {module.params['socket']}: {problem}; look at its unit with systemctl status")
    module.exit_json(changed=changed, elapsed=round(time.monotonic() - start, 3))


if __name__ == "__main__":
    main()
