#!/usr/bin/python
"""Ansible module: wait until all processes of a slot are healthy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_health
short_description: Wait until all processes of a slot are healthy
description:
  - Asks all processes of a supervisord group at once for their health path until each is healthy or the deadline has passed.
  - A process is healthy when it answered with a status of 200 to 399 and supervisord calls it C(RUNNING), that is, when it has also lived
    longer than its C(startsecs).
  - Gives up before the deadline on a process that supervisord has given up (C(FATAL)).
options:
  socket:
    description: Unix socket of the supervisord that runs the processes.
    type: path
    required: true
  group:
    description: Name of the processes' group in supervisord.
    type: str
    required: true
  ports:
    description: Ports of the processes, which are also their names in the group.
    type: list
    elements: int
    required: true
  address:
    description: Address on which the processes listen.
    type: str
    default: 127.0.0.1
  path:
    description: Path to ask for.
    type: str
    default: /
  host:
    description: Value of the C(Host) header.
    type: str
    default: localhost
  timeout:
    description: Seconds that all processes have together.
    type: float
    default: 60
  interval:
    description: Seconds between two requests to a process.
    type: float
    default: 0.25
  logs:
    description: Directory with the processes' logs, one file C(<port>.log) each, quoted when a process does not become healthy.
    type: path
    required: true
attributes:
  check_mode:
    description: Asks once and does not wait.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Wait until the new version is healthy
  wait_for_health:
    socket: /run/shop/supervisor.sock
    group: shop-green
    ports: [9000, 9001]
    path: /healthz
    timeout: 60
    logs: /var/log/shop
"""

RETURN = r"""
healthy:
  description: Whether all processes were healthy in time.
  type: bool
  returned: always
elapsed:
  description: Seconds waited.
  type: float
  returned: always
processes:
  description: One entry a process, in the order of O(ports).
  type: list
  elements: dict
  returned: always
  contains:
    name: {description: Name in supervisord., type: str, sample: "shop-green:9000"}
    port: {description: Its port., type: int}
    healthy: {description: Whether it was healthy in time., type: bool}
    status: {description: HTTP status of its last answer or 0., type: int}
    latency_ms: {description: Milliseconds that its last answer took., type: float}
    state: {description: What supervisord calls it., type: str, sample: RUNNING}
    error: {description: Why its last request failed or why supervisord gave it up; empty when it is healthy., type: str}
    log: {description: The last 20 lines of its log when it did not become healthy., type: list, elements: str}
msg:
  description: All of it as text, when a process did not become healthy.
  type: str
  returned: failure
"""

import http.client
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.tornado_app_supervisor import UNANSWERED, connect, processes

LOG_LINES = 20
REQUEST_TIMEOUT = 5.0  # seconds; a health path that takes longer is asked again


def ask(address: str, port: int, path: str, host: str, timeout: float) -> dict[str, Any]:
    """One request: status (0 when there was no answer), latency in milliseconds, error."""
    start = time.monotonic()
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    status, error = 0, ""
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        status = connection.getresponse().status  # a body that never ends is not waited for
        if not 200 <= status < 400:
            error = f"{path} answered {status}"
    except (OSError, http.client.HTTPException) as problem:
        error = f"{path}: {problem or type(problem).__name__}"
    finally:
        connection.close()
    return {"status": status, "latency_ms": round((time.monotonic() - start) * 1000, 1), "error": error}


def last_lines(path: Path, count: int = LOG_LINES) -> list[str]:
    """The last lines of a log file; a sentence when it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return [line.rstrip("\n") for line in deque(lines, count)]
    except OSError as problem:
        return [f"({path}: {problem.strerror})"]


def supervised(socket: str, group: str) -> dict[int, dict[str, Any]]:
    """Port -> what supervisord says of the process; empty when supervisord does not answer."""
    try:
        return {int(info["name"]): info for info in processes(connect(socket), group)}
    except UNANSWERED:
        return {}


def look(params: dict[str, Any], request_timeout: float) -> list[dict[str, Any]]:
    """Ask every process once, all at the same time."""
    ports = params["ports"]
    with ThreadPoolExecutor(max_workers=min(len(ports), 64)) as pool:
        answers = list(pool.map(lambda port: ask(params["address"], port, params["path"], params["host"], request_timeout), ports))
    infos = supervised(params["socket"], params["group"])
    unknown = {"statename": "UNKNOWN", "spawnerr": "", "description": f"no supervisord that answers on {params['socket']} knows it"}
    found = []
    for port, answer in zip(ports, answers):
        info = infos.get(port, unknown)
        healthy = not answer["error"] and info["statename"] == "RUNNING"
        errors = [answer["error"]] if answer["error"] else []
        if info["statename"] != "RUNNING":
            errors.append(f"supervisord: {info['statename']} {info['spawnerr'] or info['description']}".strip())
        process = {"name": f"{params['group']}:{port}", "port": port, "state": info["statename"], "healthy": healthy}
        found.append({**process, **answer, "error": "; ".join(errors)})
    return found


def report(result: list[dict[str, Any]], elapsed: float) -> str:
    """What is wrong, for a person."""
    parts = []
    for process in result:
        if not process["healthy"]:
            log = "\n".join(f"    {line}" for line in process["log"])
            parts.append(f"{process['name']} is not healthy after {elapsed:.0f} s: {process['error']}\n  the end of its log:\n{log}")
    return "\n".join(parts)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "required": True},
            "group": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "required": True},
            "address": {"type": "str", "default": "127.0.0.1"},
            "path": {"type": "str", "default": "/"},
            "host": {"type": "str", "default": "localhost"},
            "timeout": {"type": "float", "default": 60},
            "interval": {"type": "float", "default": 0.25},
            "logs": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    start = time.monotonic()
    deadline = start + (0 if module.check_mode else params["timeout"])
    while True:
        left = deadline - time.monotonic()
        result = look(params, min(REQUEST_TIMEOUT, max(left, 1.0)))
        given_up = any(process["state"] == "FATAL" for process in result)
        if all(process["healthy"] for process in result) or given_up or time.monotonic() >= deadline:
            break
        time.sleep(params["interval"])
    elapsed = time.monotonic() - start
    for process in result:
        process["log"] = [] if process["healthy"] else last_lines(Path(params["logs"]) / f"{process['port']}.log")
    healthy = all(process["healthy"] for process in result)
    outcome = {"changed": False, "healthy": healthy, "elapsed": round(elapsed, 3), "processes": result}
    if healthy:
        module.exit_json(**outcome)
    module.fail_json(msg=report(result, elapsed), **outcome)


if __name__ == "__main__":
    main()
