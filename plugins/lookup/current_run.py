"""This run of ansible-playbook, as others are told of it by the hosts' locks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: current_run
short_description: Who runs ansible-playbook on this controller
description:
  - Identifies the running C(ansible-playbook), and tells whether the one that holds a lock has ended.
options:
  _terms:
    description: Locks that were found on hosts (see M(tornado_app.deploy.run_lock)); empty ones are nobody's.
    type: list
    elements: dict
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Tell who it is
  ansible.builtin.debug:
    msg: "{{ lookup('tornado_app.deploy.current_run') }}"
"""

RETURN = r"""
_raw:
  description:
    - One dictionary with C(controller) (its name), C(machine) (tells controllers of one name apart), C(user), C(pid), and C(ended),
      the runs of those locks whose process was one of this machine and is not there any more.
  type: list
  elements: dict
"""

import getpass
import multiprocessing
import os
import socket
import subprocess
import uuid
from collections.abc import Mapping
from typing import Any

from ansible.plugins.lookup import LookupBase


def is_running(pid: int) -> bool:
    """Whether an ansible-playbook has this process id, and has not ended; also when that cannot be found out."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    try:
        done = subprocess.run(["ps", "-ww", "-p", str(pid), "-o", "stat=", "-o", "args="], capture_output=True, text=True, check=False)
    except OSError:  # no ps
        return True
    return not done.stdout or ("ansible" in done.stdout and not done.stdout.startswith("Z"))


def process_namespace() -> str:
    """What tells containers of one machine apart, whose process ids are their own; empty where the kernel is not Linux."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """The lookup."""

    def run(self, terms: list[Mapping[str, Any]], variables: object = None, **kwargs: object) -> list[dict[str, Any]]:  # noqa: ARG002  the base class's
        """See DOCUMENTATION."""
        parent = multiprocessing.parent_process()  # tasks run in workers of the one that counts
        machine = f"{socket.gethostname()}-{uuid.getnode():012x}-{process_namespace()}"
        here = [lock for lock in terms if lock and lock.get("machine") == machine and "pid" in lock]
        ended = [lock["run"] for lock in here if not is_running(int(lock["pid"]))]
        return [
            {
                "controller": socket.gethostname(),
                "machine": machine,
                "user": getpass.getuser(),
                "pid": parent.pid if parent else os.getpid(),
                "ended": ended,
            }
        ]
