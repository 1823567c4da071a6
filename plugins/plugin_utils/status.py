"""The status of a fleet, for a person and for a program: pure functions of the plans and states of its hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App, Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.history import never_live
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import AppState, Lock, Restarts, State
from ansible_collections.tornado_app.deploy.plugins.module_utils.watchdog import AT_WORK
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import ALIVE, NO_WORKERS


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
    ``watchdog`` its word for the state of the watchdog, ``restarts`` what that has done to processes of the live slot.
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
    watchdog: str
    restarts: dict[str, Restarts]
    releases: list[ReleaseStatus]


class HostStatus(TypedDict):
    """A host: ``lock`` is empty when nobody changes it."""

    answered: bool
    lock: Lock
    apps: dict[str, AppStatus]


def duration(seconds: int) -> str:
    """Seconds for a person: 42s, 7m, 3h, 12d."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def status(
    names: Iterable[str], plans: Mapping[str, Apps], states: Mapping[str, State], targets: Mapping[str, str]
) -> dict[str, HostStatus]:
    """Host -> ``answered``, ``lock`` (empty when nobody changes the host) and ``apps``, for programs; times are UTC, durations seconds.

    ``names`` are all hosts, ``states`` those of the hosts that answered, ``targets`` is what a rollback would go to: app -> release.
    """
    newest = newest_releases(states)
    found: dict[str, HostStatus] = {}
    for host in names:
        state = states.get(host)
        found[host] = {
            "answered": state is not None,
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
    leaving = bool(idle["deployed"] or idle["processes"])
    return {
        "live": state["live"] if live["deployed"] else "",
        "release": live["release"] if live["deployed"] else "",
        "processes": sum(process["children"] for process in up) if app["listen"] == "fork" else len(up),
        "processes_wanted": app["processes"],
        "workers": sum(process["state"] in ALIVE for process in live["workers"]),
        "workers_wanted": _workers(app, state) if live["deployed"] else 0,
        "nofile": min((process["nofile"] for process in up), default=0),
        "uptime": max((process["uptime"] for process in up), default=0),
        "idle": {
            "slot": idle_name,
            "state": "empty" if not leaving else "draining" if idle["sequence"] < live["sequence"] else "prepared",
            "release": idle["release"] if leaving else "",
            "processes": len(idle["processes"]),
            "connections": idle["connections"],
        },
        "behind": newest if live["deployed"] and newest not in ("", live["release"]) else "",
        "rollback": target,
        "untrusted": state["untrusted"],
        "outdated": state["outdated"],
        "watchdog": state["watchdog"]["state"],
        "restarts": _restarts(app, state),
        "releases": _releases(state, live["release"] if live["deployed"] else ""),
    }


def _restarts(app: App, state: AppState) -> dict[str, Restarts]:
    """What its watchdog has done to processes of the live slot."""
    group = app["slots"][state["live"]]["group"]
    return {name: done for name, done in state["watchdog"]["processes"].items() if name.startswith(f"{group}:")}


def _workers(app: App, state: AppState) -> int:
    """How many processes the live release's Procfile wants beside the web processes."""
    return sum(app["scale"].get(kind, 1) for kind in worker_kinds(state))


def worker_kinds(state: AppState) -> list[str]:
    """The types of processes of the live release's Procfile that are neither web nor release."""
    record = state["records"].get(state["slots"][state["live"]]["release"])
    return [kind for kind in record["commands"] if kind not in NO_WORKERS] if record else []


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


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text; the first is the heading."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def status_text(found: Mapping[str, HostStatus]) -> str:
    """The same for a person: a table of hosts, one of releases, and what is going on."""
    parts = [table([("host", "app", "live", "release", "processes", "nofile", "uptime", "other slot"), *_host_rows(found)])]
    releases = _release_rows(found)
    if releases:
        parts.append(table([("app", "release", "version", "went live", "by", "hosts", ""), *releases]))
    extras = (_behind_lines, _untrusted_lines, _outdated_lines, _watchdog_lines, _rollback_lines, _lock_lines)
    parts += ["\n".join(lines) for lines in (extra(found) for extra in extras) if lines]
    return "\n\n".join(parts)


def _host_rows(found: Mapping[str, HostStatus]) -> list[tuple[str, ...]]:
    rows = []
    for host, state in found.items():
        if not state["answered"]:
            rows.append((host, "(no answer)", *["-"] * 6))
        for name, app in state["apps"].items():
            idle, up = app["idle"], bool(app["processes"])
            other = "-"
            if idle["state"] != "empty":
                other = (
                    f"{idle['slot']} {idle['release']} {idle['state']}, {idle['processes']} processes, {idle['connections']} connections"
                )
            rows.append(
                (
                    host,
                    name,
                    app["live"] or "-",
                    app["release"] or "-",
                    f"{app['processes']}/{app['processes_wanted']}"
                    + (f" + {app['workers']}/{app['workers_wanted']}" if app["workers_wanted"] else ""),
                    str(app["nofile"]) if up else "-",
                    duration(app["uptime"]) if up else "-",
                    other,
                )
            )
    return rows


def _release_rows(found: Mapping[str, HostStatus]) -> list[tuple[str, ...]]:
    """One row a release of the fleet, as the host knows it that knows most."""
    hosts: dict[tuple[str, str], list[str]] = {}
    live: dict[tuple[str, str], int] = {}
    known_best: dict[tuple[str, str], ReleaseStatus] = {}
    for host, state in found.items():
        for name, app in state["apps"].items():
            for entry in app["releases"]:
                key = (name, entry["release"])
                hosts.setdefault(key, []).append(host)
                live[key] = live.get(key, 0) + entry["live"]
                if key not in known_best or entry["at"] > known_best[key]["at"]:
                    known_best[key] = entry
    rows = []
    for (name, release), entry in known_best.items():
        key = (name, release)
        note = "rolled back" if entry["rolled_back"] else "" if entry["at"] or entry["live"] else "never live"
        there = f"live on {live[key]}, kept on {len(hosts[key])}"
        rows.append((name, release, entry["version"] or "-", entry["at"] or "-", entry["by"] or "-", there, note))
    return sorted(rows, key=lambda row: row[0])


def _behind_lines(found: Mapping[str, HostStatus]) -> list[str]:
    return [
        f"{host} is behind: it serves {app['release']} of {name}, the fleet's last release is {app['behind']}"
        for host, state in found.items()
        for name, app in state["apps"].items()
        if app["behind"]
    ]


def unbelievable(app: str, untrusted: Iterable[str]) -> str:
    """What of an app's supervisord cannot be believed, for a person."""
    return f"{app}'s supervisord answers what cannot be believed: {'; '.join(untrusted)}"


def _untrusted_lines(found: Mapping[str, HostStatus]) -> list[str]:
    return [
        f"{host}: {unbelievable(name, app['untrusted'])}"
        for host, state in found.items()
        for name, app in state["apps"].items()
        if app["untrusted"]
    ]


def outdated(host: str, app: str, since: str) -> str:
    """That an app's unit waits for its next start, and how to bring that without a failed request."""
    return (
        f"{app}: its unit has changed since its start at {since}; it takes effect at the next boot, or host by host: "
        f"take {host} out of your balancer or DNS, then --tags stop,start --limit {host}"
    )


def _outdated_lines(found: Mapping[str, HostStatus]) -> list[str]:
    return [
        f"{host}: {outdated(host, name, app['outdated'])}"
        for host, state in found.items()
        for name, app in state["apps"].items()
        if app["outdated"]
    ]


def _watchdog_lines(found: Mapping[str, HostStatus]) -> list[str]:
    lines = []
    for host, state in found.items():
        for name, app in state["apps"].items():
            if app["processes"] and app["watchdog"] not in AT_WORK:
                lines.append(
                    f"{host}: {name}'s watchdog does not run ({app['watchdog'] or 'unknown to supervisord'}); run --tags provision"
                )
            for process, done in app["restarts"].items():
                times = "once" if done["restarts"] == 1 else f"{done['restarts']} times"
                lines.append(f"{host}: the watchdog has started {process} again {times}, last at {done['at']}: {done['reason']}")
    return lines


def _rollback_lines(found: Mapping[str, HostStatus]) -> list[str]:
    goals = dict.fromkeys((name, app["rollback"]) for state in found.values() for name, app in state["apps"].items() if app["rollback"])
    return [f"A rollback of {name} goes to {release}" for name, release in goals]


def _lock_lines(found: Mapping[str, HostStatus]) -> list[str]:
    return [
        f"{host} is locked by {lock.get('user')} on {lock.get('controller')} (process {lock.get('pid')}), "
        f"running {lock.get('operation')} since {lock.get('since')}"
        for host, state in found.items()
        if (lock := state["lock"])
    ]
