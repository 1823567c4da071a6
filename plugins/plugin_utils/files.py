"""The files of slots and sites, as the module install_files takes them: what they say, whose they are, how they are judged."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App, Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.host_state import DRAINED
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_url import REDIS_URL
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot, worker_names
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import tls
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import SINGLETONS, Plan, Release

LEASE = 15  # seconds for which a process has the right to run singletons, unless it renews it
LOG_FILE_MAX = 50_000_000  # bytes; nobody opens a larger one in an editor


class Runner(NamedTuple):
    """What runs the singletons and the cron of an app: the host, by its name in the inventory, and the command, before the record."""

    host: str = ""
    argv: Sequence[str] = ()


NOBODY = Runner()


class File(TypedDict):
    """A file as install_files takes it."""

    path: str
    state: NotRequired[str]
    content: NotRequired[str]
    secret: NotRequired[str]
    target: NotRequired[str]
    group: NotRequired[str]
    mode: NotRequired[str]
    validate: NotRequired[str]


def log_max_bytes(app: App, slot: Slot) -> int:
    """The size of one log file, so that all of an app fit into its budget: each process has a current and an old one, in both slots.

    One more is there while logrotate copies.
    """
    count = len(app["slots"][slot["name"]]["ports"]) + sum(slot["workers"].values())
    return int(min(LOG_FILE_MAX, app["log_budget"] // (4 * count + 1)))


def log_files(slot: Slot) -> list[str]:
    """What the processes of a slot print to; none when the journal has it."""
    names = [*map(str, slot["ports"]), *(f"{slot['name']}.{worker}" for worker in worker_names(slot))]
    return [f"{slot['logs']}/{name}.log" for name in names] if slot["logs"] else []


def rotation(app: App, slot: Slot, content: str) -> File:
    """How large the logs of a slot grow."""
    return {"path": slot["logrotate"], "content": content, "group": app["user"], "mode": "0640"}


def own_files(
    app: App, slot: Slot, release: Release, config: str, validate: str, secrets: Mapping[str, str], runner: Runner = NOBODY
) -> list[File]:
    """What a slot runs, with which secrets, and how it is supervised: ``config`` as rendered, ``validate`` the command that judges it."""
    return [
        {"path": slot["record"], "content": text(record(app, slot, release, runner)), "group": app["user"], "mode": "0640"},
        {"path": slot["secrets"], "secret": text(secrets), "group": app["user"], "mode": "0640"},
        {
            "path": slot["config"],
            "content": config,
            "validate": f"{validate} {app['config']} %s",
            "group": app["user"],
            "mode": "0640",
        },
    ]


def link(slot: Slot, release: Release) -> File:
    """The link to a slot's release."""
    return {"path": slot["cwd"], "state": "link", "target": f"{slot['releases']}/{release['release']}"}


def history(slot: Slot, content: Mapping[str, Any]) -> File:
    """What was live before a slot, for root alone."""
    return {"path": slot["history"], "content": text(content), "mode": "0600"}


def users(app: App, secret: str) -> File:
    """The users whom nginx lets in to an app, for its workers."""
    return {"path": app["htpasswd"], "secret": secret, "group": "www-data", "mode": "0640"}


def cookie(app: App, secret: str) -> File:
    """The cookie secret of the fleet, for root alone; processes find it among their other secrets."""
    return {"path": app["cookie_secret"], "secret": secret, "mode": "0600"}


def own_paths(slot: Slot) -> tuple[str, ...]:
    """The files that a slot has while it runs."""
    return slot["config"], slot["record"], slot["secrets"], slot["logrotate"]


def removals(slots: Iterable[Slot]) -> list[File]:
    """Nothing of these slots stays but the link, which says what they ran last."""
    return [{"path": path, "state": "absent"} for slot in slots for path in own_paths(slot)]


def stale_logs(apps: Apps, slots: Iterable[Slot], stride: int) -> list[str]:
    """The logs that these slots had, or the other slots before them, and that nothing of the plan writes to any more.

    An app with fewer processes than before, with other ports, or with the journal, would go beyond its budget with them. ``stride`` is the
    distance between the ports of blue and green.
    """
    found: list[str] = []
    for slot in slots:
        app = apps[slot["app"]]
        blue, green = (app["slots"][name]["ports"] for name in ("blue", "green"))
        distance = stride if slot["name"] == "blue" else -stride  # to the ports of the other slot
        ports = {port + step for port in slot["ports"] for step in (0, distance)} - (set() if app["journal"] else {*blue, *green})
        workers = [
            f"{name}.{kind}.{number}"
            for kind, had in slot["workers"].items()
            for number in range(1 if app["journal"] else app["scale"].get(kind, 1) + 1, had + 1)
            for name in ("blue", "green")
        ]
        found += [f"{app['logs']}/{name}.log{age}" for name in (*sorted(ports), *workers) for age in ("", ".1")]
    return found


def release_records(apps: Apps, releases: Mapping[str, Release]) -> list[File]:
    """Which environment each release needs, and what its Procfile says; for root alone."""
    keys = ("release", "environment", "python", "commands")
    return [
        {
            "path": f"{apps[name]['releases']}/{release['release']}.json",
            "content": text({key: release[key] for key in keys}),  # type: ignore[literal-required]
            "mode": "0600",
        }
        for name, release in releases.items()
    ]


def noted_ports(apps: Apps, noted: Mapping[str, int], absent: Iterable[str]) -> str:
    """The host's local fact: app -> its port, of all that are there, listed or not."""
    kept = {name: port for name, port in noted.items() if name not in absent}
    return text({**kept, **{name: app["port"] for name, app in apps.items()}})


def watchdog_settings(app: App) -> str:
    """What the watchdog of an app looks after, and how, for files/watchdog.py; no change of it touches a process."""
    # Who develops may stop at a breakpoint.
    liveness = {**app["liveness"], "interval": 0} if app["debug"] else app["liveness"]
    return text(
        {
            "flag": app["flag"],
            "slots": {name: {"group": slot["group"], "record": slot["record"]} for name, slot in app["slots"].items()},
            "state": app["watchdog"],
            "journal": f"{app['name']}-watchdog" if app["journal"] else "",
            "listen": app["listen"],
            "host": app["host"],
            "health": app["slots"]["blue"]["health"],
            "liveness": liveness,
            "memory_limit": app["memory_limit"],
            "stop_timeout": app["stop_timeout"],
        }
    )


def served(apps: Apps) -> Apps:
    """The apps that nginx serves: those with web processes."""
    return {name: app for name, app in apps.items() if app["processes"]}


def sites(apps: Apps) -> list[list[App]]:
    """The apps of each site, which share its server names and differ by path."""
    found: dict[frozenset[str], list[App]] = {}
    for app in served(apps).values():
        found.setdefault(frozenset(name.lower() for name in app["server_names"]), []).append(app)
    return list(found.values())


def nginx_absent(plan: Plan) -> list[str]:
    """What nginx's tree must not have: the default site, files of apps in the site of another one, and of apps that it does not serve.

    A certificate and its key go with the last site that uses them.
    """
    shared = [app["site_config"] for together in sites(plan["apps"]) for app in together[1:]]
    certificates = {app["tls"]["served"] for app in plan["apps"].values()}
    unused = [path for path in map(tls.served, plan["apps"]) if path not in certificates]
    unserved = [app for name, app in plan["apps"].items() if name not in served(plan["apps"])]
    own = [path for app in unserved for path in (app["site_config"], *(slot["upstream_config"] for slot in app["slots"].values()))]
    return ["sites-enabled/default", *shared, *unused, *own, *(path for app in plan["absent"].values() for path in app["nginx"])]


def record(app: App, slot: Slot, release: Release, runner: Runner = NOBODY) -> dict[str, Any]:
    """What a slot's processes run: the content of its record, for files/launch.py."""
    environment = f"{app['environments']}/{release['environment']}"
    # The shell reads the line and gives its place to the program, which env finds behind variables that the line begins with.
    commands = {kind: ["/bin/sh", "-uc", f"exec env {doubled(line)}"] for kind, line in release["commands"].items()}
    commands |= {"web": app["argv"]} if app["argv"] else {}
    if SINGLETONS in slot["workers"]:
        commands[SINGLETONS] = [doubled(part) for part in (*runner.argv, slot["record"])]
    reloader = [doubled(argument) for argument in app["reloader"]]
    return {
        "release": release["release"],
        "journal": slot["group"] if app["journal"] else "",
        "commands": {kind: argv if kind == "release" else [*reloader, *argv] for kind, argv in commands.items()},
        "python": f"{environment}/bin/python",
        "secrets": slot["secrets"],
        "addresses": slot["addresses"],
        **({"jobs": jobs(app, slot, runner.host)} if SINGLETONS in slot["workers"] else {}),
        **({"goodbye": slot["drain"]["signal"]} if slot["drain"]["signal"] else {}),
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


def jobs(app: App, slot: Slot, host: str) -> dict[str, Any]:
    """What one process of the fleet runs, and when: for files/singletons.py."""
    return {
        "app": app["name"],
        "host": host,
        "slot": slot["name"],
        "flag": app["flag"],
        "drained": DRAINED,
        "state": app["jobs"],
        "stop_timeout": app["stop_timeout"],
        "lease": LEASE,
        "redis": REDIS_URL in {*app["environment"], *app["secrets"]},
        "singletons": {name: shlex.split(command) for name, command in app["singletons"].items()},
        "cron": {name: {"schedule": cron["schedule"], "argv": shlex.split(cron["command"])} for name, cron in app["cron"].items()},
    }


def doubled(line: str) -> str:
    """A line without meaning for launch.py, which puts something in the place of braces."""
    return line.replace("{", "{{").replace("}", "}}")


def text(content: object) -> str:
    """JSON that a person can read."""
    return json.dumps(content, indent=4, sort_keys=True, ensure_ascii=False) + "\n"
