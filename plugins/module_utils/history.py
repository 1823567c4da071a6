"""Which releases a host has served: a JSON file a slot, written before it becomes live, so that the switch decides which one counts."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    """The history of a slot: ``sequence``, higher the later the slot was filled, and ``releases``, the latest first."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"sequence": int(found["sequence"]), "releases": list(found["releases"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"sequence": 0, "releases": []}


def previous(history: dict[str, Any], live: str, present: Collection[str]) -> str:
    """What a rollback goes to: the latest release before the live one that is there and was not rolled back from; or an empty string."""
    found = (entry["release"] for entry in history["releases"] if not entry.get("withdrawn"))
    return next((release for release in found if release != live and release in present), "")
