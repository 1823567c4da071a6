"""The status of a fleet, as programs take it: a pure function of the plans and states of its hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App, Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.history import never_live
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import AppState, JobsState, Lock, Restarts, State, TlsState
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import record_of, workers
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import ALIVE


class IdleStatus(TypedDict):
    """The slot that is not live: ``state`` is empty, draining or prepared."""

    slot: str
    state: str
    release: str
    processes: int
    connections: int


class ReleaseStatus(TypedDict):
    """A release on a host: ``at``, UTC, is when it went live, ``by`` who did that."""

    release: str
    live: bool
    version: str
    commit: str
    at: str
    by: str
    rolled_back: bool


class AppStatus(TypedDict):
    """An app on a host: ``uptime`` is seconds, ``behind`` the release of the fleet where this host has another, ``rollback`` its goal.

    ``untrusted`` is what its supervisord says that cannot be believed, ``outdated`` its start (UTC) where its unit has changed since,
    ``maintenance`` since when (UTC) it is in maintenance,
    ``watchdog`` its word for the state of the watchdog, ``restarts`` what that has done to processes of the live slot, ``tls`` what its
    certificate is like, None without TLS; ``jobs`` what its singletons and cron do.
    """

    live: str
    release: str
    processes: int
    processes_wanted: int
    workers: int
    workers_wanted: int
    nofile: int
    uptime: int
    idle: IdleStatus
    behind: str
    rollback: str
    untrusted: list[str]
    outdated: str
    maintenance: str
    watchdog: str
    restarts: dict[str, Restarts]
    tls: TlsState | None
    jobs: JobsState | None
    releases: list[ReleaseStatus]


class HostStatus(TypedDict):
    """A host: ``drained`` is since when (UTC) it wants no requests, or empty; ``lock`` is empty when nobody changes it."""

    answered: bool
    drained: str
    lock: Lock
    apps: dict[str, AppStatus]


def status(
    names: Iterable[str], plans: Mapping[str, Apps], states: Mapping[str, State], targets: Mapping[str, str]
) -> dict[str, HostStatus]:
    """Host -> its status, for programs; times are UTC, durations seconds.

    ``names`` are all hosts, ``states`` those of the hosts that answered, ``targets`` is what a rollback would go to: app -> release.
    """
    newest = newest_releases(states)
    found: dict[str, HostStatus] = {}
    for host in names:
        state = states.get(host)
        found[host] = {
            "answered": state is not None,
            "drained": state["host"]["drained"] if state else "",
            "lock": state["host"]["lock"] if state else {},
            "apps": {name: _app(app, state["apps"][name], targets.get(name, ""), newest.get(name, "")) for name, app in plans[host].items()}
            if state
            else {},
        }
    return found


def newest_releases(states: Mapping[str, State]) -> dict[str, str]:
    """App -> the release that went live last, on any host."""
    entries: dict[str, list[tuple[str, str]]] = {}
    for state in states.values():
        for name, own in state["apps"].items():
            live = own["slots"][own["live"]]
            entries.setdefault(name, []).extend(
                (entry["at"], entry["release"]) for entry in own["history"] if live["deployed"] and entry["release"] == live["release"]
            )
    return {name: max(found)[1] for name, found in entries.items() if found}


def _app(app: App, state: AppState, target: str, newest: str) -> AppStatus:
    live = state["slots"][state["live"]]
    idle_name = "green" if state["live"] == "blue" else "blue"
    idle = state["slots"][idle_name]
    up = [process for process in live["processes"] if process["state"] in ALIVE]
    working = [process for process in live["workers"] if process["state"] in ALIVE]
    leaving = bool(idle["deployed"] or idle["processes"])
    return {
        "live": state["live"] if live["deployed"] else "",
        "release": live["release"] if live["deployed"] else "",
        "processes": sum(process["children"] for process in up) if app["listen"] == "fork" else len(up),
        "processes_wanted": app["processes"],
        "workers": len(working),
        "workers_wanted": _workers(app, state) if live["deployed"] else 0,
        "nofile": min((process["nofile"] for process in up or working), default=0),
        "uptime": max((process["uptime"] for process in up or working), default=0),
        "idle": {
            "slot": idle_name,
            "state": "empty" if not leaving else "draining" if idle["sequence"] < live["sequence"] else "prepared",
            "release": idle["release"] if leaving else "",
            "processes": len(idle["processes"] or idle["workers"]),
            "connections": idle["connections"],
        },
        "behind": newest if live["deployed"] and newest not in ("", live["release"]) else "",
        "rollback": target,
        "untrusted": state["untrusted"],
        "outdated": state["outdated"],
        "maintenance": state["maintenance"],
        "watchdog": state["watchdog"]["state"],
        "restarts": _restarts(app, state),
        "tls": state["tls"],
        "jobs": state["jobs"],
        "releases": _releases(state, live["release"] if live["deployed"] else ""),
    }


def _restarts(app: App, state: AppState) -> dict[str, Restarts]:
    """What its watchdog has done to processes of the live slot."""
    group = app["slots"][state["live"]]["group"]
    return {name: done for name, done in state["watchdog"]["processes"].items() if name.startswith(f"{group}:")}


def _workers(app: App, state: AppState) -> int:
    """How many processes the live release wants beside the web processes."""
    return sum(live_workers(app, state).values())


def live_workers(app: App, state: AppState) -> dict[str, int]:
    """Type of process -> how many of it the live release wants beside the web processes."""
    return workers(app, record_of(state, state["slots"][state["live"]]["release"]))


def _releases(state: AppState, live: str) -> list[ReleaseStatus]:
    """The releases on the host, those that were live last first, the ones that never were last."""
    known = {entry["release"]: entry for entry in state["history"]}
    order = dict.fromkeys([*(release for release in known if release in state["releases"]), *state["releases"]])
    entries = ((release, known.get(release, never_live(release))) for release in order)
    return [
        {
            "release": release,
            "live": release == live,
            "version": entry.get("version", ""),
            "commit": entry.get("commit", ""),
            "at": entry.get("at", ""),
            "by": entry.get("by", ""),
            "rolled_back": bool(entry.get("withdrawn")),
        }
        for release, entry in entries
    ]
