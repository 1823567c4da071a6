"""What a run changes on the hosts of a fleet: pure functions of their plans, their states, and the releases that the operation wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App, Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.history import never_live
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot, other
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import AppState, History, HistoryEntry, Lock, State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import ALIVE, NO_WORKERS, SINGLETONS, Change, HostChanges, Release


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A host as a decision of the fleet sees it. ``differing`` are the apps whose live slot has other files than it would have now."""

    name: str
    apps: Apps
    state: State
    releases: Mapping[str, Release] = field(default_factory=dict)
    differing: frozenset[str] = frozenset()

    def live(self, app: str) -> Slot:
        """The slot of an app that nginx sends requests to."""
        state = self.state["apps"][app]
        return found_slot(self.apps[app], state, state["live"])

    def idle(self, app: str) -> Slot:
        """The other slot of an app."""
        state = self.state["apps"][app]
        return found_slot(self.apps[app], state, other(state["live"]))


Fleet = Sequence[Host]


def workers(app: App, release: Mapping[str, Any]) -> dict[str, int]:
    """Type of process -> how many of it a slot has, of those that its release's Procfile names beside the web processes.

    One more runs the singletons and the cron of the app, where the fleet's lease is its own.
    """
    counts = {kind: app["scale"].get(kind, 1) for kind in release["commands"] if kind not in NO_WORKERS}
    counts |= {SINGLETONS: 1} if app["singletons"] or app["cron"] else {}
    return {kind: count for kind, count in counts.items() if count}


def planned_slot(app: App, name: str, release: Release) -> Slot:
    """A slot as it is to be with a release."""
    return {**app["slots"][name], "workers": workers(app, release)}


def found_slot(app: App, state: AppState, name: str) -> Slot:
    """A slot with the processes and addresses that it really has, which may be other than those that it would get now."""
    found, planned = state["slots"][name], app["slots"][name]
    workers_alone = bool(found["workers"]) and not found["processes"]
    kinds = [process["name"].rpartition(":")[2].rpartition(".")[0] for process in found["workers"]]
    return {
        **planned,
        "ports": [process["port"] for process in found["processes"]] or ([] if workers_alone else planned["ports"]),
        "addresses": found["addresses"] or ([] if workers_alone else planned["addresses"]),
        "workers": {kind: kinds.count(kind) for kind in kinds},
    }


def live_slots(apps: Apps, state: State) -> list[Slot]:
    """The slot of each app that is live and in which something is deployed."""
    found = ((name, app, state["apps"][name]) for name, app in apps.items())
    return [found_slot(app, own, own["live"]) for _, app, own in found if own["slots"][own["live"]]["deployed"]]


def record_of(state: AppState, release: str) -> Release:
    """A release that is on the host."""
    return Release(**{"release": release, "environment": "", "python": "", "commands": {}, **state["records"].get(release, {})})  # type: ignore[typeddict-item]


def served(state: AppState) -> str:
    """The release of an app's live slot; empty when it has none."""
    live = state["slots"][state["live"]]
    return live["release"] if live["deployed"] else ""


def serves(app: App, state: AppState) -> bool:
    """Whether the live slot runs as many processes as the plan wants, with the plan's limit as far as supervisord has it to give."""
    live = state["slots"][state["live"]]
    nofile = min(app["nofile"], state["supervisord"]["nofile"] if state["supervisord"] else 0)
    alive = [process for process in live["processes"] if process["state"] in ALIVE and process["nofile"] >= nofile]
    wanted = sum(workers(app, record_of(state, live["release"])).values())
    working = [process for process in live["workers"] if process["state"] in ALIVE]
    forked = app["listen"] != "fork" or all(process["children"] >= app["processes"] for process in alive)
    return live["deployed"] and len(alive) == len(app["slots"]["blue"]["ports"]) and forked and len(working) == wanted


def former(state: AppState) -> bool:
    """Whether the idle slot is the one that was live before, and still runs: a switch can take the last switch back."""
    live, idle = state["slots"][state["live"]], state["slots"][other(state["live"])]
    running = [process["state"] == "RUNNING" for process in idle["processes"] or idle["workers"]]
    return idle["deployed"] and idle["sequence"] < live["sequence"] and bool(running) and all(running)


def states_of(fleet: Fleet, app: str) -> list[AppState]:
    """What each host has of an app, of those that have it."""
    return [host.state["apps"][app] for host in fleet if app in host.state["apps"]]


def interrupted(host: Host, fleet: Fleet, operation: str) -> list[Slot]:
    """The slots that were live, where an earlier run switched only a part of the fleet and this run wants something else.

    From there the fleet goes on, or stays, together. A rollback to that slot's release is left to the switch itself.
    """
    found = []
    for name, release in host.releases.items():
        state = host.state["apps"][name]
        live, idle = state["slots"][state["live"]], state["slots"][other(state["live"])]
        elsewhere = any(served(one) == idle["release"] for one in states_of(fleet, name))
        needed = {
            "deploy": live["release"] != release["release"] or name in host.differing or not serves(host.apps[name], state),
            "restart": False,
            "rollback": live["release"] != release["release"] != idle["release"],
        }[operation]
        if elsewhere and needed and former(state) and idle["release"] != live["release"]:
            found.append(host.idle(name))
    return found


def changes(host: Host, fleet: Fleet, operation: str) -> list[Change]:
    """The apps of a host that get another live slot, and how. ``operation`` is deploy, restart or rollback.

    A deploy takes a new slot when the live one's files differ from what is wanted or it does not run as it should; a restart always
    does. A rollback does when another release is live, and takes the slot that was live before if that still runs it. A switch that an
    earlier run did not finish is gone through again, without a new slot; it is finished when any host that serves the same release has
    retired its old slot.
    """
    found: list[Change] = []
    for name, release in host.releases.items():
        state = host.state["apps"][name]
        finished = any(served(one) == served(state) and not former(one) for one in states_of(fleet, name))
        live, idle = state["slots"][state["live"]], state["slots"][other(state["live"])]
        needed = {
            "deploy": name in host.differing or not serves(host.apps[name], state),
            "restart": True,
            "rollback": not live["deployed"] or live["release"] != release["release"],
        }[operation]
        if needed:
            reused = operation == "rollback" and former(state) and idle["release"] == release["release"]
            found.append(_change(host, name, state["live"], running=reused))
        elif former(state) and not finished:
            found.append(_change(host, name, other(state["live"]), running=True))
    return found


def _change(host: Host, name: str, live: str, running: bool) -> Change:
    app, state, release, new = host.apps[name], host.state["apps"][name], host.releases[name], other(live)
    before = state["slots"][live]
    return {
        "app": name,
        "release": release,
        "before": before["release"] if before["deployed"] else "",
        "slot": found_slot(app, state, new) if running else planned_slot(app, new, release),
        "former": found_slot(app, state, live),
        "running": running,
        "history": None,
    }


def history(change: Change, state: AppState, operation: str, run: Lock) -> History:
    """The history of a slot that is about to be live: ``sequence``, and ``releases`` with the latest first.

    A deploy puts its release on top. A restart leaves the history as it is. A rollback withdraws the release that it leaves, unless the
    one that it goes to was withdrawn itself: then it takes a rollback back. What is live again is not withdrawn any more.
    """
    release, left = change["release"]["release"], change["before"]
    past: dict[str, HistoryEntry] = {entry["release"]: {**entry} for entry in state["history"] if entry["release"] in state["releases"]}
    if left:
        past.setdefault(left, never_live(left))
    version, commit = change["release"].get("version", ""), change["release"].get("commit", "")
    top = past.pop(release, {**never_live(release), "version": version, "commit": commit})
    if operation != "restart":
        top |= {"at": run["since"], "by": f"{run['user']}@{run['controller']}", "run": run["run"]}
    if operation == "deploy":
        top |= {"version": version, "commit": commit}
    if operation == "rollback" and not top["withdrawn"] and left in past:
        past[left]["withdrawn"] = True
    top["withdrawn"] = False
    return {"sequence": state["slots"][state["live"]]["sequence"] + 1, "releases": [top, *past.values()]}


def leftovers(host: Host, names: Iterable[str]) -> list[Slot]:
    """The slots of the named apps that are not live and have something deployed or running."""
    found = []
    for name in names:
        idle = host.state["apps"][name]["slots"][other(host.state["apps"][name]["live"])]
        if idle["deployed"] or idle["processes"] or idle["workers"]:
            found.append(host.idle(name))
    return found


def releasing(own: Sequence[Change], host: Host, fleet: Fleet, wanted: Mapping[str, Sequence[Change]]) -> list[str]:
    """The apps whose release command this host runs, for the fleet: the first host that gets a release which none serves yet.

    ``wanted`` is host -> its changes.
    """
    found = []
    for change in own:
        name, release = change["app"], change["release"]
        takers = [one for one, theirs in wanted.items() if any(_gets(other_change, name, release["release"]) for other_change in theirs)]
        served_already = any(served(state) == release["release"] for state in states_of(fleet, name))
        if "release" in release["commands"] and takers[0] == host.name and not served_already:
            found.append(name)
    return found


def _gets(change: Change, app: str, release: str) -> bool:
    return change["app"] == app and change["release"]["release"] == release


def fleet_changes(fleet: Fleet, operation: str, run: Lock) -> dict[str, HostChanges]:
    """Host -> what the run does to it."""
    wanted = {host.name: changes(host, fleet, operation) for host in fleet}
    return {host.name: _host_changes(host, fleet, operation, run, wanted) for host in fleet}


def _host_changes(host: Host, fleet: Fleet, operation: str, run: Lock, wanted: Mapping[str, list[Change]]) -> HostChanges:
    own = wanted[host.name]
    for change in own:
        state = host.state["apps"][change["app"]]
        if change["slot"]["name"] != state["live"]:  # of a switch that is gone through again all is written already
            change["history"] = history(change, state, operation, run)
    changed = {change["app"] for change in own}
    starting = [change["slot"] for change in own if not change["running"]]
    retiring = [change["former"] for change in own if _is_there(host, change["former"])]
    return {
        "changes": own,
        "interrupted": interrupted(host, fleet, operation),
        "slots": [change["slot"] for change in own],
        "starting": starting,
        "former": [change["former"] for change in own],
        "left": leftovers(host, [slot["app"] for slot in starting]),
        "retiring": retiring + leftovers(host, [name for name in host.releases if name not in changed]),
        "releasing": releasing(own, host, fleet, wanted) if operation == "deploy" else [],
    }


def _is_there(host: Host, slot: Slot) -> bool:
    found = host.state["apps"][slot["app"]]["slots"][slot["name"]]
    return bool(found["deployed"] or found["processes"] or found["workers"])
