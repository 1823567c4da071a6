"""An app: the shape in which the plan lays it out for a host, and all plugins and modules read it."""

from __future__ import annotations

from typing import TypedDict

from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Drain, Health, Slot


class Directory(TypedDict):
    """A directory that a host needs; ``mode`` is octal text."""

    path: str
    owner: str
    group: str
    mode: str


class Liveness(TypedDict):
    """When a process counts as hanging: no answer within ``timeout`` seconds, so many times, asked each ``interval`` seconds."""

    interval: int
    timeout: int
    failures: int


class Sandbox(TypedDict):
    """What an app may do beyond what every app may: talk to the kernel by netlink, use device files, write below paths."""

    netlink: bool
    devices: list[str]
    writable: list[str]


class Environment(TypedDict):
    """A virtualenv that a host lacks: ``install`` are arguments of pip, run in ``chdir``, where it can read the files of ``app``."""

    path: str
    python: str
    install: list[str]
    chdir: str
    app: str
    setting: str


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
    health: Health
    liveness: Liveness
    memory_limit: int
    drain: Drain
    stop_timeout: int
    sandbox: Sandbox
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
    timer: str
    host: str
    ready_path: str  # its health path, as nginx's files can have it
    nofile: int
    properties: list[str]  # of systemd, for whatever is started for the app
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
    tmpfiles: str
    socket: str
    watchdog: str  # where it says what it has done
    logs: str
    journal: bool
    access_log: str
    site_config: str
    slots: dict[str, Slot]
    runtime_directories: list[Directory]
    directories: list[Directory]


Apps = dict[str, App]
