"""The end of what a process of an app has written, for the message of a gate that it did not pass."""

from __future__ import annotations

import json
import subprocess
from collections import deque
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.command import output
from ansible_collections.tornado_app.deploy.plugins.module_utils.health import Health
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown
from ansible_collections.tornado_app.deploy.plugins.module_utils.untrusted import tail
from ansible_collections.tornado_app.deploy.plugins.module_utils.users import user_id

LOG_LINES = 20
LOG_BYTES = 65536  # in which these lines are looked for
LINE = 1000  # characters of a line that are shown
JOURNAL_TIMEOUT = 30.0  # seconds
JOURNAL_BYTES = 8_000_000  # of its last entries; an app decides how large one is


def last_lines(path: str, user: str) -> list[str]:
    """The last lines of a log file of the user's; a sentence when there is none that can be read."""
    try:
        lines = tail(path, (user_id(user), 0), LOG_BYTES).decode("utf-8", "replace").splitlines()
    except OSError as problem:
        return [f"({path}: {problem.strerror})" if problem.strerror else f"({problem})"]
    return [shown(line, LINE) for line in lines[-LOG_LINES:]]


def journal_lines(unit: str, name: str) -> list[str]:
    """The last lines of a process in the journal of its unit; none when there is no journal."""
    fields = "--output-fields=SYSLOG_IDENTIFIER,MESSAGE"  # an app may have written others, of any number and size
    command = ["journalctl", f"--unit={unit}", "--output=json", fields, "--lines=1000", "--quiet"]
    try:
        _, said = output(command, JOURNAL_BYTES, JOURNAL_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired):
        return []
    own = (entry for entry in map(entry_of, said.splitlines()) if str(entry.get("SYSLOG_IDENTIFIER")).startswith(f"{name}@"))
    return list(deque((shown(str(entry.get("MESSAGE")), LINE) for entry in own), LOG_LINES))


def entry_of(line: str) -> dict[str, Any]:
    """An entry of the journal; empty of a line that is cut, or that an app has made too deep."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def log_of(slot: Slot, process: Health) -> list[str]:
    """The end of what a process has written, where the plan has it write to."""
    if not slot["logs"]:
        return journal_lines(slot["unit"], process["name"])
    name = process["name"].rpartition(":")[2]
    return last_lines(f"{slot['logs']}/{name if process['port'] else slot['name'] + '.' + name}.log", slot["user"])
