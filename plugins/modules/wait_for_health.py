#!/usr/bin/python
"""Ansible module: wait until all processes of slots are healthy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_health
short_description: Wait until all processes of slots are healthy
description:
  - Asks all processes of supervisord groups at once for their health path, each group until all of its own are healthy or its deadline has
    passed.
  - A process is healthy when it answered with a status of 200 to 399 and supervisord calls it C(RUNNING), that is, when it has also lived
    longer than its C(startsecs). Who listens has to be of the app's user.
  - Gives up before the deadline on a group with a process that supervisord has given up (C(FATAL)), or that has died three times.
extends_documentation_fragment: [tornado_app.deploy.slots]
options:
  timeout:
    description: Seconds that the processes of each slot have together; what the slot itself says when it is not given.
    type: float
  steady:
    description:
      - Seconds for which a process has to have answered well without dying. A process that dies shortly after its start is well for a
        moment each time that supervisord starts it again. Those that answer in time have this much more than their timeout.
    type: float
    default: 0
  passed:
    description:
      - The C(apps) of an earlier result of this module. The processes have to be the same as then. A slot of an app that is not in it may
        have any.
    type: list
    elements: dict
    default: []
  interval:
    description: Seconds between two requests to a process.
    type: float
    default: 0.25
attributes:
  check_mode:
    description: Asks once and does not wait.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Wait until the new version is healthy
  tornado_app.deploy.wait_for_health:
    slots: "{{ __tornado_app_own.slots }}"
    steady: 2
"""

RETURN = r"""
healthy:
  description: Whether all processes were healthy in time.
  type: bool
  returned: always
apps:
  description: One entry a slot, in the order of O(slots).
  type: list
  elements: dict
  returned: always
  contains:
    app: {description: Name of the app., type: str}
    healthy: {description: Whether all its processes were healthy in time., type: bool}
    elapsed: {description: Seconds waited., type: float}
    processes:
      description: One entry a process, in the order of their ports, then of the workers.
      type: list
      elements: dict
      contains:
        name: {description: Name in supervisord., type: str, sample: "shop-green:9000"}
        port: {description: Its port; 0 for one that has none., type: int}
        pid: {description: Its process id or 0., type: int}
        healthy: {description: Whether it was healthy in time., type: bool}
        status: {description: HTTP status of its last answer or 0., type: int}
        latency_ms: {description: Milliseconds that its last answer took., type: float}
        state: {description: What supervisord calls it., type: str, sample: RUNNING}
        error: {description: Why its last request failed or why supervisord gave it up; empty when it is healthy., type: str}
        log: {description: "The last 20 lines of its log when it did not become healthy, of 64 processes.", type: list, elements: str}
msg:
  description: All of it as text, when a process did not become healthy.
  type: str
  returned: failure
"""

import time
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.health import AppHealth, Asked, Health, Past, Seen, of_app
from ansible_collections.tornado_app.deploy.plugins.module_utils.http import Answer, get
from ansible_collections.tornado_app.deploy.plugins.module_utils.logs import log_of
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import children, listening
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import SLOTS, Slot, worker_names
from ansible_collections.tornado_app.deploy.plugins.module_utils.supervisor import UNANSWERED, ProcessInfo, Supervisor
from ansible_collections.tornado_app.deploy.plugins.module_utils.users import user_id

LOGS = 64  # of a slot that are shown
DEATHS = 3  # supervisord restarts a process as often that lives shorter than startsecs
REQUEST_TIMEOUT = 5.0  # seconds; a health path that takes longer is asked again
REQUESTS = 32  # to a slot at the same time


def supervised(slot: Slot) -> tuple[dict[str, ProcessInfo], list[str]]:
    """Name -> what supervisord says of the process; and why it says nothing, or nothing that can be believed."""
    try:
        found, strange = Supervisor(slot["socket"], slot["user"], slot["unit"]).processes([slot["group"]])
    except UNANSWERED as problem:
        return {}, [str(problem)]
    return {info.name: info for info in found}, strange


def look(slot: Asked, request_timeout: float, pool: Executor) -> list[Seen]:
    """Ask every process of a slot once, all at the same time; those whose turn has not come by then do not answer."""
    ports, owner, end = slot["ports"], user_id(slot["user"]), time.monotonic() + request_timeout
    # Processes that share an address are asked as often as there are of them; which of them answers is the kernel's choice.
    addresses = slot["addresses"] * len(ports) if len(slot["addresses"]) == 1 else slot["addresses"]

    def ask(address: str) -> Answer:
        return get(address, slot["health"]["path"], slot["host"], end - time.monotonic(), owner=owner)

    answers = of_app(pool.map(ask, addresses), addresses, owner)
    infos, strange = supervised(slot)
    nobody = f"no supervisord that answers on {slot['socket']} knows it{''.join(f'; {problem}' for problem in strange)}"
    unknown = ProcessInfo(slot["group"], "", "UNKNOWN", 0, nobody, None)
    asked = [(str(port), port, answer) for port, answer in zip(ports, answers)]
    silent: Answer = {"status": 0, "latency_ms": 0.0, "error": "", "headers": {}, "body": "", "certificate": ""}
    found: list[Seen] = []
    for name, port, answer in [*asked, *((worker, 0, silent) for worker in worker_names(slot))]:
        info = infos.get(name, unknown)
        errors = [answer["error"]] if answer["error"] else []
        if answer is not silent and (lacking := missing(slot, info.pid if info.kernel else 0)):
            errors.append(lacking)
        well = not errors and info.statename in ("RUNNING", "STARTING")
        if info.statename != "RUNNING":
            errors.append(f"supervisord: {info.statename} {info.problem}".strip())
        found.append(
            {
                "name": f"{slot['group']}:{name}",
                "port": port,
                "pid": info.pid,
                "state": info.statename,
                "answers": well,
                "status": answer["status"],
                "latency_ms": answer["latency_ms"],
                "errors": errors,
            }
        )
    return found


def missing(slot: Asked, pid: int) -> str:
    """What the kernel lacks of processes that share an address, of which an answer says nothing; an empty string when all are there."""
    wanted = slot["processes"] if slot["listen"] == "fork" else 0
    if wanted and (found := len(children(pid)) if pid else 0) < wanted:
        return f"it has forked {found} of {wanted} processes"
    sharing = len(slot["ports"]) if len(slot["ports"]) > len(slot["addresses"]) else 0
    if sharing and (found := listening(int(slot["addresses"][0].rpartition(":")[2]), user_id(slot["user"]))) < sharing:
        return f"{found} of {sharing} processes listen on {slot['addresses'][0]}; reuse_port=True lets them share it"
    return ""


def judge(process: Seen, past: Past, wanted: int | None, steady: float, moment: float) -> Health:
    """Say of one look, in the light of those before, whether the process is healthy, or what is wrong."""
    errors, answers = list(process["errors"]), process["answers"]
    healthy = process["state"] == "RUNNING" and answers and moment - past.since >= steady and wanted in (None, process["pid"])
    if past.deaths:
        errors.append(f"it died {'once' if past.deaths == 1 else f'{past.deaths} times'} meanwhile")
    if wanted not in (None, process["pid"]):
        errors.append(f"it is not process {wanted} any more")
    elif answers and not healthy and not errors:
        errors.append(f"it answers for less than {steady:g} s")
    return {
        "name": process["name"],
        "port": process["port"],
        "pid": process["pid"],
        "state": process["state"],
        "status": process["status"],
        "latency_ms": process["latency_ms"],
        "healthy": healthy,
        "error": "" if healthy else "; ".join(errors),
        "log": [],
    }


def wait(slot: Asked, interval: float) -> AppHealth:
    """Ask the processes of a slot until all are healthy, one is given up, or their time is over."""
    with ThreadPoolExecutor(max_workers=REQUESTS) as pool:  # of its own: processes that hang keep no other slot waiting
        return waited(slot, interval, pool)


def waited(slot: Asked, interval: float, pool: Executor) -> AppHealth:
    """The same, with threads for the requests."""
    start = time.monotonic()
    deadline = start + slot["timeout"]
    names = [f"{slot['group']}:{name}" for name in (*slot["ports"], *worker_names(slot))]
    pids = slot["pids"]
    pasts = {name: Past() for name in names}
    while True:
        left = deadline - time.monotonic()
        seen = look(slot, min(REQUEST_TIMEOUT, max(left, 1.0)), pool)
        now = time.monotonic()
        for one in seen:
            pasts[one["name"]].add(one, now)
        late = now >= deadline and not all(one["answers"] for one in seen)
        found = [judge(one, pasts[one["name"]], pids.get(one["name"]), slot["steady"], now) for one in seen]
        healthy = all(process["healthy"] for process in found)
        given_up = any(process["state"] == "FATAL" or pasts[process["name"]].deaths >= DEATHS for process in found)
        replaced = any(pids.get(process["name"], process["pid"]) != process["pid"] for process in found)
        # Those that answer in time, but not for long enough yet, have this much more.
        if healthy or given_up or replaced or late or now >= deadline + slot["steady"]:
            break
        time.sleep(interval)
    for process in [process for process in found if not process["healthy"]][:LOGS]:
        process["log"] = log_of(slot, process)
    return {"app": slot["app"], "healthy": healthy, "elapsed": round(time.monotonic() - start, 3), "processes": found}


def report(apps: list[AppHealth]) -> str:
    """What is wrong, for a person."""
    parts = []
    for app in apps:
        for process in app["processes"]:
            if not process["healthy"]:
                parts.append(f"{process['name']} is not healthy after {app['elapsed']:.0f} s: {process['error']}\n  the end of its log:")
                parts += [f"    {line}" for line in process["log"]]
    return "\n".join(parts)


def asked(slot: Slot, params: dict[str, Any], once: bool) -> Asked:
    """A slot with what this call asks of it."""
    timeout = slot["health"]["timeout"] if params["timeout"] is None else params["timeout"]
    before = (process for app in params["passed"] if app["app"] == slot["app"] for process in app["processes"])
    return {
        **slot,
        "timeout": 0 if once else timeout,
        "steady": 0 if once else params["steady"],
        "pids": {process["name"]: process["pid"] for process in before},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "slots": SLOTS,
            "timeout": {"type": "float"},
            "steady": {"type": "float", "default": 0},
            "passed": {"type": "list", "elements": "dict", "default": []},
            "interval": {"type": "float", "default": 0.25},
        },
        supports_check_mode=True,
    )
    params = module.params
    slots = [asked(slot, params, once=module.check_mode) for slot in params["slots"]]
    with ThreadPoolExecutor(max_workers=max(1, len(slots))) as waits:
        apps = list(waits.map(lambda slot: wait(slot, params["interval"]), slots))
    outcome = {"changed": False, "healthy": all(app["healthy"] for app in apps), "apps": apps}
    if not outcome["healthy"]:
        module.fail_json(msg=report(apps), **outcome)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
