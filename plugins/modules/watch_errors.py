#!/usr/bin/python
"""Ansible module: watch how nginx answers the requests to a slot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: watch_errors
short_description: Watch how nginx answers the requests to a slot
description:
  - Follows access logs of nginx for some time and fails when too many requests to a slot were answered with a status of 500 or above.
  - Too many are more than the other slot had for as long before, and O(max_errors) on top. Each client counts as one, however often it
    asks, and errors of a single client among several do not count. So nobody takes a release back by making errors.
  - A log is lines of JSON with the keys C(slot), C(status), C(remote_addr), C(time), C(method), C(uri) and C(upstream_addr). Other lines
    are skipped. What a log says of the slot already when the module starts does not count.
  - A log that is not there yet is an empty one. A log that is renamed or truncated meanwhile is followed; what is still written to the
    renamed file counts too.
  - Slots without web processes are left out.
  - A request counts when nginx has answered it; one that takes longer than O(seconds) is not seen. An app without any request passes.
extends_documentation_fragment: [tornado_app.deploy.slots]
options:
  seconds:
    description: How long to watch.
    type: float
    required: true
  max_errors:
    description: By how much the share of errors may be above that of the other slot, 0 to 1.
    type: float
    required: true
  interval:
    description: Seconds between two looks.
    type: float
    default: 0.5
notes:
  - The module ends early, for all apps, as soon as one of them has had 20 requests or more and too large a share of errors.
attributes:
  check_mode:
    description: Returns at once.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Watch the new slot for half a minute
  tornado_app.deploy.watch_errors:
    slots: "{{ __tornado_app_own.slots }}"
    seconds: 30
    max_errors: 0.01
"""

RETURN = r"""
apps:
  description: One entry an app, in the order of O(slots).
  type: list
  elements: dict
  returned: always, but when a log cannot be read
  contains:
    app: {description: Its name., type: str, sample: shop}
    requests: {description: Number of requests to the slot that were answered., type: int, sample: 80}
    errors: {description: Number of those answered with a status of 500 or above., type: int, sample: 12}
    share: {description: "Mean of the clients' shares of errors, 0 to 1; 0 without any request.", type: float, sample: 0.15}
    share_before: {description: The same of the other slot for as long before., type: float, sample: 0.002}
    passed: {description: Whether there were not too many errors., type: bool}
    examples:
      description: The first of the errors, five at most.
      type: list
      elements: str
      sample: ["500 GET /api/x from 127.0.0.1:9000"]
elapsed:
  description: Seconds watched.
  type: float
  returned: always, but when a log cannot be read
msg:
  description: All of it as text, when an app did not pass.
  type: str
  returned: failure
"""

import json
import os
import time
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import datetime
from io import FileIO
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import SLOTS, other
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown

ENOUGH = 20  # requests; among fewer, one error would be a large share
SHOWN = 5  # errors
URI_SHOWN = 200  # characters
LOOK_BACK = 8_000_000  # bytes of a log in which the other slot's requests are looked for


class Requests:
    """Requests to a slot, and which of them were answered with an error, by client."""

    def __init__(self) -> None:
        self.all: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def add(self, client: str, status: int) -> bool:
        """Count one; whether it is an error."""
        self.all[client] += 1
        self.errors[client] += status >= 500
        return status >= 500

    def share(self) -> float:
        """Mean of the clients' shares of errors, 0 to 1."""
        return sum(self.errors[client] / count for client, count in self.all.items()) / len(self.all) if self.all else 0.0

    def by_one(self) -> bool:
        """Whether a single client among several has all errors."""
        return len(self.all) > 1 and sum(count > 0 for count in self.errors.values()) == 1


class Growing:
    """A file that somebody appends to."""

    def __init__(self, file: FileIO) -> None:
        self.file = file
        self.partial = b""

    def lines(self) -> list[bytes]:
        """The lines that have become whole since the last call."""
        if os.fstat(self.file.fileno()).st_size < self.file.tell():  # it was truncated
            self.file.seek(0)
            self.partial = b""
        *whole, self.partial = (self.partial + self.file.readall()).split(b"\n")
        return whole


def parsed(line: bytes) -> dict[str, Any] | None:
    """A line that is a request; None when it is something else."""
    try:
        entry = json.loads(line.decode("utf-8", "replace"))  # nginx logs the bytes that a client sent
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("status"), int) else None


def is_since(entry: dict[str, Any], since: float) -> bool:
    """Whether a request was answered since a moment (seconds since 1970)."""
    try:
        return datetime.fromisoformat(str(entry.get("time"))).timestamp() >= since
    except ValueError:
        return False


class Log:
    """The requests to one slot of an app, counted from its access log; and those to the other slot in the seconds before."""

    def __init__(self, stack: ExitStack, app: str, path: str, slot: str, seconds: float) -> None:
        self.stack = stack
        self.app, self.path, self.slot = app, path, slot
        self.new, self.before = Requests(), Requests()
        self.examples: list[str] = []
        self.files: list[Growing] = []
        self.follow()
        for growing in self.files:
            self.look_back(growing.file, time.time() - seconds)
            growing.file.seek(0, os.SEEK_END)

    def look_back(self, file: FileIO, since: float) -> None:
        """Count the requests to the other slot since a moment."""
        file.seek(max(0, os.fstat(file.fileno()).st_size - LOOK_BACK))
        for line in file.readall().split(b"\n"):
            entry = parsed(line)
            if entry and entry.get("slot") == other(self.slot) and is_since(entry, since):
                self.before.add(str(entry.get("remote_addr")), entry["status"])

    def follow(self) -> None:
        """Open the file that has the log's name now; nothing while there is none.

        The one before stays open: each worker of nginx goes on writing to it until that worker was told of the rotation.
        """
        with suppress(FileNotFoundError):
            if not self.files or not os.path.samestat(os.stat(self.path), os.fstat(self.files[-1].file.fileno())):
                self.files.append(Growing(self.stack.enter_context(FileIO(self.path))))

    def look(self) -> None:
        """Count what is new."""
        self.follow()
        for growing in self.files:
            for line in growing.lines():
                self.count(line)

    def count(self, line: bytes) -> None:
        """Count one line, if it is a request to the slot."""
        entry = parsed(line)
        if not entry or entry.get("slot") != self.slot:
            return
        if self.new.add(str(entry.get("remote_addr")), entry["status"]) and len(self.examples) < SHOWN:
            self.examples.append(described(entry))

    def passed(self, max_errors: float) -> bool:
        """Whether there are not too many errors."""
        return self.new.by_one() or self.new.share() <= self.before.share() + max_errors

    def result(self, max_errors: float) -> dict[str, Any]:
        """What the module returns of it."""
        shares = {"share": round(self.new.share(), 6), "share_before": round(self.before.share(), 6), "passed": self.passed(max_errors)}
        counts = {"requests": sum(self.new.all.values()), "errors": sum(self.new.errors.values())}
        return {"app": self.app, **counts, **shares, "examples": self.examples}

    def report(self, max_errors: float, elapsed: float) -> str:
        """What is wrong, for a person."""
        requests, errors, clients = sum(self.new.all.values()), sum(self.new.errors.values()), len(self.new.all)
        mean = f", the mean of {clients} clients" if clients > 1 else ""
        return (
            f"{self.app}: {errors} of {requests} requests ({100 * self.new.share():.3g} %{mean}) to the {self.slot} slot "
            f"were answered with 5xx within {max(1, round(elapsed))} s; "
            f"the {other(self.slot)} slot had {100 * self.before.share():.3g} % before, "
            f"and at most {100 * max_errors:.3g} % more may be (tornado_app_bake_max_errors): "
            f"{'; '.join(self.examples)}{'; …' if errors > SHOWN else ''}"
        )


def described(entry: dict[str, Any]) -> str:
    """One request as text; without an upstream when no process was asked."""
    method, uri, upstream = (shown(str(entry.get(key) or ""), URI_SHOWN) for key in ("method", "uri", "upstream_addr"))
    return f"{entry['status']} {method} {uri}" + (f" from {upstream}" if upstream else "")


def watch(logs: list[Log], seconds: float, max_errors: float, interval: float) -> None:
    """Count until the time is over or the case is clear."""
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        for log in logs:
            log.look()
        if left <= 0 or any(sum(log.new.all.values()) >= ENOUGH and not log.passed(max_errors) for log in logs):
            return
        time.sleep(min(interval, left))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "slots": SLOTS,
            "seconds": {"type": "float", "required": True},
            "max_errors": {"type": "float", "required": True},
            "interval": {"type": "float", "default": 0.5},
        },
        supports_check_mode=True,
    )
    params = module.params
    max_errors = params["max_errors"]
    start = time.monotonic()
    slots = [slot for slot in params["slots"] if slot["ports"]]
    with ExitStack() as stack:
        try:
            logs = [Log(stack, slot["app"], slot["access_log"], slot["name"], params["seconds"]) for slot in slots]
            watch(logs, 0 if module.check_mode or not slots else params["seconds"], max_errors, params["interval"])
        except OSError as problem:
            module.fail_json(msg=f"A log cannot be read: {problem}")
    elapsed = time.monotonic() - start
    outcome = {"changed": False, "apps": [log.result(max_errors) for log in logs], "elapsed": round(elapsed, 3)}
    failed = [log.report(max_errors, elapsed) for log in logs if not log.passed(max_errors)]
    if failed:
        module.fail_json(msg="\n".join(failed), **outcome)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
