"""What a run has to do with the slots of a host: pure functions of the plan and of the facts (app_facts) of the host."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

ALIVE = ("RUNNING", "STARTING")

Plan = Mapping[str, Mapping[str, Any]]
Facts = Mapping[str, Any]
Releases = Mapping[str, Mapping[str, str]]


def other(slot: str) -> str:
    """The slot that is not this one."""
    return "green" if slot == "blue" else "blue"


def sources(plans: Iterable[Plan], root: str) -> list[dict[str, str]]:
    """What has to be built for a fleet: each source once, a relative one below ``root``."""
    found = {(absolute(app["source"], root), app["requirements"]): name for plan in plans for name, app in plan.items()}
    return [{"source": source, "requirements": requirements, "app": name} for (source, requirements), name in found.items()]


def absolute(source: str, root: str) -> str:
    """A source's absolute path on the controller."""
    return os.path.normpath(os.path.join(root, os.path.expanduser(source)))


def artifacts_of(plan: Plan, results: Iterable[Mapping[str, Any]], root: str) -> dict[str, Mapping[str, Any]]:
    """App -> the result of build_artifact for its source."""
    built = {(result["item"]["source"], result["item"]["requirements"]): result for result in results}
    return {name: built[absolute(app["source"], root), app["requirements"]] for name, app in plan.items()}


def wanted_releases(artifacts: Mapping[str, Mapping[str, Any]], python: str) -> dict[str, dict[str, str]]:
    """App -> the release and the digest of the environment that a deploy wants, for hosts with this version of Python."""
    return {
        name: {"release": artifact["release"], "environment": environment_digest(artifact["requirements_digest"], python)}
        for name, artifact in artifacts.items()
    }


def environment_digest(requirements_digest: str, python: str) -> str:
    """The name of an environment: it follows from what is installed and from the Python that it is installed for."""
    return hashlib.sha256(f"{requirements_digest}\0{python}".encode()).hexdigest()[:12]


def live_releases(facts: Facts) -> dict[str, dict[str, str]]:
    """App -> the release and environment of its live slot."""
    live = {name: state["slots"][state["live"]] for name, state in facts["apps"].items()}
    return {name: {"release": slot["release"], "environment": slot["environment"]} for name, slot in live.items()}


def kept_releases(facts: Facts, wanted: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """App -> the release that is wanted, which is on the host, and its environment; of the apps that this host has."""
    apps = facts["apps"]
    return {name: {"release": release, "environment": apps[name]["releases"][release]} for name, release in wanted.items() if name in apps}


def new_releases(plan: Plan, facts: Facts, releases: Releases) -> list[str]:
    """The apps whose release is not on the host yet."""
    return [name for name in plan if releases[name]["release"] not in facts["apps"][name]["releases"]]


def new_environments(plan: Plan, facts: Facts, releases: Releases, artifacts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """The environments that the releases need and that are not on the host yet, for tasks/environment.yml."""
    found = []
    for name, app in plan.items():
        release = f"{app['releases']}/{releases[name]['release']}"
        if releases[name]["environment"] not in facts["apps"][name]["environments"]:
            found.append(
                {
                    "path": f"{app['environments']}/{releases[name]['environment']}",
                    "requirements": f"{release}/{app['requirements']}" if artifacts[name]["requirements_digest"] else "",
                    "chdir": release,
                    "setting": f"tornado_apps.{name}.requirements",
                }
            )
    return found


def unrecorded(facts: Facts, releases: Releases) -> list[str]:
    """The apps beside whose release nothing says which environment it needs, or something else."""
    return [name for name, wanted in releases.items() if facts["apps"][name]["releases"].get(wanted["release"]) != wanted["environment"]]


def slot_record(app: Mapping[str, Any], slot: str, release: Mapping[str, str]) -> dict[str, Any]:
    """What a slot's processes run: the content of its record, for files/launch.py."""
    environment = f"{app['environments']}/{release['environment']}"
    return {
        "release": release["release"],
        "argv": app["argv"],
        "python": f"{environment}/bin/python",
        "environment": {
            "HOME": app["shared"],
            "LANG": "C.UTF-8",
            "PATH": f"{environment}/bin:/usr/local/bin:/usr/bin:/bin",
            "PYTHONUNBUFFERED": "1",
            "TORNADO_APP_NAME": app["name"],
            "TORNADO_APP_RELEASE": release["release"],
            "TORNADO_APP_SLOT": slot,
            "VIRTUAL_ENV": environment,
            **app["environment"],
        },
    }


def serves(app: Mapping[str, Any], facts: Facts) -> bool:
    """Whether the live slot runs as many processes as the plan wants, with the plan's limit as far as supervisord has it to give."""
    state = facts["apps"][app["name"]]
    live = state["slots"][state["live"]]
    nofile = min(app["nofile"], (state["supervisord"] or {"nofile": 0})["nofile"])
    alive = [process for process in live["processes"] if process["state"] in ALIVE and process["nofile"] >= nofile]
    return bool(live["deployed"]) and len(alive) == app["processes"]


def former(state: Mapping[str, Any]) -> bool:
    """Whether the idle slot is the one that was live before, and still runs: the last switch can be taken back by a switch."""
    live, idle = state["slots"][state["live"]], state["slots"][other(state["live"])]
    running = [process["state"] == "RUNNING" for process in idle["processes"]]
    return bool(idle["deployed"]) and idle["sequence"] < live["sequence"] and bool(running) and all(running)


def interrupted(
    plan: Plan, facts: Facts, releases: Releases, differing: Iterable[str], operation: str, hosts: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """App -> the slot that was live, where an earlier run switched a part of the fleet only and this run wants something else again.

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
            found[name] = other(state["live"])
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
        "app": app,
        "live": live,
        "slot": slot,
        "ports": [process["port"] for process in state["slots"][slot["name"]]["processes"]] if running else slot["ports"],
        "release": release,
        "before": before["release"] if before["deployed"] else "",
        "running": running,
    }


def slot_history(change: Mapping[str, Any], facts: Facts, operation: str, run: Mapping[str, Any], version: str = "") -> dict[str, Any]:
    """The history of a slot that is about to be live: ``sequence``, and ``releases`` with the latest first.

    A deploy puts its release on top. A restart leaves the history as it is. A rollback withdraws the release that it leaves, unless the
    one that it goes to was withdrawn itself: then it takes a rollback back. What is live again is not withdrawn any more.
    """
    state = facts["apps"][change["app"]["name"]]
    release, left = change["release"]["release"], change["before"]
    past = {entry["release"]: dict(entry) for entry in state["history"] if entry["release"] in state["releases"]}
    if left:
        past.setdefault(left, {"release": left, "at": "", "by": "", "version": "", "run": "", "withdrawn": False})
    top = past.pop(release, {"release": release, "version": version, "withdrawn": False})
    if operation != "restart":
        top |= {"at": run["since"], "by": f"{run['user']}@{run['controller']}", "run": run["run"]}
    if operation == "deploy":
        top["version"] = version
    if operation == "rollback" and not top["withdrawn"] and left in past:
        past[left]["withdrawn"] = True
    top["withdrawn"] = False
    return {"sequence": state["slots"][state["live"]]["sequence"] + 1, "releases": [top, *past.values()]}


def not_ready(hosts: Iterable[Mapping[str, Any]], lost: Iterable[str]) -> dict[str, str]:
    """Host -> why its gate stays closed, out of the variables of all hosts; empty when the whole fleet may switch.

    ``lost`` are the names of hosts that did not get that far.
    """
    return {**_lost(lost), **_failures(hosts, {"__tornado_app_gate": lambda result: bool(result.get("healthy"))})}


def not_answering(hosts: Iterable[Mapping[str, Any]], lost: Iterable[str] = ()) -> dict[str, str]:
    """Host -> why it did not switch, what nginx answered then where that was no success, or which errors it logged."""
    checks = {
        "__tornado_app_switch": lambda result: not result.get("failed"),
        "__tornado_app_smoke": lambda result: 200 <= result.get("status", 0) < 400,
        "__tornado_app_bake": lambda result: not result.get("failed"),
    }
    return {**_lost(lost), **_failures(hosts, checks)}


def _lost(hosts: Iterable[str]) -> dict[str, str]:
    return {host: f"{host} failed or cannot be reached, see above; what it serves is for the next run to find out" for host in hosts}


def _failures(hosts: Iterable[Mapping[str, Any]], checks: Mapping[str, Callable[[Mapping[str, Any]], bool]]) -> dict[str, str]:
    """Host -> the messages of the first of the registered results that did not pass."""
    found = {}
    for host in hosts:
        for register, passed in checks.items():
            outcome = host.get(register, {})
            results = [outcome] if outcome.get("unreachable") else outcome.get("results", [outcome] if outcome else [])
            failed = (result for result in results if result.get("unreachable") or not (result.get("skipped") or passed(result)))
            messages = [_message(result) for result in failed]
            if messages and host["inventory_hostname"] not in found:
                found[host["inventory_hostname"]] = "\n".join(messages)
    return found


def _message(result: Mapping[str, Any]) -> str:
    said = str(result.get("msg", ""))
    return f"{result['item']} through nginx: {result['url']}: {said}" if "url" in result and "item" in result else said


def leftovers(plan: Plan, facts: Facts, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The slots of the named apps that are not live and have something deployed or running: to be retired, or left by a killed run."""
    found = {}
    for name in names:
        app, state = plan[name], facts["apps"][name]
        idle = other(state["live"])
        slot = state["slots"][idle]
        if slot["deployed"] or slot["processes"]:
            ports = [process["port"] for process in slot["processes"]] or app["slots"][idle]["ports"]
            found[name] = {"app": app, "slot": app["slots"][idle], "ports": ports}
    return found


def watched(changes: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What watch_errors watches: the access logs of these changes."""
    return [{"app": change["app"]["name"], "path": change["app"]["access_log"], "slot": change["slot"]["name"]} for change in changes]


def drains(slots: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What wait_for_drain waits for: the ports of these slots."""
    return [{"app": name, "ports": slot["ports"], "timeout": slot["app"]["drain"]["timeout"]} for name, slot in slots.items()]


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, Any]:
        return {
            "tornado_app_sources": sources,
            "tornado_app_artifacts": artifacts_of,
            "tornado_app_wanted_releases": wanted_releases,
            "tornado_app_live_releases": live_releases,
            "tornado_app_new_releases": new_releases,
            "tornado_app_new_environments": new_environments,
            "tornado_app_unrecorded": unrecorded,
            "tornado_app_slot_record": slot_record,
            "tornado_app_interrupted": interrupted,
            "tornado_app_changes": changes,
            "tornado_app_slot_history": slot_history,
            "tornado_app_not_ready": not_ready,
            "tornado_app_not_answering": not_answering,
            "tornado_app_leftovers": leftovers,
            "tornado_app_drains": drains,
            "tornado_app_watched": watched,
            "tornado_app_kept_releases": kept_releases,
        }
