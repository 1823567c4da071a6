#!/usr/bin/python
"""Ansible module: start or remove the processes of slots."""

from __future__ import annotations

DOCUMENTATION = r"""
module: slot_processes
short_description: Start or remove the processes of slots
description:
  - Brings the slots' groups of processes in or takes them out. Touches no other group, unlike C(supervisorctl update), which restarts
    every group whose configuration has changed.
  - Speaks to supervisord's own XML-RPC interface, with all groups at the same time. A supervisord that refuses, hangs or does not answer
    keeps no group of another from being started or removed; the module fails when it has done what it could.
extends_documentation_fragment:
  - tornado_app.deploy.slots
  - tornado_app.deploy.lock
options:
  state:
    description:
      - V(started) reads the configuration files again and brings the groups in, so that their processes start. Does nothing about one
        that is in.
      - V(absent) stops all processes of all groups at the same time, each by SIGTERM and after its C(stopwaitsecs) by SIGKILL, and takes
        each group out as soon as it has stopped, what its processes have forked included. Refuses to stop any when the slot of one is
        live or the lock of the host is not this run's, since what a killed controller has started goes on.
    type: str
    choices: [started, absent]
    required: true
  timeout:
    description: Seconds that stopping them all may take. supervisord itself ends it sooner, after the C(stopwaitsecs) of the processes.
    type: float
    default: 600
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Start the new versions beside the running ones
  tornado_app.deploy.slot_processes:
    slots: "{{ __tornado_app_own.starting }}"
    state: started
    run: 20260102T030405Z-ana-build-1-4711

- name: Stop the versions that have served
  tornado_app.deploy.slot_processes:
    slots: "{{ __tornado_app_own.retiring }}"
    state: absent
    run: 20260102T030405Z-ana-build-1-4711
"""

RETURN = r"""
groups:
  description: Names of the groups that were started or removed.
  type: list
  elements: str
  returned: always
elapsed:
  description: Seconds that it took.
  type: float
  returned: always
msg:
  description: What went wrong, one line a group.
  type: str
  returned: failure
"""

import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED, held
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import kill, members
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import SLOTS
from ansible_collections.tornado_app.deploy.plugins.module_utils.supervisor import BAD_NAME, UNANSWERED, ProcessInfo, Supervisor

STOPPED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")

# One of the module's slots, and the `supervisor` that runs it.
Group = Mapping[str, Any]


@contextmanager
def noted(problems: list[str], group: Group, state: str) -> Iterator[None]:
    """Note that supervisord refuses or does not answer, and go on."""
    try:
        yield
    except xmlrpc.client.Fault as fault:
        hint = " (its configuration file is not among those that supervisord includes)" if fault.faultCode == BAD_NAME else ""
        problems.append(f"supervisord refused {state} of {group['group']}: {fault.faultString}{hint}")
    except UNANSWERED as problem:
        problems.append(f"supervisord does not answer on {group['socket']}: {problem}; look at its unit with systemctl status")


def processes(group: Group) -> list[ProcessInfo]:
    """The processes of a group that supervisord knows; what of its answer cannot be believed is no process."""
    found, _ = group["supervisor"].processes([group["group"]])
    return list(found)


def of_each(groups: Sequence[Group], act: Callable[[Group, list[str]], bool], problems: list[str]) -> list[Group]:
    """The groups of which this is so. All are asked at the same time: a supervisord that hangs costs no other app anything."""
    own: list[list[str]] = [[] for _ in groups]
    with ThreadPoolExecutor(max_workers=max(1, len(groups))) as pool:
        found = list(pool.map(act, groups, own))
    problems += [problem for problem_list in own for problem in problem_list]
    return [group for group, so in zip(groups, found) if so]


def to_change(groups: Sequence[Group], state: str, problems: list[str]) -> list[Group]:
    """The groups that are not as they are to be."""

    def differs(group: Group, own: list[str]) -> bool:
        with noted(own, group, state):
            return bool(processes(group)) != (state == "started")
        return False

    return of_each(groups, differs, problems)


def start(group: Group, problems: list[str]) -> bool:
    """Bring a group in; whether it is."""
    with noted(problems, group, "started"):
        group["supervisor"].call("reloadConfig")
        group["supervisor"].call("addProcessGroup", group["group"])
        return True
    return False


def end(family: set[int], group: Group, forced: bool) -> bool:
    """Whether what a group's processes have started is gone too; ``forced`` ends it.

    supervisord knows the processes that it started itself, and calls them stopped when their children, which have the sockets, are not.
    """
    owner = group["supervisor"].owner
    left = members(family, *owner) if family else []
    for pid in left if forced else []:
        kill(pid, family, *owner)
    return not left


def stop(group: Group, timeout: float, problems: list[str]) -> bool:
    """Stop the processes of a group, and take it out as soon as they have stopped; whether it is out."""
    begin = time.monotonic()
    supervisor, name = group["supervisor"], group["group"]
    family: set[int] = set()
    with noted(problems, group, "absent"):
        while True:
            late = time.monotonic() > begin + timeout
            infos = processes(group)
            family |= {info.pid for info in infos if info.pid}  # each is the leader of a process group
            if all(info.statename in STOPPED for info in infos):
                if end(family, group, forced=time.monotonic() - begin >= group["stop_timeout"]) or late:
                    supervisor.call("removeProcessGroup", name)
                    return True
            else:
                # Repeat the stop: supervisord may just have restarted a process that had died.
                supervisor.call("stopProcessGroup", name, False)
            if late:
                problems.append(f"{name} was still running {timeout:.0f} s after it was told to stop")
                return False
            time.sleep(0.1)
    return False


def start_held(groups: Sequence[Group], params: Mapping[str, Any], problems: list[str]) -> list[Group]:
    """Bring the groups in, unless the lock is another's, which may be filling the same slots; those that are in."""
    try:
        with held(Path(params["lock"]), params["run"]):
            return of_each(groups, start, problems)
    except NotHeldError as problem:
        problems.append(f"nothing is started: {problem}")
        return []


def stop_idle(groups: Sequence[Group], params: Mapping[str, Any], problems: list[str]) -> list[Group]:
    """Stop the groups and take them out, unless the slot of one is live or the lock is another's; those that are out."""
    try:
        with held(Path(params["lock"]), params["run"]):  # nobody makes a slot live meanwhile
            live = [group for group in groups if Path(group["flag"]).exists() == (group["name"] == "green")]
            problems += [f"{group['group']} is not stopped: the {group['name']} slot is live" for group in live]
            return [] if live else of_each(groups, lambda group, own: stop(group, params["timeout"], own), problems)
    except NotHeldError as problem:
        problems.append(f"nothing is stopped: {problem}")
        return []


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "slots": SLOTS,
            "state": {"type": "str", "choices": ["started", "absent"], "required": True},
            "timeout": {"type": "float", "default": 600},
            **LOCKED,
        },
        supports_check_mode=True,
    )
    state = module.params["state"]
    begin = time.monotonic()
    problems: list[str] = []
    groups = [{**slot, "supervisor": Supervisor(slot["socket"], slot["user"], slot["unit"])} for slot in module.params["slots"]]
    done = to_change(groups, state, problems)
    if groups and not module.check_mode:
        done = start_held(done, module.params, problems) if state == "started" else stop_idle(done, module.params, problems)
    elapsed = round(time.monotonic() - begin, 3)
    result = {"changed": bool(done), "groups": [group["group"] for group in done], "elapsed": elapsed}
    if problems:
        module.fail_json(msg="\n".join(problems), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
