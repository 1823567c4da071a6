"""The releases of an app on a host: directories, each with a JSON file beside it that names its environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Record
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import is_valid

# The option of install_releases, action and module; documented by the module.
ARCHIVES = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {
        "app": {"type": "str", "required": True},
        "path": {"type": "path", "required": True},
        "releases": {"type": "path", "required": True},
        "release": {"type": "str", "required": True},
        "group": {"type": "str", "required": True},
        "static": {"type": "str", "default": ""},
    },
}


def names(releases: Path) -> list[str]:
    """The releases that are there, not what is still being unpacked."""
    return sorted(path.name for path in releases.glob("*") if path.is_dir() and not path.name.startswith(".") and is_valid(path.name))


def record(release: Path) -> Record:
    """What the file beside a release says; empty values when it does not say them."""
    empty: Record = {"commands": {}, "environment": ""}
    try:
        return cast(Record, {**empty, **json.loads(release.with_name(f"{release.name}.json").read_text(encoding="utf-8"))})
    except (OSError, ValueError, TypeError):
        return empty


def whole_environments(environments: Path) -> list[str]:
    """The environments that are there, not those that are still being installed."""
    return sorted(mark.parent.name for mark in environments.glob("*/.complete") if is_valid(mark.parent.name))


def with_environments(releases: Path, environments: Path) -> dict[str, str]:
    """Release -> digest of its environment; empty when that is not there, or not whole."""
    whole = whole_environments(environments)
    needed = {name: str(record(releases / name)["environment"]) for name in names(releases)}
    return {name: environment if environment in whole else "" for name, environment in needed.items()}
