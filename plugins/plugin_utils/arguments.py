"""What the role's modules are called with: each takes all apps of a host at once, since every call costs a second.

``slots`` is always app -> ``app`` (its plan), ``slot`` (one of the plan's slots), ``ports``, ``addresses`` and ``workers`` (those that it
really has, or is to have).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Slots = Mapping[str, Mapping[str, Any]]
Plan = Mapping[str, Mapping[str, Any]]
Releases = Mapping[str, Mapping[str, Any]]
File = dict[str, Any]

LOG_FILE_MAX = 50_000_000  # bytes; nobody opens a larger one in an editor
STEADY = 2  # seconds


def switches(slots: Slots) -> list[dict[str, str]]:
    """For live_slot, to make these slots live."""
    return [{"app": name, "slot": slot["slot"]["name"], "flag": slot["app"]["flag"]} for name, slot in slots.items()]


def groups(slots: Slots) -> list[dict[str, Any]]:
    """For supervisor_groups: the processes of these slots."""
    return [
        {
            "socket": slot["app"]["socket"],
            "group": slot["slot"]["group"],
            "slot": slot["slot"]["name"],
            "flag": slot["app"]["flag"],
            "stop_timeout": slot["app"]["stop_timeout"],
        }
        for slot in slots.values()
    ]


def drains(slots: Slots) -> list[dict[str, Any]]:
    """For wait_for_drain: where these slots listen."""
    return [{"app": name, "addresses": slot["addresses"], "timeout": slot["app"]["drain"]["timeout"]} for name, slot in slots.items()]


def health_checks(slots: Slots, timeout: float | None = None, gate: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """For wait_for_health: the processes of these slots, at the gate, with the apps' own patience and a while to prove themselves.

    Later with a ``timeout`` in seconds; and with the result of the ``gate`` they have to be the processes that passed it.
    """
    passed = {app["app"]: [process["pid"] for process in app["processes"]] for app in (gate or {}).get("apps", [])}
    return [
        {
            "app": name,
            "socket": slot["app"]["socket"],
            "group": slot["slot"]["group"],
            "ports": slot["ports"],
            "addresses": slot["addresses"],
            "listeners": len(slot["ports"]) if len(slot["ports"]) > len(slot["addresses"]) else 0,
            "unit": slot["app"]["unit"],
            "children": slot["app"]["processes"] if slot["app"]["listen"] == "fork" else 0,
            "workers": [f"{kind}.{number + 1}" for kind, count in slot["workers"].items() for number in range(count)],
            "path": slot["app"]["health"]["path"],
            "host": slot["app"]["host"],
            "timeout": slot["app"]["health"]["timeout"] if timeout is None else timeout,
            "steady": STEADY if timeout is None else 0,
            "pids": passed.get(name, []),
        }
        for name, slot in slots.items()
    ]


def requests(slots: Slots) -> list[dict[str, str]]:
    """For ask_nginx: the health path of each app, which one of these slots is meant to answer."""
    return [
        {
            "app": name,
            "host": slot["app"]["host"],
            "prefix": slot["app"]["prefix"],
            "path": slot["app"]["health"]["path"],
            "slot": slot["slot"]["name"],
        }
        for name, slot in slots.items()
    ]


def watched(slots: Slots) -> list[dict[str, str]]:
    """For watch_errors: what these slots answer."""
    return [{"app": name, "path": slot["app"]["access_log"], "slot": slot["slot"]["name"]} for name, slot in slots.items()]


def template_variables(slots: Slots) -> list[dict[str, Any]]:
    """For a template that is rendered once for each of these slots."""
    return [{**{key: slot[key] for key in ("app", "slot", "workers")}, "log_max_bytes": log_max_bytes(slot)} for slot in slots.values()]


def log_max_bytes(slot: Mapping[str, Any]) -> int:
    """The size of one log file, so that all of an app fit into its budget: each process has a current and an old one, in both slots."""
    count = len(slot["slot"]["ports"]) + sum(slot["workers"].values())
    return int(min(LOG_FILE_MAX, slot["app"]["log_budget"] // (4 * count)))


def upstream_files(slots: Slots, rendered: Iterable[str], force: bool = True) -> list[File]:
    """For nginx_config: the processes of these slots, as rendered; without ``force`` only where there is no such file yet."""
    return [
        {"path": slot["slot"]["upstream_config"], "content": content, "force": force}
        for slot, content in zip(slots.values(), rendered, strict=True)
    ]


def sites(plan: Plan) -> list[list[Mapping[str, Any]]]:
    """The apps of each site, which share its server names and are told apart by path."""
    found: dict[frozenset[str], list[Mapping[str, Any]]] = {}
    for app in plan.values():
        found.setdefault(frozenset(name.lower() for name in app["server_names"]), []).append(app)
    return list(found.values())


def site_variables(plan: Plan) -> list[dict[str, Any]]:
    """For a template that is rendered once for each site."""
    return [{"apps": apps} for apps in sites(plan)]


def site_files(plan: Plan, rendered: Iterable[str]) -> list[File]:
    """For nginx_config: all sites, as rendered; each in the file of its first app."""
    return [{"path": apps[0]["site_config"], "content": content} for apps, content in zip(sites(plan), rendered, strict=True)]


def site_absent(plan: Plan) -> list[str]:
    """For nginx_config: the files that apps would have who are in the site of another one."""
    return [app["site_config"] for apps in sites(plan) for app in apps[1:]]


def slot_files(
    slots: Slots, releases: Releases, rendered: Iterable[str], validate: str, secrets: Mapping[str, Mapping[str, str]]
) -> list[File]:
    """For install_files: what these slots run, with which secrets, and how they are supervised, as rendered."""
    found: list[File] = []
    for (name, slot), config in zip(slots.items(), rendered, strict=True):
        app, where = slot["app"], slot["slot"]
        own = {"group": app["user"], "mode": "0640"}
        found.append({"path": where["record"], "content": text(slot_record(app, where, releases[name])), **own})
        found.append({"path": where["secrets"], "secret": text(secrets[name]), **own})
        found.append({"path": where["config"], "content": config, "validate": f"{validate} {app['config']} %s", **own})
    return found


def slot_links(slots: Slots, releases: Releases) -> list[File]:
    """For install_files: the releases of these slots."""
    return [
        {"path": slot["slot"]["cwd"], "state": "link", "target": f"{slot['app']['releases']}/{releases[name]['release']}"}
        for name, slot in slots.items()
    ]


def slot_histories(slots: Slots, histories: Mapping[str, Any]) -> list[File]:
    """For install_files: what was live before these slots."""
    return [{"path": slots[name]["slot"]["history"], "content": text(history)} for name, history in histories.items()]


def release_records(plan: Plan, releases: Releases) -> list[File]:
    """For install_files: which environment each release needs."""
    return [{"path": f"{plan[name]['releases']}/{release['release']}.json", "content": text(release)} for name, release in releases.items()]


def slot_removals(slots: Slots) -> list[File]:
    """For install_files: nothing of these slots stays but the link, which tells what they ran last."""
    return [{"path": slot["slot"][key], "state": "absent"} for slot in slots.values() for key in ("config", "record", "secrets")]


def runtime_directories(slots: Slots, facts: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """The directories that the sockets of these slots need and that an older unit has not made."""
    lacking = (slot["app"] for name, slot in slots.items() if not facts["apps"][name]["sockets"] and slot["app"]["listen"] == "sockets")
    return [directory for app in lacking for directory in app["runtime_directories"]]


def noted_ports(plan: Plan, noted: Mapping[str, int], absent: Iterable[str]) -> str:
    """The host's local fact: app -> its port, of all that are there, listed or not."""
    kept = {name: port for name, port in noted.items() if name not in absent}
    return text({**kept, **{name: app["port"] for name, app in plan.items()}})


def stale_logs(slots: Slots) -> list[File]:
    """For install_files: nothing stays of the logs of ports that these slots had and no slot of the plan has any more.

    An app with fewer processes than before, or with other ports, would go beyond its budget with them.
    """
    found = []
    for slot in slots.values():
        app, (blue, green) = slot["app"], (slot["app"]["slots"][name]["ports"] for name in ("blue", "green"))
        distance = (green[0] - blue[0]) * (1 if slot["slot"]["name"] == "blue" else -1)  # to the ports of the other slot
        ports = {port + step for port in slot["ports"] for step in (0, distance)} - {*blue, *green}
        found += [{"path": f"{app['logs']}/{port}.log{age}", "state": "absent"} for port in sorted(ports) for age in ("", ".1")]
    return found


def cookie_paths(plan: Plan) -> dict[str, str]:
    """For cookie_secrets: app -> where its cookie secret is."""
    return {name: app["cookie_secret"] for name, app in plan.items()}


def cookie_files(slots: Slots, secrets: Mapping[str, str]) -> list[File]:
    """For install_files: the cookie secrets of the fleet, for root alone; processes find them among their other secrets."""
    return [{"path": slot["app"]["cookie_secret"], "secret": secrets[name], "mode": "0600"} for name, slot in slots.items()]


def slot_record(app: Mapping[str, Any], slot: Mapping[str, Any], release: Mapping[str, Any]) -> dict[str, Any]:
    """What a slot's processes run: the content of its record, for files/launch.py."""
    environment = f"{app['environments']}/{release['environment']}"
    # The shell reads the line and gives its place to the program, which env finds behind variables that the line begins with.
    commands = {kind: ["/bin/sh", "-uc", f"exec env {doubled(line)}"] for kind, line in release["commands"].items()}
    commands |= {"web": app["argv"]} if app["argv"] else {}
    reloader = [doubled(argument) for argument in app["reloader"]]
    return {
        "release": release["release"],
        "journal": slot["group"] if app["journal"] else "",
        "commands": {kind: argv if kind == "release" else [*reloader, *argv] for kind, argv in commands.items()},
        "python": f"{environment}/bin/python",
        "secrets": slot["secrets"],
        "addresses": slot["addresses"],
        "environment": {
            "HOME": app["shared"],
            "LANG": "C.UTF-8",
            "PATH": f"{environment}/bin:/usr/local/bin:/usr/bin:/bin",
            "PYTHONUNBUFFERED": "1",
            "TORNADO_APP_NAME": app["name"],
            "TORNADO_APP_RELEASE": release["release"],
            "TORNADO_APP_SLOT": slot["name"],
            "VIRTUAL_ENV": environment,
            **app["environment"],
        },
    }


def doubled(line: str) -> str:
    """A line without meaning for launch.py, which puts something in the place of braces."""
    return line.replace("{", "{{").replace("}", "}}")


def text(content: object) -> str:
    """JSON that a person can read."""
    return json.dumps(content, indent=4, sort_keys=True, ensure_ascii=False) + "\n"
