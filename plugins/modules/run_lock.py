#!/usr/bin/python
"""Ansible module: take, renew or give back the lock that keeps two operators apart."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_lock
short_description: Take, renew or give back the lock that keeps two operators apart
description:
  - The lock is a file that says who is changing the host. It is taken for a while (O(lease)). Each module that acts on
    the host renews it.
  - A lock whose lease is over is taken without a question, and so is the one that O(replace) names.
  - Only root can open the file. Each module holds its C(flock) while it acts; who waits for that too long says which process it is.
  - A reboot frees it.
options:
  state:
    description:
      - V(present) takes the lock.
      - V(absent) gives it back when it is this run's.
    type: str
    choices: [present, absent]
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
  alive:
    description: Runs whose lock is not taken though its lease on this host is over, because they go on on other hosts.
    type: list
    elements: str
    default: []
  wait:
    description: Seconds for which the lock of another run may last before this one gives up.
    type: float
    default: 0
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
  tornado_app.deploy.run_lock:
    run: 20260102T030405Z-ana-build-1-4711
    holder: {user: ana, controller: build-1, pid: 4711, operation: deploy}
"""

RETURN = r"""
replaced:
  description: The lock of another run that was taken; empty when there was none.
  type: dict
  returned: success
mark:
  description: Changes with each change of the lock file. With the one that M(tornado_app.deploy.state_info) has seen while the lock was
    free, nobody has held the lock in between.
  type: str
  returned: success
"""

import time
from pathlib import Path
from typing import Any, cast

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import holder, mark, opened, parse, said, write
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Lock


def refusal(params: dict[str, Any], found: Lock) -> str:
    """Why this run may not take the lock that another run holds; an empty string when it may."""
    if not found or found["run"] in (params["run"], params["replace"]):
        return ""
    if found["expires"] < time.time() and found["run"] not in params["alive"]:
        return ""
    end = time.strftime("%H:%M:%S UTC", time.gmtime(found["expires"]))
    return (
        f"this host is locked by {holder(found)}; wait for that run with -e tornado_app_lock_wait=SECONDS, whose lock ends at {end} "
        "unless it goes on, or take it over with -e tornado_app_take_over=true when you are sure that it is dead"
    )


def take(params: dict[str, Any], path: Path) -> tuple[str, Lock]:
    """Take the lock, unless there is a reason not to. That reason, and the lock that was there."""
    with opened(path) as stream:
        found = parse(stream.read())
        reason = refusal(params, found)
        if not reason:
            lease = params["lease"]
            write(stream, cast(Lock, {**params["holder"], "run": params["run"], "lease": lease, "expires": time.time() + lease}))
    return reason, {} if found.get("run") == params["run"] else found


def give_back(params: dict[str, Any], path: Path) -> None:
    """Leave the lock to others, when it is this run's."""
    with opened(path) as stream:
        if parse(stream.read()).get("run") == params["run"]:
            write(stream, {})


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "run": {"type": "str", "required": True},
            "holder": {"type": "dict", "default": {}},
            "lease": {"type": "float", "default": 900},
            "replace": {"type": "str", "default": ""},
            "alive": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "float", "default": 0},
            "path": {"type": "path", "default": "/run/tornado_app/lock"},
        },
        supports_check_mode=True,
    )
    try:
        act(module, Path(module.params["path"]))
    except NotHeldError as problem:
        module.fail_json(msg=str(problem))


def act(module: AnsibleModule, path: Path) -> None:
    """Take the lock or give it back, and end the module."""
    params = module.params
    if params["state"] == "absent":
        if not module.check_mode:
            give_back(params, path)
        module.exit_json(changed=False, replaced={}, mark=mark(path))
    deadline = time.monotonic() + params["wait"]
    while True:
        before = mark(path)
        reason, found = (refusal(params, said(path)), {}) if module.check_mode else take(params, path)
        if not reason or time.monotonic() >= deadline:
            break
        time.sleep(1)
    if reason:
        module.fail_json(msg=reason)
    module.exit_json(changed=False, replaced=found, mark=before)


if __name__ == "__main__":
    main()
