"""What a host has: the shape in which the module state_info gives it, and all other plugins read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from typing import NotRequired  # 3.11; only the checker reads it


class ProcessState(TypedDict):
    """A process: ``nofile`` is its limit of open files, ``uptime`` seconds. Web processes have a ``port`` and their ``children``."""

    name: str
    state: str
    pid: int
    nofile: int
    uid: int
    unit: str
    uptime: int
    port: NotRequired[int]
    children: NotRequired[int]


class SupervisordState(TypedDict):
    """A running supervisord."""

    pid: int
    nofile: int
    uid: int
    unit: str
    uptime: int


class SlotState(TypedDict):
    """A slot: ``sequence`` is higher the later it was filled."""

    deployed: bool
    release: str
    environment: str
    processes: list[ProcessState]
    workers: list[ProcessState]
    addresses: list[str]
    connections: int
    sequence: int


class HistoryEntry(TypedDict):
    """A release that was live: ``at`` is UTC, ``withdrawn`` whether it was rolled back from."""

    release: str
    at: str
    by: str
    version: str
    commit: str
    run: str
    withdrawn: bool


class AppState(TypedDict):
    """An app on a host."""

    foreign_user: bool
    foreign_unit: str
    foreign_paths: list[str]
    foreign_ports: dict[str, str]
    fresh: bool
    flagged: bool
    provisioned: bool
    live: str
    supervisord: SupervisordState | None
    sockets: bool
    slots: dict[str, SlotState]
    environments: list[str]
    releases: dict[str, str]
    records: dict[str, dict[str, Any]]
    history: list[HistoryEntry]
    previous: str
    static_file: str


class HostState(TypedDict):
    """What is the host's own. ``lock`` is empty when nobody changes the host, ``lock_mark`` changes with each change of the lock file."""

    python: str
    pythons: dict[str, str]
    nginx_version: str
    nginx: list[SupervisordState]
    python_apt: bool
    nofile_ceiling: int
    nofile_raisable: bool
    sysctls: dict[str, str]
    sysctl_file: dict[str, str]
    environments: list[str]
    units: list[str]
    begun: list[str]
    sites: list[dict[str, list[str]]]
    users: list[str]
    port_80: str
    free_bytes: int
    lock: dict[str, Any]
    lock_mark: str


class Difference(TypedDict):
    """A thing of the plan that is not as planned: its kind, its name, and why."""

    kind: str
    name: str
    reason: str


class State(TypedDict):
    """A host as a whole."""

    host: HostState
    apps: dict[str, AppState]
    differences: list[Difference]
