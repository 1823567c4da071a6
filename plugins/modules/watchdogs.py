#!/usr/bin/python
"""Ansible module: bring the watchdogs of apps into their running supervisords."""

from __future__ import annotations

DOCUMENTATION = r"""
module: watchdogs
short_description: Bring the watchdogs of apps into their running supervisords
description:
  - A supervisord that was started before its configuration had a watchdog reads it again and starts the watchdog. One that was stopped is
    started. No other process is touched.
  - A supervisord that refuses or does not answer keeps no other one from its watchdog; the module fails when it has done what it could.
  - Refuses when the lock of the host is not this run's any more, since what a killed controller has started goes on.
options:
  apps:
    description: The apps, as M(tornado_app.deploy.plan) gives them.
    type: list
    elements: dict
    required: true
extends_documentation_fragment: [tornado_app.deploy.lock]
attributes:
  check_mode:
    description: Needs no lock.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Bring the watchdogs in
  tornado_app.deploy.watchdogs:
    run: 20260102T030405Z-ana-build-1-4711
    apps: "{{ __tornado_app_plan.apps.values() }}"
"""

RETURN = r"""
apps:
  description: The apps whose watchdogs were started, or in check mode would be.
  type: list
  elements: str
  returned: always
msg:
  description: What went wrong, one line an app.
  type: str
  returned: failure
"""

import xmlrpc.client
from contextlib import nullcontext
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App
from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED, held
from ansible_collections.tornado_app.deploy.plugins.module_utils.supervisor import UNANSWERED, Supervisor
from ansible_collections.tornado_app.deploy.plugins.module_utils.watchdog import AT_WORK, GROUP


def start(app: App, check: bool) -> bool:
    """Whether the watchdog of an app was not at work, and is now; ``check`` only asks."""
    supervisor = Supervisor(app["socket"], app["user"], app["unit"])
    found, _ = supervisor.processes([GROUP])
    if found and all(info.statename in AT_WORK for info in found):
        return False
    if not check and not found:
        supervisor.call("reloadConfig")
        supervisor.call("addProcessGroup", GROUP)
    elif not check:
        supervisor.call("startProcessGroup", GROUP)  # waits until it runs
    return True


def tried(app: App, check: bool, problems: list[str]) -> bool:
    """The same, with a note when supervisord refuses or does not answer: other apps must not wait for it."""
    try:
        return start(app, check)
    except xmlrpc.client.Fault as fault:
        problems.append(f"supervisord refused the watchdog of {app['name']}: {fault.faultString}")
    except UNANSWERED as problem:
        problems.append(f"supervisord does not answer on {app['socket']}: {problem}; look at its unit with systemctl status")
    return False


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"apps": {"type": "list", "elements": "dict", "required": True}, **LOCKED},
        supports_check_mode=True,
    )
    apps, problems, check = module.params["apps"], list[str](), module.check_mode
    try:
        with nullcontext() if check else held(Path(module.params["lock"]), module.params["run"]):
            started = [app["name"] for app in apps if tried(app, check, problems)]
    except NotHeldError as problem:
        module.fail_json(changed=False, apps=[], msg=f"nothing is changed: {problem}")
    if problems:
        module.fail_json(changed=bool(started), apps=started, msg="\n".join(problems))
    module.exit_json(changed=bool(started), apps=started)


if __name__ == "__main__":
    main()
