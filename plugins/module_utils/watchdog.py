"""The watchdog of an app: a program of its supervisord's, in no slot. What it says is the app's word."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Restarts
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown
from ansible_collections.tornado_app.deploy.plugins.module_utils.untrusted import tail
from ansible_collections.tornado_app.deploy.plugins.module_utils.users import user_id

GROUP = "watchdog"  # in supervisord; a slot's has a hyphen
AT_WORK = ("STARTING", "RUNNING", "BACKOFF")  # states out of which it goes on by itself
SIZE = 1_000_000  # bytes of what it says; a process takes some 150
MOST = 10**9  # restarts
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def read(path: str, user: str, names: Collection[str]) -> dict[str, Restarts]:
    """Process -> what was done to it, of the processes of these names; nothing of what is not as a watchdog writes it."""
    try:
        content = tail(path, (user_id(user),), SIZE + 1)
        found = json.loads(content, parse_int=number) if len(content) <= SIZE else None
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    entries = ((name, restarts_of(found[name])) for name in sorted(names) if name in found)
    return {name: entry for name, entry in entries if entry}


def number(text: str) -> int:
    """A number; older versions of Python take minutes for one of a million digits."""
    if len(text) > 20:
        raise ValueError("a number is too long")
    return int(text)


def restarts_of(entry: Any) -> Restarts | None:
    """One entry; None when it is none."""
    if not isinstance(entry, dict):
        return None
    count, reason, at = entry.get("restarts"), entry.get("reason"), entry.get("at")
    if type(count) is not int or not 0 < count <= MOST or not isinstance(reason, str) or not isinstance(at, str) or not TIME.fullmatch(at):
        return None
    return {"restarts": count, "reason": shown(reason), "at": at}
