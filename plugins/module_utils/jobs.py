"""What runs the singletons and the cron of an app: a program of its live slot. What it says is the app's word."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import JobsState, JobState, ProcessState
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown
from ansible_collections.tornado_app.deploy.plugins.module_utils.untrusted import tail
from ansible_collections.tornado_app.deploy.plugins.module_utils.users import user_id
from ansible_collections.tornado_app.deploy.plugins.module_utils.watchdog import TIME, number

SIZE = 1_000_000  # bytes of what it says; a job takes some 300
MOST = 10**9
PROCESS = "singletons.1"


def state(app: App, workers: Iterable[ProcessState]) -> JobsState | None:
    """What the process says that runs among these workers; None when it is not there, or says nothing."""
    pids = [worker["pid"] for worker in workers if worker["pid"] and worker["name"].endswith(f":{PROCESS}")]
    try:
        content = tail(app["jobs"], (user_id(app["user"]),), SIZE + 1)
        found = json.loads(content, parse_int=number) if len(content) <= SIZE else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("pid") not in pids or type(found.get("pid")) is not int:
        return None
    since = found.get("leaderless")
    wanted = [*(("singleton", name) for name in app["singletons"]), *(("cron", name) for name in app["cron"])]
    said, following = (part if isinstance(part, dict) else {} for part in (found.get("jobs"), found.get("next")))
    return {
        "leads": found.get("leads") is True,
        "leader": text(found.get("leader")),
        "problem": text(found.get("problem")),
        "leaderless": int(time.time() - since) if isinstance(since, (int, float)) and 0 < since < time.time() else 0,
        "jobs": {name: job(kind, said.get(f"{kind}:{name}"), following.get(f"{kind}:{name}")) for kind, name in wanted},
    }


def job(kind: str, said: Any, following: Any) -> JobState:
    """One job; nothing of what is not as such a process writes it."""
    entry = said if isinstance(said, dict) else {}
    code = entry.get("code")
    return {
        "kind": kind,
        "host": text(entry.get("host")),
        "at": moment(entry.get("since") if kind == "singleton" else entry.get("at")),
        "ended": moment(entry.get("ended")),
        "code": str(code) if type(code) is int and abs(code) < MOST else "",
        "release": text(entry.get("release")),
        "restarts": count(entry.get("restarts")),
        "tries": count(entry.get("tries")),
        "seconds": float(entry["seconds"]) if type(entry.get("seconds")) is float and 0 <= entry["seconds"] < MOST else 0.0,
        "skipped": count(entry.get("skipped")),
        "next": moment(following),
    }


def text(said: Any) -> str:
    """A text for a person; empty when it is none."""
    return shown(said) if isinstance(said, str) else ""


def moment(said: Any) -> str:
    """A time as UTC; empty when it is none."""
    return said if isinstance(said, str) and TIME.fullmatch(said) else ""


def count(said: Any) -> int:
    """A number of times; 0 when it is none."""
    return said if type(said) is int and 0 <= said <= MOST else 0
