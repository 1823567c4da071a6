"""What a run has to do with the slots of a host: pure functions of the plan and of the facts (app_facts) of the host.

Several return slots: app -> ``app`` (its plan), ``slot`` (one of the plan's slots), ``ports``, ``addresses`` and ``workers`` (type ->
number; those that the slot really has, or is to have).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

# A URL, or what ssh and git take for one: user@host:path.
REMOTE = re.compile(r"\w[\w+.-]*://|[\w.-]+@[\w.-]+:")
ALIVE = ("RUNNING", "STARTING")
NO_WORKERS = ("web", "release")  # what the other lines of a Procfile start is never asked anything by nginx

Plan = Mapping[str, Mapping[str, Any]]
Facts = Mapping[str, Any]
Releases = Mapping[str, Mapping[str, Any]]


def other(slot: str) -> str:
    """The slot that is not this one."""
    return "green" if slot == "blue" else "blue"


def sources(plans: Iterable[Plan], root: str, cache: str) -> list[dict[str, str]]:
    """What has to be built for a fleet: each source once.

    ``path`` is what build_artifact packs, ``repository`` what has to be fetched to there before; empty for a directory or an archive.
    """
    found = {_source_key(app, root): name for plan in plans for name, app in plan.items()}
    return [
        {
            "source": source,
            "version": version or "HEAD",
            "requirements": requirements,
            "app": name,
            "repository": source if is_repository(source, version) else "",
            "path": f"{cache}/{checkout(source, version)}" if is_repository(source, version) else source,
        }
        for (source, version, requirements), name in found.items()
    ]


def _source_key(app: Mapping[str, Any], root: str) -> tuple[str, str, str]:
    return absolute(app["source"], root), app["version"], app["requirements"]


def absolute(source: str, root: str) -> str:
    """A source's absolute path on the controller, a relative one below ``root``; a URL as it is."""
    return source if REMOTE.match(source) else os.path.normpath(os.path.join(root, os.path.expanduser(source)))


def is_repository(source: str, version: str) -> bool:
    """Whether git has to fetch a source: one that is on another machine, a bare repository, or one of which a version is named."""
    bare = all(os.path.exists(os.path.join(source, name)) for name in ("HEAD", "objects", "refs"))
    return bool(version or REMOTE.match(source) or bare)


def checkout(source: str, version: str) -> str:
    """The name of the directory in which a version of a repository is checked out on the controller."""
    return hashlib.sha256(f"{source}\0{version}".encode()).hexdigest()[:12]


def artifacts_of(plan: Plan, results: Iterable[Mapping[str, Any]], root: str) -> dict[str, Mapping[str, Any]]:
    """App -> the result of build_artifact for its source."""
    built = {tuple(result["item"][key] for key in ("source", "version", "requirements")): result for result in results}
    keys = {name: _source_key(app, root) for name, app in plan.items()}
    return {name: built[source, version or "HEAD", requirements] for name, (source, version, requirements) in keys.items()}


def wanted_releases(plan: Plan, artifacts: Mapping[str, Mapping[str, Any]], python: str) -> dict[str, dict[str, Any]]:
    """App -> the release that a deploy wants: its id, ``environment`` (digest), ``python`` (version) and ``commands`` (of its Procfile).

    ``python`` is that of the host, for apps that do not care.
    """
    found = {}
    for name, artifact in artifacts.items():
        wanted = plan[name]["python"] or artifact["python"] or python
        found[name] = {
            "release": artifact["release"],
            "environment": environment_digest(artifact["requirements_digest"], wanted),
            "python": wanted,
            "commands": {kind: process["command"] for kind, process in artifact["processes"].items()},
        }
    return found


def environment_digest(requirements_digest: str, python: str) -> str:
    """The name of an environment: it follows from what is installed and from the Python that it is installed for."""
    return hashlib.sha256(f"{requirements_digest}\0{python}".encode()).hexdigest()[:12]


def live_releases(facts: Facts) -> dict[str, dict[str, Any]]:
    """App -> the release of its live slot."""
    return {name: _on_the_host(state, state["slots"][state["live"]]["release"]) for name, state in facts["apps"].items()}


def kept_releases(facts: Facts, wanted: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """App -> the release that is wanted, which is on the host; of the apps that this host has."""
    return {name: _on_the_host(facts["apps"][name], release) for name, release in wanted.items() if name in facts["apps"]}


def _on_the_host(state: Mapping[str, Any], release: str) -> dict[str, Any]:
    return {"release": release, "environment": "", "commands": {}, **state["records"].get(release, {})}


def new_releases(plan: Plan, facts: Facts, releases: Releases) -> list[str]:
    """The apps whose release is not on the host yet."""
    return [name for name in plan if releases[name]["release"] not in facts["apps"][name]["releases"]]


def new_environments(plan: Plan, facts: Facts, releases: Releases, artifacts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The environments that the releases need and that are not on the host yet, for tasks/environment.yml."""
    found = []
    for name, app in plan.items():
        release = f"{app['releases']}/{releases[name]['release']}"
        if releases[name]["environment"] not in facts["apps"][name]["environments"]:
            artifact = artifacts[name]
            from_file = artifact["requirements_digest"] and not artifact["dependencies"]
            found.append(
                {
                    "path": f"{app['environments']}/{releases[name]['environment']}",
                    "python": facts["host"]["pythons"][releases[name]["python"]],
                    "install": [f"--requirement={release}/{app['requirements']}"] if from_file else artifact["dependencies"],
                    "chdir": release,
                    "setting": f"tornado_apps.{name}.requirements",
                }
            )
    return found


def differing_apps(slots: Mapping[str, Mapping[str, Any]], paths: Container[str]) -> list[str]:
    """The apps of these slots whose files are among ``paths``."""
    return [name for name, slot in slots.items() if any(slot["slot"][key] in paths for key in ("config", "record", "secrets"))]


def serves(app: Mapping[str, Any], facts: Facts) -> bool:
    """Whether the live slot runs as many processes as the plan wants, with the plan's limit as far as supervisord has it to give."""
    state = facts["apps"][app["name"]]
    live = state["slots"][state["live"]]
    nofile = min(app["nofile"], (state["supervisord"] or {"nofile": 0})["nofile"])
    alive = [process for process in live["processes"] if process["state"] in ALIVE and process["nofile"] >= nofile]
    wanted = sum(workers(app, _on_the_host(state, live["release"])).values())
    working = [process for process in live["workers"] if process["state"] in ALIVE]
    forked = app["listen"] != "fork" or all(process["children"] >= app["processes"] for process in alive)
    return bool(live["deployed"]) and len(alive) == len(app["slots"]["blue"]["ports"]) and forked and len(working) == wanted


def workers(app: Mapping[str, Any], release: Mapping[str, Any]) -> dict[str, int]:
    """Type of process -> how many of it a slot has, of those that its release's Procfile names beside the web processes."""
    counts = {kind: app["scale"].get(kind, 1) for kind in release["commands"] if kind not in NO_WORKERS}
    return {kind: count for kind, count in counts.items() if count}


def former(state: Mapping[str, Any]) -> bool:
    """Whether the idle slot is the one that was live before, and still runs: the last switch can be taken back by a switch."""
    live, idle = state["slots"][state["live"]], state["slots"][other(state["live"])]
    running = [process["state"] == "RUNNING" for process in idle["processes"]]
    return bool(idle["deployed"]) and idle["sequence"] < live["sequence"] and bool(running) and all(running)


def interrupted(
    plan: Plan, facts: Facts, releases: Releases, differing: Iterable[str], operation: str, hosts: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The slots that were live, where an earlier run switched a part of the fleet only and this run wants something else again.

    From there the fleet goes on, or stays, together. A rollback to that slot's release is left to the switch itself. ``hosts`` are the
    variables of all hosts of the run.
    """
    named, fleet = set(differing), states(hosts)
    found = {}
    for name, release in releases.items():
        state = facts["apps"][name]
        live, idle = state["slots"][state["live"]], state["slots"][other(state["live"])]
        elsewhere = any(served(apps[name]) == idle["release"] for apps in fleet if name in apps)
        needed = {
            "deploy": live["release"] != release["release"] or name in named or not serves(plan[name], facts),
            "restart": False,
            "rollback": live["release"] != release["release"] != idle["release"],
        }[operation]
        if elsewhere and needed and former(state) and idle["release"] != live["release"]:
            found[name] = _slot(plan[name], state, other(state["live"]))
    return found


def states(hosts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """App -> facts, of each host that has any."""
    return [(host.get("__tornado_app_facts") or {}).get("apps", {}) for host in hosts]


def served(state: Mapping[str, Any]) -> str:
    """The release of an app's live slot; empty when it has none."""
    live = state["slots"][state["live"]]
    return str(live["release"]) if live["deployed"] else ""


def changes(
    plan: Plan, facts: Facts, releases: Releases, differing: Iterable[str], operation: str, hosts: Iterable[Mapping[str, Any]] = ()
) -> dict[str, dict[str, Any]]:
    """The apps of ``releases`` that get another live slot, and how. ``operation`` is deploy, restart or rollback.

    A deploy takes a new slot when the live one's files differ from what is wanted (``differing``) or it does not run as it should; a
    restart always does; a rollback does when another release is live, and takes the slot that was live before if that still runs it.
    A switch that an earlier run did not finish is gone through again, without a new slot (``running``); it is finished when any of the
    ``hosts`` (the variables of all of them) that serve the same release has retired its old slot.
    ``live`` is the slot to go back to, ``slot`` the one that shall be live, ``before`` the release of the former.
    """
    named, fleet = set(differing), states(hosts)
    found = {}
    for name, release in releases.items():
        app, state = plan[name], facts["apps"][name]
        finished = any(served(apps[name]) == served(state) and not former(apps[name]) for apps in fleet if name in apps)
        live, idle = state["slots"][state["live"]], state["slots"][other(state["live"])]
        needed = {
            "deploy": name in named or not serves(app, facts),
            "restart": True,
            "rollback": not live["deployed"] or live["release"] != release["release"],
        }[operation]
        if needed:
            reused = operation == "rollback" and former(state) and idle["release"] == release["release"]
            found[name] = _change(app, state, state["live"], release, running=reused)
        elif former(state) and not finished:
            found[name] = _change(app, state, other(state["live"]), release, running=True)
    return found


def _change(app: Mapping[str, Any], state: Mapping[str, Any], live: str, release: Mapping[str, str], running: bool) -> dict[str, Any]:
    slot, before = app["slots"][other(live)], state["slots"][live]
    return {
        "ports": slot["ports"],
        "addresses": slot["addresses"],
        "workers": workers(app, release),
        "app": app,
        "live": live,
        "slot": slot,
        **({key: _slot(app, state, slot["name"])[key] for key in ("ports", "addresses", "workers")} if running else {}),
        "release": release,
        "before": before["release"] if before["deployed"] else "",
        "running": running,
    }


def slot_history(
    change: Mapping[str, Any], facts: Facts, operation: str, run: Mapping[str, Any], artifact: Mapping[str, Any]
) -> dict[str, Any]:
    """The history of a slot that is about to be live: ``sequence``, and ``releases`` with the latest first.

    A deploy puts its release on top. A restart leaves the history as it is. A rollback withdraws the release that it leaves, unless the
    one that it goes to was withdrawn itself: then it takes a rollback back. What is live again is not withdrawn any more.
    """
    state = facts["apps"][change["app"]["name"]]
    release, left = change["release"]["release"], change["before"]
    source = {key: artifact.get(key, "") for key in ("version", "commit")}
    past = {entry["release"]: dict(entry) for entry in state["history"] if entry["release"] in state["releases"]}
    if left:
        past.setdefault(left, {"release": left, "at": "", "by": "", "version": "", "commit": "", "run": "", "withdrawn": False})
    top = past.pop(release, {"release": release, **source, "withdrawn": False})
    if operation != "restart":
        top |= {"at": run["since"], "by": f"{run['user']}@{run['controller']}", "run": run["run"]}
    if operation == "deploy":
        top |= source
    if operation == "rollback" and not top["withdrawn"] and left in past:
        past[left]["withdrawn"] = True
    top["withdrawn"] = False
    return {"sequence": state["slots"][state["live"]]["sequence"] + 1, "releases": [top, *past.values()]}


def histories(
    changes: Mapping[str, Mapping[str, Any]],
    facts: Facts,
    operation: str,
    run: Mapping[str, Any],
    artifacts: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """App -> the history of the slot that is about to be live; of a switch that is gone through again all is written already."""
    return {
        name: slot_history(change, facts, operation, run, artifacts.get(name, {}))
        for name, change in changes.items()
        if change["slot"]["name"] != facts["apps"][name]["live"]
    }


def not_ready(hosts: Iterable[Mapping[str, Any]], lost: Iterable[str]) -> dict[str, str]:
    """Host -> why its gate stays closed, out of the variables of all hosts; empty when the whole fleet may switch.

    ``lost`` are the names of hosts that did not get that far.
    """
    return {**_lost(lost), **_failures(hosts, {"__tornado_app_gate": lambda result: bool(result.get("healthy"))})}


def not_answering(hosts: Iterable[Mapping[str, Any]], lost: Iterable[str] = ()) -> dict[str, str]:
    """Host -> why it did not switch, what nginx answered then where that was wrong, which errors it logged, or what did not stay well."""
    checks: dict[str, Callable[[Mapping[str, Any]], bool]] = dict.fromkeys(
        ("__tornado_app_switch", "__tornado_app_smoke", "__tornado_app_bake"), lambda result: not result.get("failed")
    )
    checks["__tornado_app_stayed"] = lambda result: bool(result.get("healthy"))
    return {**_lost(lost), **_failures(hosts, checks)}


def _lost(hosts: Iterable[str]) -> dict[str, str]:
    return {host: f"{host} failed or cannot be reached, see above; what it serves is for the next run to find out" for host in hosts}


def _failures(hosts: Iterable[Mapping[str, Any]], checks: Mapping[str, Callable[[Mapping[str, Any]], bool]]) -> dict[str, str]:
    """Host -> the message of the first of its registered results that did not pass."""
    found: dict[str, str] = {}
    for host in hosts:
        results = [(host[register], passed) for register, passed in checks.items() if host.get(register)]
        failed = (result for result, passed in results if result.get("unreachable") or not (result.get("skipped") or passed(result)))
        for result in failed:
            found.setdefault(host["inventory_hostname"], str(result.get("msg", "")))
    return found


def all_slots(plan: Plan) -> dict[str, dict[str, Any]]:
    """Both slots of every app, by the names of their groups, as the plan has them; without workers, of which a release tells."""
    return {
        slot["group"]: {"app": app, "slot": slot, "ports": slot["ports"], "addresses": slot["addresses"], "workers": {}}
        for app in plan.values()
        for slot in app["slots"].values()
    }


def releasing(changes: Mapping[str, Mapping[str, Any]], hosts: Iterable[Mapping[str, Any]], host: str) -> list[str]:
    """The apps whose release command this host runs, for the fleet: the first host that gets a release which none serves yet."""
    fleet = list(hosts)
    found = []
    for name, change in changes.items():
        release = change["release"]
        others = [(other.get("__tornado_app_changes") or {}).get(name, {}).get("release", {}).get("release") for other in fleet]
        first = next((other["inventory_hostname"] for other, wanted in zip(fleet, others, strict=True) if wanted == release["release"]), "")
        served_already = any(served(apps[name]) == release["release"] for apps in states(fleet) if name in apps)
        if "release" in release["commands"] and first == host and not served_already:
            found.append(name)
    return found


def live_slots(plan: Plan, facts: Facts, supervised: bool = False) -> dict[str, dict[str, Any]]:
    """The slot of each app that is live; with ``supervised``, only where supervisord has processes of it."""
    live = {name: facts["apps"][name]["live"] for name in plan}
    found = {name: slot for name, slot in live.items() if not supervised or facts["apps"][name]["slots"][slot]["processes"]}
    return {name: _slot(plan[name], facts["apps"][name], slot) for name, slot in found.items()}


def wanted_slots(plan: Plan, facts: Facts, releases: Releases) -> dict[str, dict[str, Any]]:
    """The slot of each app that is live, as it would be now with these releases."""
    live = live_slots(plan, facts)
    now = {name: {key: slot["slot"][key] for key in ("ports", "addresses")} for name, slot in live.items()}
    return {name: {**slot, **now[name], "workers": workers(plan[name], releases[name])} for name, slot in live.items()}


def starting(changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The slots that are to be live and do not run yet."""
    return {name: change for name, change in changes.items() if not change["running"]}


def former_slots(changes: Mapping[str, Mapping[str, Any]], facts: Facts) -> dict[str, dict[str, Any]]:
    """The slots to go back to."""
    return {name: _slot(change["app"], facts["apps"][name], change["live"]) for name, change in changes.items()}


def leftovers(plan: Plan, facts: Facts, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The slots of the named apps that are not live and have something deployed or running: to be retired, or left by a killed run."""
    found = {}
    for name in names:
        state = facts["apps"][name]
        idle = other(state["live"])
        if state["slots"][idle]["deployed"] or state["slots"][idle]["processes"]:
            found[name] = _slot(plan[name], state, idle)
    return found


def _slot(app: Mapping[str, Any], state: Mapping[str, Any], slot: str) -> dict[str, Any]:
    """A slot with the ports that it really has, which may be other than those it would get now."""
    found = state["slots"][slot]
    ports = [process["port"] for process in found["processes"]] or app["slots"][slot]["ports"]
    kinds = [process["name"].rpartition(":")[2].rpartition(".")[0] for process in found["workers"]]
    addresses = found["addresses"] or app["slots"][slot]["addresses"]
    workers = {kind: kinds.count(kind) for kind in kinds}
    return {"app": app, "slot": app["slots"][slot], "ports": ports, "addresses": addresses, "workers": workers}
