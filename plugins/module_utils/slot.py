"""A slot: the one shape in which all plugins and modules know the processes, files and upstream of one version of an app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class Health(TypedDict):
    """When a process counts as healthy: ``timeout`` is seconds."""

    path: str
    timeout: int


class Drain(TypedDict):
    """How a slot that is not live any more ends: ``timeout`` is seconds.

    ``signal`` is what its processes are told by to say goodbye, such as TERM; empty when their connections are waited for.
    """

    timeout: int
    signal: str


class Slot(TypedDict):
    """One of the two slots of an app. Paths are absolute but ``upstream_config``, which is relative to nginx's tree.

    ``logs`` is the directory of what its processes write; empty when the journal has it. ``logrotate`` says how large it grows.
    ``stop_timeout`` is seconds between the signal that ends a process and SIGKILL.
    ``certificate`` is the file with which nginx serves its app over TLS; empty when it does not.
    """

    app: str
    name: str
    group: str
    unit: str
    user: str
    socket: str
    flag: str
    ports: list[int]
    addresses: list[str]
    workers: dict[str, int]
    listen: str
    processes: int
    host: str
    prefix: str
    health_url: str
    certificate: str
    health: Health
    drain: Drain
    stop_timeout: int
    access_log: str
    logs: str
    cwd: str
    releases: str
    config: str
    record: str
    secrets: str
    logrotate: str
    history: str
    upstream: str
    upstream_config: str
    balance: str
    balancing: str


_STR = {"type": "str", "required": True}
_PATH = {"type": "path", "required": True}
_INT = {"type": "int", "required": True}

# The options of a slot, for the argument spec of each module that takes slots; documented in doc_fragments/slots.py.
SLOT: dict[str, dict[str, Any]] = {
    "app": _STR,
    "name": {"type": "str", "choices": ["blue", "green"], "required": True},
    "group": _STR,
    "unit": _STR,
    "user": _STR,
    "socket": _PATH,
    "flag": _PATH,
    "ports": {"type": "list", "elements": "int", "required": True},
    "addresses": {"type": "list", "elements": "str", "required": True},
    "workers": {"type": "dict", "required": True},
    "listen": {"type": "str", "choices": ["ports", "sockets", "shared", "fork"], "required": True},
    "processes": _INT,
    "host": _STR,
    "prefix": _STR,
    "health_url": _STR,
    "certificate": _STR,
    "health": {"type": "dict", "required": True, "options": {"path": _STR, "timeout": _INT}},
    "drain": {"type": "dict", "required": True, "options": {"timeout": _INT, "signal": _STR}},
    "stop_timeout": _INT,
    "access_log": _PATH,
    "logs": _STR,
    "cwd": _PATH,
    "releases": _PATH,
    "config": _PATH,
    "record": _PATH,
    "secrets": {"type": "path", "required": True, "no_log": False},
    "logrotate": _PATH,
    "history": _PATH,
    "upstream": _STR,
    "upstream_config": _STR,
    "balance": {"type": "str", "choices": ["least_conn", "ip_hash", "cookie"], "required": True},
    "balancing": _STR,
}
SLOTS: dict[str, Any] = {"type": "list", "elements": "dict", "required": True, "options": SLOT}


def other(slot: str) -> str:
    """The slot that is not this one."""
    return "green" if slot == "blue" else "blue"


def worker_names(slot: Mapping[str, Any]) -> list[str]:
    """The names in supervisord of a slot's processes that listen on no port."""
    return [f"{kind}.{number + 1}" for kind, count in slot["workers"].items() for number in range(count)]
