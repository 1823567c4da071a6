"""What a source says of itself, in files that other tools know too: Procfile, runtime.txt, pyproject.toml."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

import tomllib

from ansible_collections.tornado_app.deploy.plugins.module_utils.procfile import Line, ProcfileError, processes
from ansible_collections.tornado_app.deploy.plugins.module_utils.tree import Entry, SourceError

WEBSOCKETS = re.compile(rb"\bWebSocketHandler\b")
# Clients of what processes share: Redis and other brokers, databases that notify, and what is built on them.
SHARED = re.compile(
    rb"^\s*(from|import)\s+(aio_?pika|aiokafka|aiomqtt|aioredis|asyncpg|celery|confluent_kafka|coredis|kafka|kombu|nats|paho|pika|psycopg\d?"
    rb"|pymongo|redis|socketio|valkey|zmq)\b",
    re.MULTILINE,
)
RUNTIME = re.compile(r"python-(\d+\.\d+)(\.\d+)?")


def followed(entry: Entry, by_path: dict[str, Entry]) -> Entry:
    """What a link leads to, over other links too."""
    for _ in by_path:
        if not entry.target:
            break
        entry = by_path.get(os.path.normpath(os.path.join(os.path.dirname(entry.path), entry.target)), entry)
    return entry


def read(packed: Iterable[Entry], path: str) -> str | None:
    """The text of a file of the source, over links too; None when there is no such file."""
    by_path = {entry.path: entry for entry in packed}
    return followed(by_path[path], by_path).content.decode("utf-8-sig", "replace") if path in by_path else None


def procfile(packed: Iterable[Entry]) -> dict[str, Line]:
    """What each line of its Procfile says; SourceError when it is none."""
    try:
        return processes(read(packed, "Procfile") or "")
    except ProcfileError as problem:
        raise SourceError(f"Procfile, {problem}") from None


def python(packed: Iterable[Entry]) -> str:
    """The version of Python that it asks for, like 3.12; empty when it does not care, SourceError when that cannot be read."""
    text = (read(packed, "runtime.txt") or "").strip()
    match = RUNTIME.fullmatch(text)
    if text and not match:
        raise SourceError(f"runtime.txt says {text!r}; it has the form python-3.12")
    return match[1] if match else ""


def alone(packed: Iterable[Entry]) -> str:
    """The file of Python that handles websockets, where no file imports what processes could share these by; else empty.

    Visitors of different processes do not see each other then, unless the app needs nothing of the kind.
    """
    python_files = [entry for entry in packed if entry.path.endswith(".py") and not entry.target]
    handlers = [entry.path for entry in python_files if WEBSOCKETS.search(entry.content)]
    return "" if any(SHARED.search(entry.content) for entry in python_files) else min(handlers, default="")


def dependencies(packed: Iterable[Entry]) -> list[str]:
    """What its project depends on; nothing when it has no project, SourceError when the file does not say it."""
    try:
        project = tomllib.loads(read(packed, "pyproject.toml") or "").get("project")
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise SourceError(f"pyproject.toml: {problem}") from None
    if not isinstance(project, dict):  # the file of a tool
        return []
    dynamic, listed = project.get("dynamic", []), project.get("dependencies", [])
    if not isinstance(dynamic, list) or not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        raise SourceError("pyproject.toml: dependencies and dynamic of [project] are lists of texts")
    if "dependencies" in dynamic:
        raise SourceError("pyproject.toml leaves its dependencies to a build; write them to a file, and name that with `requirements`")
    return listed
