"""The vocabulary: what the plugins on the controller give to each other. What crosses the wire is in module_utils: app, slot, state."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.procfile import Line
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import History

NO_WORKERS = ("web", "release")  # the lines of a Procfile that start no process beside the web processes
SINGLETONS = "singletons"  # the type of the process that runs singletons and cron
ALIVE = ("RUNNING", "STARTING")


class HostSettings(TypedDict):
    """What the plan needs to know of a host: ``ports`` are those that its apps have there, ``inputs`` the role's inputs as given."""

    name: str
    root: str
    distribution: str
    distribution_version: str
    nofile: int
    slot_stride: int
    ports: dict[str, int]
    sysctl: bool
    inventory: list[str]
    serial: Any
    bake: int
    bake_max_errors: float
    trusted_proxies: list[str]
    proxy_port: int
    proxy_tls_port: int
    tls_at_balancer: bool
    redis: bool
    inputs: dict[str, Any]


class Absent(TypedDict):
    """What is to go with an app that is to be absent; ``user`` is empty when it stays."""

    name: str
    unit: str
    unit_file: str
    timer: str
    nginx: list[str]
    access_logs: str
    paths: list[str]
    user: str


class Plan(TypedDict):
    """A host as it is to be."""

    apps: Apps
    absent: dict[str, Absent]
    host: HostSettings


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
    processes: dict[str, Line]
    python: str
    version: str
    commit: str
    alone: str


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
    history: History | None


class HostChanges(TypedDict):
    """What a run does to a host; see the module changes."""

    changes: list[Change]
    interrupted: list[Slot]
    slots: list[Slot]
    starting: list[Slot]
    former: list[Slot]
    left: list[Slot]
    retiring: list[Slot]
    releasing: list[str]
