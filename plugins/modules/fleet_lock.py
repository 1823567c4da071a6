#!/usr/bin/python
"""Ansible module: take, renew or give back the lock that keeps two operators apart."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_lock
short_description: Take, renew or give back the lock that keeps two operators apart
description:
  - The lock is a file that says who is changing the host. It is taken for a while (O(lease)) and renewed while the run goes on.
  - A lock whose lease is over is taken without a question, and so is the one that O(replace) names.
  - A reboot frees it.
options:
  state:
    description:
      - V(present) takes the lock.
      - V(renewed) begins its lease anew, and fails when it is not this run's any more.
      - V(absent) gives it back when it is this run's.
    type: str
    choices: [present, renewed, absent]
    default: present
  run:
    description: What identifies this run.
    type: str
    required: true
  holder:
    description: Who is running what, told to others (controller, machine, user, pid, operation, since).
    type: dict
    default: {}
  lease:
    description: Seconds after which the lock is free again unless it is renewed.
    type: float
    default: 900
  replace:
    description: A run whose lock is taken though its lease is not over, because that run is dead.
    type: str
    default: ""
  path:
    description: The lock file.
    type: path
    default: /run/tornado_app/lock
attributes:
  check_mode:
    description: Fails where it would fail, and takes no lock.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Keep others away
  tornado_app.deploy.fleet_lock:
    run: 20260102T030405Z-ana-build-1-4711
    holder: {user: ana, controller: build-1, pid: 4711, operation: deploy}
"""

RETURN = r"""
replaced:
  description: The lock of another run that was taken; empty when there was none.
  type: dict
  returned: success
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import Lock, holder, opened, parse, read, write


def refuse(module: AnsibleModule, found: Lock) -> None:
    """Fail when another run holds the lock that this one may not replace."""
    run, state = module.params["run"], module.params["state"]
    if state == "renewed" and found.get("run") != run and (found or not module.check_mode):
        gone = f"is taken over by {holder(found)}" if found else "is gone: somebody took it over and is done, or the host was restarted"
        module.fail_json(msg=f"this run stops here: its lock of this host {gone}; look at --tags status, and run again")
    if not found or found["run"] == run or found["expires"] < time.time() or state != "present":
        return
    if found["run"] != module.params["replace"]:
        end = time.strftime("%H:%M:%S UTC", time.gmtime(found["expires"]))
        module.fail_json(
            msg=f"this host is locked by {holder(found)}; wait for that run, whose lock ends at {end} at the latest, "
            "or take it over with -e tornado_app_take_over=true when you are sure that it is dead"
        )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "renewed", "absent"], "default": "present"},
            "run": {"type": "str", "required": True},
            "holder": {"type": "dict", "default": {}},
            "lease": {"type": "float", "default": 900},
            "replace": {"type": "str", "default": ""},
            "path": {"type": "path", "default": "/run/tornado_app/lock"},
        },
        supports_check_mode=True,
    )
    run, state = module.params["run"], module.params["state"]
    if module.check_mode:
        refuse(module, read(Path(module.params["path"])))
        module.exit_json(changed=False, replaced={})
    with opened(Path(module.params["path"])) as stream:
        found = parse(stream.read())
        ours = found.get("run") == run
        if state == "absent":
            if ours:
                write(stream, {})
            module.exit_json(changed=False, replaced={})
        refuse(module, found)
        write(stream, {"run": run, "expires": time.time() + module.params["lease"], **module.params["holder"]})
    module.exit_json(changed=False, replaced={} if ours else found)


if __name__ == "__main__":
    main()
