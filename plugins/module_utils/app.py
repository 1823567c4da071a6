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


class Limits(TypedDict):
    """What an app gets from one address: requests a second, how many may come sooner, requests at the same time; 0 is no limit."""

    rate: int
    burst: int
    connections: int


class Maintenance(TypedDict):
    """What clients get while an app is in maintenance: a file below ``static``, seconds, and the networks that get through."""

    page: str
    retry_after: int
    allow: list[str]


class Acme(TypedDict):
    """An account with an ACME server; without a ``directory`` it is Let's Encrypt's."""

    email: str
    directory: str


class Tls(TypedDict):
    """How nginx serves an app over TLS. ``source`` is where its certificate comes from: files, acme or self_signed; empty without TLS.

    ``certificate`` and ``key`` are files of the controller. ``served`` is the host's file with both, ``names`` are all that it is for;
    apps of one site share them.
    """

    certificate: str
    key: str
    acme: Acme
    self_signed: bool
    redirect: bool
    hsts: int
    source: str
    served: str
    names: list[str]


class Cron(TypedDict):
    """What runs at times: ``schedule`` has the five fields of cron."""

    schedule: str
    command: str


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
    singletons: dict[str, str]
    cron: dict[str, Cron]
    python: str
    processes: int
    listen: str
    port: int
    server_names: list[str]
    redirect_names: list[str]
    path: str
    strip_path: bool
    balance: str
    tls: Tls
    environment: dict[str, str]
    secrets: list[str]  # the names alone
    redis_keys: list[str]
    requirements: str
    static: str
    static_versions: str
    health: Health
    liveness: Liveness
    memory_limit: int
    drain: Drain
    stop_timeout: int
    sandbox: Sandbox
    log_budget: int
    client_max_body_size: str
    proxy_read_timeout: int
    response_headers: dict[str, str]
    limits: Limits
    basic_auth: list[str]  # the users alone
    error_pages: dict[str, str]
    nginx_server: str
    nginx_location: str
    maintenance: Maintenance
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
    redis: bool  # whether its REDIS_URL is that of the fleet
    home: str
    releases: str
    assets: str
    environments: str
    flag: str
    maintenance_flag: str
    shared: str
    etc: str
    config: str
    run: str
    sockets: str
    tmpfiles: str
    socket: str
    watchdog: str  # where it says what it has done
    jobs: str  # where singletons.py says what it does
    logs: str
    journal: bool
    access_log: str
    site_config: str
    htpasswd: str
    slots: dict[str, Slot]
    runtime_directories: list[Directory]
    directories: list[Directory]


Apps = dict[str, App]
