"""Which releases a host has served: a JSON file a slot, written before it becomes live, so that the switch decides which one counts."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import History, HistoryEntry


def read(path: Path) -> History:
    """The history of a slot; an empty one when it has none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"sequence": int(found["sequence"]), "releases": list(found["releases"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"sequence": 0, "releases": []}


def never_live(release: str) -> HistoryEntry:
    """What a history would say of a release that it does not have."""
    return {"release": release, "at": "", "by": "", "version": "", "commit": "", "run": "", "withdrawn": False}


def previous(history: History, live: str, present: Collection[str]) -> str:
    """What a rollback goes to: the latest release before the live one that is there and was not rolled back from; or an empty string."""
    found = (entry["release"] for entry in history["releases"] if not entry.get("withdrawn"))
    return next((release for release in found if release != live and release in present), "")
