"""What a host has of an app: releases, slots, live processes as the kernel sees them."""

from __future__ import annotations

import grp
import json
import os
import pwd
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple, cast

from ansible_collections.tornado_app.deploy.plugins.module_utils import jobs, watchdog
from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App
from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import state as tls_state
from ansible_collections.tornado_app.deploy.plugins.module_utils.history import previous
from ansible_collections.tornado_app.deploy.plugins.module_utils.history import read as read_history
from ansible_collections.tornado_app.deploy.plugins.module_utils.memory import used
from ansible_collections.tornado_app.deploy.plugins.module_utils.modes import fits
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import Process, connections, families, listeners
from ansible_collections.tornado_app.deploy.plugins.module_utils.releases import names, record, whole_environments, with_environments
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import (
    AppState,
    ProcessState,
    SlotState,
    SupervisordState,
    WatchdogState,
)
from ansible_collections.tornado_app.deploy.plugins.module_utils.static_store import SUFFIXES, digests, marks
from ansible_collections.tornado_app.deploy.plugins.module_utils.supervisor import UNANSWERED, ProcessInfo, Supervisor
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import is_valid, valid
from ansible_collections.tornado_app.deploy.plugins.module_utils.untrusted import UntrustedError
from ansible_collections.tornado_app.deploy.plugins.module_utils.users import user_id

UNIT_DIRECTORIES = ("/usr/lib/systemd/system", "/lib/systemd/system")
READ_AT_ONCE = 1_000_000  # bytes
PATIENCE = 5.0  # seconds for the answer of a supervisord: a look is for all apps of the host


class Supervised(NamedTuple):
    """What an app's supervisord answers: its own process, None when it does not; its processes; what of it cannot be believed."""

    supervisord: Process | None
    processes: list[ProcessInfo]
    untrusted: list[str]


def supervised(app: App) -> Supervised:
    """Ask the supervisord of an app."""
    supervisor = Supervisor(app["socket"], app["user"], app["unit"], PATIENCE)
    try:
        found, strange = supervisor.processes({watchdog.GROUP, *(slot["group"] for slot in app["slots"].values())})
    except UntrustedError as problem:
        return Supervised(None, [], [str(problem)])
    except UNANSWERED:
        return Supervised(None, [], [])
    process = supervisor.process()
    return Supervised(process, found, [*strange, *([] if process else [f"who answers is not of {app['unit']}"])])


def all_supervised(apps: Mapping[str, App]) -> dict[str, Supervised]:
    """Ask the supervisords of all apps at the same time: one that does not answer costs the others nothing."""
    with ThreadPoolExecutor(max_workers=max(1, len(apps))) as pool:
        return dict(zip(apps, pool.map(supervised, apps.values())))


def process_state(info: ProcessInfo, families: dict[int, list[int]]) -> ProcessState:
    """One process: supervisord's word for its state, and what the kernel says of it."""
    facts = info.kernel._asdict() if info.kernel else {"pid": 0, "nofile": 0, "uid": -1, "unit": "", "uptime": 0}
    port = {"port": int(info.name), "children": len(families.get(info.pid, []) if info.kernel else [])} if info.name.isdigit() else {}
    return cast(ProcessState, {"name": f"{info.group}:{info.name}", **port, "state": info.statename, **facts})


def foreign_paths(app: App) -> list[str]:
    """What is there under the app's name though the role has not made its user yet: directories of the system, most likely."""
    if user_id(app["user"]) != -1:
        return []
    return [path for path in (app["home"], app["etc"], app["logs"], app["run"], app["unit_file"]) if os.path.lexists(path)]


def listens_on(record: Path) -> list[str]:
    """Where the processes of a slot listen, by what it was started with; nothing when that does not say it."""
    try:
        return [str(address) for address in json.loads(record.read_text(encoding="utf-8"))["addresses"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def slot_state(slot: Slot, releases: Path, running: list[ProcessInfo]) -> SlotState:
    """One slot."""
    owner = user_id(slot["user"])
    link = Path(slot["cwd"])
    release = valid(Path(os.readlink(link)).name) if link.is_symlink() else ""
    known = families() if running else {}
    found = [process_state(info, known) for info in running if info.group == slot["group"]]
    own = [process for process in found if "port" in process]
    addresses = listens_on(Path(slot["record"])) or [f"127.0.0.1:{process['port']}" for process in own]
    return {
        "deployed": Path(slot["config"]).exists(),
        "release": release,
        "environment": record(releases / release)["environment"] if release else "",
        "processes": own,
        "workers": [process for process in found if "port" not in process],
        "addresses": addresses,
        "connections": sum(connections(dict.fromkeys(addresses, owner)).values()) if own else 0,
        "memory": used((process["pid"] for process in found if process["pid"]), known, owner, slot["unit"]),
        "sequence": read_history(Path(slot["history"]))["sequence"],
    }


def outdated(unit_file: Path, supervisord: Process | None) -> str:
    """When supervisord was started (UTC), where its unit has changed since; else empty. What installs a unit writes only what differs."""
    try:
        changed = os.lstat(unit_file).st_mtime
    except OSError:
        return ""
    started = time.time() - supervisord.uptime if supervisord else changed
    return moment(started) if changed > started else ""


def there_since(path: Path) -> str:
    """Since when (UTC) a flag file is there; empty when it is not."""
    try:
        return moment(os.lstat(path).st_mtime)
    except OSError:
        return ""


def moment(seconds: float) -> str:
    """Seconds since 1970 as UTC."""
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def watchdog_state(app: App, running: list[ProcessInfo]) -> WatchdogState:
    """The watchdog, by what supervisord says of it, and what it says itself of the other processes."""
    names = {f"{info.group}:{info.name}" for info in running}
    state = next((info.statename for info in running if info.group == watchdog.GROUP), "")
    return {"state": state, "processes": watchdog.read(app["watchdog"], app["user"], names)}


def foreign_ports(app: App) -> dict[str, str]:
    """Ports of the plan on which another user's process listens."""
    tcp = (address for slot in app["slots"].values() for address in slot["addresses"] if not address.startswith("unix:"))
    ports = {int(address.rpartition(":")[2]) for address in tcp}
    return {str(port): holder for port, holder in listeners(ports, besides=user_id(app["user"])).items()}


def static_file(directory: Path) -> str:
    """The first static file by name, relative to its directory; of those whose names are valid text, nginx serves, and are read at once.

    What may be another file compressed has no version of its own.
    """
    files = (path for path in sorted(directory.rglob("*")) if path.is_file() and path.stat().st_size <= READ_AT_ONCE)
    found = (path.relative_to(directory) for path in files if path.suffix not in SUFFIXES)
    return next((str(path) for path in found if is_valid(str(path)) and not any(part.startswith(".") for part in path.parts)), "")


def foreign_user(app: App) -> bool:
    """Whether there is a user of the app's name that the role did not make."""
    try:
        return pwd.getpwnam(app["user"]).pw_dir != str(app["home"])
    except KeyError:
        return False


def foreign_group(app: App) -> bool:
    """Whether there is a group of the app's name that the role did not make with its user: the app would have the group's rights."""
    group = group_id(app["user"])
    return group != -1 and not any(user.pw_name == app["user"] and user.pw_gid == group for user in pwd.getpwall())


def group_id(group: str) -> int:
    """A group's id; -1 when there is no such group."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return -1


def wrong_modes(app: App) -> list[str]:
    """The releases that others can read, or nginx cannot, and the files beside them and of histories that not root alone can."""
    releases, group = Path(app["releases"]), group_id(app["user"])
    files = [*sorted(releases.glob("*.json")), *(Path(slot["history"]) for slot in app["slots"].values())]
    found = [*(releases / name for name in names(releases)), *(path for path in files if path.is_file() and is_valid(path.name))]
    return [str(path) for path in found if not fits(str(path), app["static"], group)]


def app_state(app: App, answer: Supervised) -> AppState:
    """One app, of which supervisord has answered this."""
    releases, supervisord = Path(app["releases"]), answer.supervisord
    # A fresh host begins with green live, with nothing in it, so that the first release goes to blue: the port that the settings name.
    fresh = not any(os.path.lexists(path) for slot in app["slots"].values() for path in (slot["cwd"], slot["config"]))
    live = "green" if fresh or Path(app["flag"]).exists() else "blue"
    slots = {slot["name"]: slot_state(slot, releases, answer.processes) for slot in app["slots"].values()}
    present = with_environments(releases, Path(app["environments"]))
    history = read_history(Path(app["slots"][live]["history"]))
    static = Path(app["slots"][live]["cwd"]) / app["static"]
    file = static_file(static) if app["static"] else ""
    units = (Path(directory) / app["unit"] for directory in UNIT_DIRECTORIES)
    return {
        "foreign_user": foreign_user(app),
        "foreign_group": foreign_group(app),
        "foreign_unit": next((str(path) for path in units if path.exists()), ""),
        "live": live,
        "missing_paths": [path for path in (*app["sandbox"]["devices"], *app["sandbox"]["writable"]) if not os.path.exists(path)],
        "foreign_paths": foreign_paths(app),
        "fresh": fresh,
        "flagged": Path(app["flag"]).exists(),
        "provisioned": all(Path(path).exists() for path in (*(entry["path"] for entry in app["directories"]), app["unit_file"])),
        "supervisord": cast(SupervisordState, supervisord._asdict()) if supervisord else None,
        "untrusted": answer.untrusted,
        "outdated": outdated(Path(app["unit_file"]), supervisord),
        "maintenance": there_since(Path(app["maintenance_flag"])),
        "watchdog": watchdog_state(app, answer.processes),
        "slots": slots,
        "environments": whole_environments(Path(app["environments"])),
        "releases": present,
        "records": {name: record(releases / name) for name in names(releases)},
        "wrong_modes": wrong_modes(app),
        "history": history["releases"],
        "previous": previous(history, slots[live]["release"], [name for name, environment in present.items() if environment]),
        "foreign_ports": foreign_ports(app),
        "static_file": file,
        "static_digest": digests(str(static / file))[0] if file else "",
        "assets": marks(app["assets"]),
        "tls": tls_state(app["name"], app["tls"]["source"], Path(app["slots"][live]["certificate"])) if app["tls"]["source"] else None,
        "jobs": jobs.state(app, slots[live]["workers"]) if app["singletons"] or app["cron"] else None,
    }
