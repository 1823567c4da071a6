"""The URL of Redis that the processes of a slot have got."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REDIS_URL = "REDIS_URL"


def url_of(slot: Mapping[str, Any]) -> str:
    """What the secrets of a slot say, which are root's to write; empty when they have none."""
    try:
        return str(json.loads(Path(slot["secrets"]).read_text(encoding="utf-8")).get(REDIS_URL, ""))
    except (FileNotFoundError, ValueError):
        return ""
