"""The vocabulary: what the plugins on the controller give to each other. What crosses the wire is in module_utils/slot.py and state.py."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot

NO_WORKERS = ("web", "release")  # the lines of a Procfile that start no process beside the web processes
ALIVE = ("RUNNING", "STARTING")


class Directory(TypedDict):
    """A directory that a host needs; ``mode`` is octal text."""

    path: str
    owner: str
    group: str
    mode: str


class App(TypedDict):
    """An app as it is to be on one host: its settings with all defaults, and what follows from them. Sizes are bytes, times seconds."""

    # Settings.
    state: str
    purge: bool
    source: str
    version: str
    command: str
    wsgi: str
    debug: bool
    watch: list[str]
    scale: dict[str, int]
    python: str
    processes: int
    listen: str
    port: int
    server_names: list[str]
    path: str
    environment: dict[str, str]
    secrets: list[str]  # the names alone
    requirements: str
    static: str
    health: dict[str, Any]
    drain: dict[str, Any]
    stop_timeout: int
    log_budget: int
    client_max_body_size: str
    proxy_read_timeout: int
    # Names, paths, commands.
    name: str
    user: str
    prefix: str
    variable: str
    unit: str
    unit_file: str
    host: str
    nofile: int
    argv: list[str]
    reloader: list[str]
    cookie_secret: str
    home: str
    releases: str
    environments: str
    flag: str
    shared: str
    etc: str
    config: str
    run: str
    sockets: str
    socket: str
    logs: str
    journal: bool
    access_log: str
    site_config: str
    slots: dict[str, Slot]
    runtime_directories: list[Directory]
    directories: list[Directory]


Apps = dict[str, App]


class Release(TypedDict):
    """A release as an operation wants it: its id, the digest of its environment, the lines of its Procfile, and where it comes from."""

    release: str
    environment: str
    python: str
    commands: dict[str, str]
    version: NotRequired[str]
    commit: NotRequired[str]


class Artifact(TypedDict):
    """What the module build_artifact says of a source."""

    release: str
    path: str
    size: int
    requirements_digest: str
    dependencies: list[str]
    processes: dict[str, dict[str, Any]]
    python: str
    version: str
    commit: str


class Change(TypedDict):
    """What a run does to an app on a host: ``slot`` becomes live instead of ``former``, which serves the release ``before``.

    ``running`` is a slot that runs already, from a run that was cut short or a rollback that takes back the last switch.
    """

    app: str
    release: Release
    before: str
    slot: Slot
    former: Slot
    running: bool
    history: dict[str, Any] | None


class HostChanges(TypedDict):
    """What a run does to a host; see the module changes."""

    changes: list[Change]
    interrupted: list[Slot]
    slots: list[Slot]
    starting: list[Slot]
    former: list[Slot]
    left: list[Slot]
    retiring: list[Slot]
    directories: list[Directory]
    releasing: list[str]
