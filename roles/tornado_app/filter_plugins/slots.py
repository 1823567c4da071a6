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


def live_releases(plan: Plan, facts: Facts) -> dict[str, dict[str, str]]:
    """App -> the release and environment of its live slot."""
    live = {name: facts["apps"][name]["slots"][facts["apps"][name]["live"]] for name in plan}
    return {name: {"release": slot["release"], "environment": slot["environment"]} for name, slot in live.items()}


def new_releases(plan: Plan, facts: Facts, releases: Releases) -> list[str]:
    """The apps whose release is not on the host yet."""
    return [name for name in plan if releases[name]["release"] not in facts["apps"][name]["releases"]]


def environments(plan: Plan, releases: Releases, artifacts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """The environments that the releases need, for tasks/environment.yml."""
    found = []
    for name, app in plan.items():
        release = f"{app['releases']}/{releases[name]['release']}"
        found.append(
            {
                "path": f"{app['environments']}/{releases[name]['environment']}",
                "requirements": f"{release}/{app['requirements']}" if artifacts[name]["requirements_digest"] else "",
                "chdir": release,
                "setting": f"tornado_apps.{name}.requirements",
            }
        )
    return found


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


def changes(plan: Plan, facts: Facts, releases: Releases, differing: Iterable[str], everything: bool) -> dict[str, dict[str, Any]]:
    """The apps whose idle slot has to be started and made live, and with what.

    An app is among them when its live slot's files differ from what is wanted (``differing``), when its live slot does not run
    as it should, or when all are asked for (``everything``: a restart).
    """
    named = set(differing)
    found = {}
    for name, app in plan.items():
        if everything or name in named or not serves(app, facts):
            live = facts["apps"][name]["live"]
            found[name] = {
                "app": app,
                "live": live,
                "slot": app["slots"][other(live)],
                "release": releases[name],
                "before": facts["apps"][name]["slots"][live]["release"] if facts["apps"][name]["slots"][live]["deployed"] else "",
            }
    return found


def unhealthy(hosts: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Host -> why its gate stays closed, out of the hosts' variables; empty when the whole fleet may switch."""
    return _failures(hosts, "__tornado_app_gate", lambda result: bool(result.get("healthy")))


def unanswered(hosts: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Host -> why it did not switch, or what nginx answered then, where that was no success."""
    hosts = list(hosts)
    switched = _failures(hosts, "__tornado_app_switch", lambda result: not result.get("failed"))
    return {**_failures(hosts, "__tornado_app_smoke", lambda result: 200 <= result.get("status", 0) < 400), **switched}


def _failures(hosts: Iterable[Mapping[str, Any]], register: str, passed: Callable[[Mapping[str, Any]], bool]) -> dict[str, str]:
    found = {}
    for host in hosts:
        outcome = host.get(register, {})
        messages = [str(result.get("msg", "")) for result in outcome.get("results", []) if not result.get("skipped") and not passed(result)]
        if outcome.get("unreachable"):
            messages.append(str(outcome.get("msg", "")))
        if messages:
            found[host["inventory_hostname"]] = "\n".join(messages)
    return found


def leftovers(plan: Plan, facts: Facts) -> dict[str, dict[str, Any]]:
    """The idle slots in which an interrupted run left something deployed or running."""
    return retiring(plan, facts, [])


def retiring(plan: Plan, facts: Facts, changed: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The slots that are not live after the switch and have something running or deployed, also what an interrupted run left."""
    switched = set(changed)
    found = {}
    for name, app in plan.items():
        live = facts["apps"][name]["live"]
        leaving = live if name in switched else other(live)
        slot = facts["apps"][name]["slots"][leaving]
        if slot["deployed"] or slot["processes"]:
            ports = [process["port"] for process in slot["processes"]] or app["slots"][leaving]["ports"]
            found[name] = {"app": app, "slot": app["slots"][leaving], "ports": ports}
    return found


def duration(seconds: int) -> str:
    """Seconds for a person: 42s, 7m, 3h, 12d."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


STATUS_COLUMNS = ("host", "app", "live", "release", "processes", "nofile", "uptime")


def status_rows(host: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row for each app of a host (its hostvars), with the keys of STATUS_COLUMNS.

    ``processes`` is up/expected, ``nofile`` the lowest and ``uptime`` the oldest of them. A host that did not answer has one row.
    """
    facts = host.get("__tornado_app_facts")
    if facts is None or "apps" not in facts:
        return [{**dict.fromkeys(STATUS_COLUMNS, "-"), "host": host["inventory_hostname"], "app": "(no answer)"}]
    rows = []
    for name, app in host["__tornado_app_plan"].items():
        state = facts["apps"][name]
        slot = state["slots"][state["live"]]
        up = [process for process in slot["processes"] if process["state"] in ALIVE]
        rows.append(
            {
                "host": host["inventory_hostname"],
                "app": name,
                "live": state["live"] if slot["deployed"] else "-",
                "release": slot["release"] if slot["deployed"] else "-",
                "processes": f"{len(up)}/{app['processes']}",
                "nofile": str(min((process["nofile"] for process in up), default="-")),
                "uptime": duration(max(process["uptime"] for process in up)) if up else "-",
            }
        )
    return rows


def status_table(rows: Iterable[Mapping[str, str]]) -> str:
    """The rows as aligned text with a heading."""
    table = [STATUS_COLUMNS, *(tuple(row[column] for column in STATUS_COLUMNS) for row in rows)]
    widths = [max(len(line[index]) for line in table) for index in range(len(STATUS_COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table)


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, Any]:
        return {
            "tornado_app_sources": sources,
            "tornado_app_artifacts": artifacts_of,
            "tornado_app_wanted_releases": wanted_releases,
            "tornado_app_live_releases": live_releases,
            "tornado_app_new_releases": new_releases,
            "tornado_app_environments": environments,
            "tornado_app_slot_record": slot_record,
            "tornado_app_changes": changes,
            "tornado_app_unhealthy": unhealthy,
            "tornado_app_unanswered": unanswered,
            "tornado_app_leftovers": leftovers,
            "tornado_app_retiring": retiring,
            "tornado_app_status_rows": status_rows,
            "tornado_app_status_table": status_table,
        }
