"""What a source says of itself, in files that other tools know too: Procfile, runtime.txt, pyproject.toml."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import tomllib
from ansible.module_utils.tornado_app_procfile import ProcfileError, commands, variables
from ansible.module_utils.tornado_app_tree import Entry, SourceError

RUNTIME = re.compile(r"python-(\d+\.\d+)(\.\d+)?")


def followed(entry: Entry, by_path: dict[str, Entry]) -> Entry:
    """What a link leads to, over other links too."""
    for _ in by_path:
        if not entry.target:
            break
        entry = by_path.get(os.path.normpath(os.path.join(os.path.dirname(entry.path), entry.target)), entry)
    return entry


def declared(packed: Iterable[Entry]) -> dict[str, Any]:
    """What the files say; SourceError when one makes no sense.

    ``processes`` has type -> its ``command`` and the ``variables`` that it names; ``python`` a version like 3.12, empty when the source
    does not care; ``dependencies`` those of its project, None when there is no project.
    """
    by_path = {entry.path: entry for entry in packed}

    def text(path: str) -> str:
        return followed(by_path[path], by_path).content.decode("utf-8-sig", "replace") if path in by_path else ""

    return {
        "processes": _processes(text("Procfile")),
        "python": _python(text("runtime.txt")),
        "dependencies": _dependencies(text("pyproject.toml")) if "pyproject.toml" in by_path else None,
    }


def _processes(text: str) -> dict[str, dict[str, Any]]:
    try:
        return {kind: {"command": command, "variables": variables(command)} for kind, command in commands(text).items()}
    except ProcfileError as problem:
        raise SourceError(f"Procfile, {problem}") from None


def _python(text: str) -> str:
    match = RUNTIME.fullmatch(text.strip())
    if text.strip() and not match:
        raise SourceError(f"runtime.txt says {text.strip()!r}; it has the form python-3.12")
    return match[1] if match else ""


def _dependencies(text: str) -> list[str] | None:
    try:
        project = tomllib.loads(text).get("project")
    except tomllib.TOMLDecodeError as problem:
        raise SourceError(f"pyproject.toml: {problem}") from None
    if not isinstance(project, dict):  # the file of a tool
        return None
    if "dependencies" in project.get("dynamic", []):
        raise SourceError("pyproject.toml leaves its dependencies to a build; write them to a file, and name that with `requirements`")
    return [str(dependency) for dependency in project.get("dependencies", [])]
