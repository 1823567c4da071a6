"""Which releases a host has served: a JSON file a slot, written before it becomes live, so that the switch decides which one counts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import History, HistoryEntry


def read(path: Path) -> History:
    """The history of a slot; an empty one when it has none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"sequence": int(found["sequence"]), "releases": list(entries(found["releases"]))}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return {"sequence": 0, "releases": []}


def entries(listed: Iterable[Any]) -> Iterator[HistoryEntry]:
    """What is said of each release. A field that is not there, or is something else, says nothing."""
    for said in listed:
        if isinstance(said, dict) and is_said(said, "release", ""):
            empty = never_live(said["release"])
            yield cast(HistoryEntry, {key: said[key] if is_said(said, key, value) else value for key, value in empty.items()})


def is_said(said: Mapping[str, Any], key: str, kind: object) -> bool:
    """Whether a field is of the kind of another value, and can be shown."""
    return type(said.get(key)) is type(kind) and str(said[key]).isprintable()


def never_live(release: str) -> HistoryEntry:
    """What a history would say of a release that it does not have."""
    return {"release": release, "at": "", "by": "", "version": "", "commit": "", "run": "", "withdrawn": False}


def previous(history: History, live: str, present: Collection[str]) -> str:
    """What a rollback goes to: the latest release before the live one that is there and was not rolled back from; or an empty string."""
    found = (entry["release"] for entry in history["releases"] if not entry.get("withdrawn"))
    return next((release for release in found if release != live and release in present), "")
