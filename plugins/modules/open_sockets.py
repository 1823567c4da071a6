#!/usr/bin/python
"""Ansible module: let running units write in the directories of the sockets of slots."""

from __future__ import annotations

DOCUMENTATION = r"""
module: open_sockets
short_description: Let running units write in the directories of the sockets of slots
description:
  - A unit that is started has a writable mount of the directory of its sockets. One that runs since before there was such a directory,
    or since before it was made anew, has none; and a restart would end every process. It gets that mount here, without noticing.
  - Looks at the mounts of the supervisord that answers, which has to be the app's. The directory itself has to be there.
  - Does nothing about slots that listen on ports.
extends_documentation_fragment: [tornado_app.deploy.slots]
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Let the processes make their sockets
  tornado_app.deploy.open_sockets:
    slots: "{{ __tornado_app_own.starting }}"
"""

RETURN = r"""
paths:
  description: The directories that were opened, or in check mode would be.
  type: list
  elements: path
  returned: always
msg:
  description: What went wrong, one line a directory.
  type: str
  returned: failure
"""

import os
import subprocess
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.mounts import MountError, open_to, writable
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import SLOTS
from ansible_collections.tornado_app.deploy.plugins.module_utils.supervisor import UNANSWERED, Supervisor


def directories(slot: Mapping[str, Any]) -> list[str]:
    """The directories of the slot's sockets: one, if any."""
    return sorted({os.path.dirname(address[len("unix:") :]) for address in slot["addresses"] if address.startswith("unix:")})


def opened(slot: Mapping[str, Any], path: str, check: bool, problems: list[str]) -> bool:
    """Whether the slot's unit had no way into the directory, and has one now; what is wrong goes to the problems."""
    supervisor = Supervisor(slot["socket"], slot["user"], slot["unit"])
    try:
        supervisor.call("getState")
        process = supervisor.process()
        if process is None:
            raise MountError(f"who answers on {slot['socket']} is not of {slot['unit']}")
        if writable(process.pid, path):
            return False
        if not os.path.isdir(path):
            raise MountError(f"{path} is not there: run site.yml without --tags, or with --tags provision, first")
        if not check:
            open_to(process.pid, *supervisor.owner, path)
    except MountError as problem:
        problems.append(str(problem))
    except (*UNANSWERED, subprocess.TimeoutExpired) as problem:
        problems.append(f"{path} cannot be opened to {slot['unit']}: {problem}")
    else:
        return True
    return False


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"slots": SLOTS}, supports_check_mode=True)
    problems: list[str] = []
    wanted = [(slot, path) for slot in module.params["slots"] for path in directories(slot)]
    paths = [path for slot, path in wanted if opened(slot, path, module.check_mode, problems)]
    if problems:
        module.fail_json(msg="\n".join(problems), changed=bool(paths), paths=paths)
    module.exit_json(changed=bool(paths), paths=paths)


if __name__ == "__main__":
    main()
