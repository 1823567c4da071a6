"""The releases of an app on a host: directories, each with a JSON file beside it that names its environment."""

from __future__ import annotations

import json
from pathlib import Path


def names(releases: Path) -> list[str]:
    """The releases that are there, not what is still being unpacked."""
    return sorted(path.name for path in releases.glob("*") if path.is_dir() and not path.name.startswith("."))


def environment_of(release: Path) -> str:
    """The digest of the environment that a release needs; empty when nothing tells."""
    try:
        return str(json.loads(release.with_name(f"{release.name}.json").read_text())["environment"])
    except (OSError, ValueError, KeyError):
        return ""


def whole_environments(environments: Path) -> list[str]:
    """The environments that are there, not those that are still being installed."""
    return sorted(mark.parent.name for mark in environments.glob("*/.complete"))


def with_environments(releases: Path, environments: Path) -> dict[str, str]:
    """Release -> digest of its environment; empty when that is not there, or not whole."""
    whole = whole_environments(environments)
    needed = {name: environment_of(releases / name) for name in names(releases)}
    return {name: environment if environment in whole else "" for name, environment in needed.items()}
