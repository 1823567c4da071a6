"""What a host has: the shape in which the module state_info gives it, and all other plugins read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

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
    """A slot: ``sequence`` is higher the later it was filled, ``memory`` the bytes that its processes and their children use."""

    deployed: bool
    release: str
    environment: str
    processes: list[ProcessState]
    workers: list[ProcessState]
    addresses: list[str]
    connections: int
    memory: int
    sequence: int


class Record(TypedDict):
    """What the file beside a release says: the digest of its environment, the lines of its Procfile, and where it came from."""

    environment: str
    commands: dict[str, str]
    version: NotRequired[str]
    commit: NotRequired[str]


class HistoryEntry(TypedDict):
    """A release that was live: ``at`` is UTC, ``withdrawn`` whether it was rolled back from."""

    release: str
    at: str
    by: str
    version: str
    commit: str
    run: str
    withdrawn: bool


class History(TypedDict):
    """What a slot has served: ``sequence`` is higher the later it was filled, ``releases`` has the latest first."""

    sequence: int
    releases: list[HistoryEntry]


class Restarts(TypedDict):
    """How often a watchdog has started a process again, and of the last time why and when, UTC."""

    restarts: int
    reason: str
    at: str


class WatchdogState(TypedDict):
    """The watchdog of an app: supervisord's word for its ``state``, empty when it knows none, and process -> what it was done."""

    state: str
    processes: dict[str, Restarts]


class JobState(TypedDict):
    """What became of a singleton, or of a run of cron; times are UTC, empty when there was none, ``code`` is empty while it runs.

    Of a singleton ``at`` is when it was started, ``restarts`` how often it was since it came to its host, and ``tries`` how often in a row
    it has ended soon. Of cron ``seconds`` is how long its last run took, ``skipped`` how many runs were left out, ``next`` the next time.
    """

    kind: str
    host: str
    at: str
    ended: str
    code: str
    release: str
    restarts: int
    tries: int
    seconds: float
    skipped: int
    next: str


class JobsState(TypedDict):
    """What the process of the live slot says that runs singletons and cron: who ``leads``, empty when nobody does; why nobody can.

    ``leaderless`` is for how many seconds nobody has led. ``jobs`` are by name, and empty where another host leads.
    """

    leads: bool
    leader: str
    problem: str
    leaderless: int
    jobs: dict[str, JobState]


class TlsState(TypedDict):
    """The certificate that an app is served with: ``expires`` is UTC, empty when it cannot be read; ``days_left`` is below 0 then.

    ``days`` are those of its whole life. ``source`` is the plan's word for where it comes from, ``renewal`` what is wrong with that.
    """

    source: str
    expires: str
    days_left: int
    days: int
    renewal: str


class AppState(TypedDict):
    """An app on a host: ``untrusted`` is what its supervisord says that cannot be believed.

    ``outdated`` is when supervisord was started (UTC), where its unit has changed since; else empty. ``static_file`` is one of the live
    slot, ``static_digest`` that of its content, ``assets`` the static directory with which each release came to the store.
    ``maintenance`` is since when (UTC) it is in maintenance; else empty.
    """

    foreign_user: bool
    foreign_group: bool
    foreign_unit: str
    missing_paths: list[str]
    foreign_paths: list[str]
    foreign_ports: dict[str, str]
    fresh: bool
    flagged: bool
    provisioned: bool
    live: str
    supervisord: SupervisordState | None
    untrusted: list[str]
    outdated: str
    maintenance: str
    watchdog: WatchdogState
    slots: dict[str, SlotState]
    environments: list[str]
    releases: dict[str, str]
    records: dict[str, Record]
    wrong_modes: list[str]
    history: list[HistoryEntry]
    previous: str
    static_file: str
    static_digest: str
    assets: dict[str, str]
    tls: TlsState | None
    jobs: JobsState | None  # None of an app that has none, or whose process is not there


class Lock(TypedDict, total=False):
    """Who changes a host: ``since`` is UTC, ``expires`` seconds since 1970, ``lease`` seconds. Empty when nobody does."""

    run: str
    controller: str
    machine: str
    user: str
    pid: int
    operation: str
    operations: list[str]
    since: str
    lease: float
    expires: float


class Site(TypedDict):
    """A file of nginx's for apps: the names that it serves, and the apps that it serves by these."""

    server_names: list[str]
    apps: list[str]


class HostState(TypedDict):
    """What is the host's own. ``lock`` is empty when nobody changes the host, ``lock_mark`` changes with each change of the lock file.

    ``memory`` is what processes can still take, in bytes.
    """

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
    sites: list[Site]
    users: list[str]
    port_80: str
    port_443: str
    free_bytes: int
    memory: int
    drained: str  # since when it wants no requests, UTC; empty when it does
    lock: Lock
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
