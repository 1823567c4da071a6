"""What tests of the core are made of: settings, plans, and the states of hosts, whole, but for what a test says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import yaml

from tests.unit.loading import ROLE
from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import (
    AppState,
    HistoryEntry,
    HostState,
    ProcessState,
    SlotState,
    State,
)
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import layout, plan
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import Host
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import Absent, Artifact, HostSettings, Release

# Settings and plans

HOST: HostSettings = {
    "name": "web-1",
    "root": "/opt/tornado_app",
    "distribution": "Debian",
    "distribution_version": "12.7",
    "nofile": 65536,
    "slot_stride": 1000,
    "ports": {},
    "sysctl": True,
    "inventory": [],
    "serial": "100%",
    "bake": 0,
    "bake_max_errors": 0.01,
    "trusted_proxies": [],
    "proxy_port": 0,
    "proxy_tls_port": 0,
    "tls_at_balancer": False,
    "redis": False,
    "inputs": {},
}
DEFAULTS: dict[str, Any] = {
    **yaml.safe_load((ROLE / "defaults/main.yml").read_text())["tornado_app_defaults"],
    # Ansible renders these two from the host's facts.
    "processes": 4,
    "server_names": ["web-1"],
}
SHOP: dict[str, Any] = {"source": "files/app", "command": "{python} app.py --port={port}"}


def host_settings(**given: Any) -> HostSettings:
    """What the plan knows of a host."""
    return cast(HostSettings, {**HOST, **given})


def planned(apps: Mapping[str, Any], **host: Any) -> Apps:
    """The plan of these settings."""
    return plan.plan(apps, DEFAULTS, host_settings(**host))


def absent(*names: str) -> dict[str, Absent]:
    """Apps that are to be absent."""
    return layout.absent({name: {"state": "absent"} for name in names})


PLAN = planned({"shop": {**SHOP, "processes": 2}})
SHOP_PLAN = PLAN["shop"]

# Releases

A, B, C, ENVIRONMENT = "a" * 12, "b" * 12, "c" * 12, "e" * 12


def release(name: str, **given: Any) -> Release:
    """A release as an operation wants it."""
    return cast(Release, {"release": name, "environment": ENVIRONMENT, "python": "3.11", "commands": {}, **given})


OLD, WANTED = {"shop": release(A)}, {"shop": release(B)}


def artifact(name: str = A, **given: Any) -> Artifact:
    """What build_artifact says of a source."""
    common = {"path": f"/cache/{name}.tar.gz", "size": 1000, "requirements_digest": "", "dependencies": [], "processes": {}}
    return cast(Artifact, {"release": name, **common, "python": "", "version": "", "commit": "", "alone": "", **given})


def line(*variables: str, mentions: tuple[str, ...] = (), problem: str = "") -> dict[str, Any]:
    """What is said of a line of a Procfile."""
    return {"command": "x", "problem": problem, "variables": list(variables), "mentions": [*variables, *mentions]}


# What a host has


def process(port: int, state: str = "RUNNING", nofile: int = 65536, uptime: int = 90) -> ProcessState:
    """A web process of shop."""
    name = f"shop-{'blue' if port < 9000 else 'green'}:{port}"
    common = {"pid": port, "uid": 998, "unit": "shop.service", "children": 0}
    return cast(ProcessState, {"name": name, "port": port, "state": state, "nofile": nofile, "uptime": uptime, **common})


def worker(number: int = 1, state: str = "RUNNING", **given: Any) -> ProcessState:
    """A worker of shop's blue slot."""
    common = {"pid": 50 + number, "nofile": 65536, "uid": 998, "unit": "shop.service", "uptime": 90}
    return cast(ProcessState, {"name": f"shop-blue:worker.{number}", "state": state, **common, **given})


def slot(
    release: str = "",
    deployed: bool = False,
    processes: tuple[ProcessState, ...] = (),
    sequence: int = 0,
    connections: int = 0,
    memory: int = 0,
    workers: tuple[ProcessState, ...] = (),
) -> SlotState:
    """A slot; one in which nothing is, unless said otherwise."""
    return {
        "deployed": deployed,
        "release": release,
        "environment": ENVIRONMENT if release else "",
        "processes": list(processes),
        "workers": list(workers),
        "addresses": [f"127.0.0.1:{process['port']}" for process in processes],
        "connections": connections,
        "memory": memory,
        "sequence": sequence,
    }


def blue(release: str = A, sequence: int = 1, **given: Any) -> SlotState:
    """A blue slot that runs its two processes."""
    return slot(release, True, (process(8000), process(8001)), sequence, **given)


def green(release: str = B, sequence: int = 2) -> SlotState:
    """A green slot that does."""
    return slot(release, True, (process(9000), process(9001)), sequence)


def entry(release: str, **given: Any) -> HistoryEntry:
    """What a history says of a release."""
    moment = {"at": "2026-01-02T03:04:05Z", "by": "ana@build-1", "run": "20260102T030405Z-build-1-4711"}
    return cast(HistoryEntry, {"release": release, **moment, "version": "", "commit": "", "withdrawn": False, **given})


def app_state(live: str = "blue", slots: Mapping[str, SlotState] | None = None, **given: Any) -> AppState:
    """An app of which blue is live and runs two processes."""
    common = {
        "foreign_user": False,
        "foreign_group": False,
        "missing_paths": [],
        "foreign_unit": "",
        "foreign_paths": [],
        "foreign_ports": {},
        "fresh": False,
        "flagged": live == "green",
        "provisioned": True,
        "live": live,
        "supervisord": {"pid": 7, "nofile": 65536, "uid": 998, "unit": "shop.service", "uptime": 90},
        "untrusted": [],
        "outdated": "",
        "maintenance": "",
        "watchdog": {"state": "RUNNING", "processes": {}},
        "slots": {"blue": blue(), "green": slot(), **(slots or {})},
        "environments": [ENVIRONMENT],
        "releases": {A: ENVIRONMENT},
        "records": {name: {"environment": ENVIRONMENT, "python": "3.11", "commands": {}} for name in (A, B, C)},
        "wrong_modes": [],
        "history": [entry(A)],
        "previous": "",
        "static_file": "app.css",
        "static_digest": "f" * 128,
        "assets": {A: "static", B: "static"},
        "tls": None,
        "jobs": None,
    }
    return cast(AppState, {**common, **given})


def host_state(**given: Any) -> HostState:
    """What is the host's own, where all is well and nobody changes anything."""
    common = {
        "python": "3.11",
        "pythons": {"3.11": "/usr/bin/python3", "3.12": "/usr/bin/python3.12"},
        "nginx_version": "1.22.1",
        "nginx": [{"pid": 813, "nofile": 65536, "uid": 33, "unit": "nginx.service", "uptime": 90}],
        "python_apt": True,
        "nofile_ceiling": 1048576,
        "nofile_raisable": True,
        "sysctls": {},
        "sysctl_file": {},
        "environments": [],
        "units": ["shop"],
        "begun": ["shop"],
        "sites": [],
        "users": ["shop"],
        "port_80": "nginx (pid 812)",
        "port_443": "nginx (pid 812)",
        "free_bytes": 10**9,
        "memory": 10**9,
        "drained": "",
        "lock": {},
        "lock_mark": "",
    }
    return cast(HostState, {**common, **given})


def state(live: str = "blue", **slots: SlotState) -> State:
    """A host whose one app, shop, has blue live with two processes; with these slots."""
    return {"host": host_state(), "apps": {"shop": app_state(live, slots)}, "differences": []}


def unfinished(**slots: SlotState) -> State:
    """A host on which a run was cut short after the switch: green is live, and blue still runs what was live before."""
    found = state("green", **{"green": green(), **slots})
    found["apps"]["shop"] |= {"releases": {A: ENVIRONMENT, B: ENVIRONMENT}, "history": [entry(B), entry(A)], "previous": A}
    return found


def host(
    state: State, releases: Mapping[str, Release] | None = None, differing: tuple[str, ...] = (), name: str = "web-1", apps: Apps = PLAN
) -> Host:
    """A host as a decision of the fleet sees it."""
    return Host(name=name, apps=apps, state=state, releases=releases or {}, differing=frozenset(differing))


def fleet(*states: State) -> list[Host]:
    """Hosts web-1, web-2 and so on."""
    return [host(found, name=f"web-{number}") for number, found in enumerate(states, 1)]
