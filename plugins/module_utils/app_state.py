"""What a host has of an app: releases, slots, live processes as the kernel sees them."""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat
from pathlib import Path
from typing import cast

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App
from ansible_collections.tornado_app.deploy.plugins.module_utils.history import previous
from ansible_collections.tornado_app.deploy.plugins.module_utils.history import read as read_history
from ansible_collections.tornado_app.deploy.plugins.module_utils.modes import fits
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import connections, describe, families, listeners
from ansible_collections.tornado_app.deploy.plugins.module_utils.releases import names, record, whole_environments, with_environments
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import AppState, ProcessState, SlotState, SupervisordState
from ansible_collections.tornado_app.deploy.plugins.module_utils.supervisor import UNANSWERED, ProcessInfo, connect, processes
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import is_valid, valid

UNIT_DIRECTORIES = ("/usr/lib/systemd/system", "/lib/systemd/system")


def supervised(socket: str) -> tuple[int, list[ProcessInfo]]:
    """supervisord's process id (0 when it does not answer) and its processes."""
    try:
        supervisor = connect(socket)
        return supervisor.getPID(), processes(supervisor)
    except UNANSWERED:
        return 0, []


def process_state(info: ProcessInfo, families: dict[int, list[int]]) -> ProcessState:
    """One process: supervisord's word for its state, and what the kernel says of it."""
    kernel = describe(info["pid"]) if info["pid"] else None
    facts = kernel._asdict() if kernel else {"pid": 0, "nofile": 0, "uid": -1, "unit": "", "uptime": 0}
    port = {"port": int(info["name"]), "children": len(families.get(info["pid"], []))} if info["name"].isdigit() else {}
    return cast(ProcessState, {"name": f"{info['group']}:{info['name']}", **port, "state": info["statename"], **facts})


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
    link = Path(slot["cwd"])
    release = valid(Path(os.readlink(link)).name) if link.is_symlink() else ""
    known = families() if running else {}
    found = [process_state(info, known) for info in running if info["group"] == slot["group"]]
    own = [process for process in found if "port" in process]
    addresses = listens_on(Path(slot["record"])) or [f"127.0.0.1:{process['port']}" for process in own]
    return {
        "deployed": Path(slot["config"]).exists(),
        "release": release,
        "environment": record(releases / release)["environment"] if release else "",
        "processes": own,
        "workers": [process for process in found if "port" not in process],
        "addresses": addresses,
        "connections": sum(connections(addresses).values()) if own else 0,
        "sequence": read_history(Path(slot["history"]))["sequence"],
    }


def foreign_ports(app: App) -> dict[str, str]:
    """Ports of the plan on which another user's process listens."""
    tcp = (address for slot in app["slots"].values() for address in slot["addresses"] if not address.startswith("unix:"))
    ports = {int(address.rpartition(":")[2]) for address in tcp}
    return {str(port): holder for port, holder in listeners(ports, besides=user_id(app["user"])).items()}


def static_file(directory: Path) -> str:
    """The first static file by name, relative to its directory; of those whose names are valid text, and nginx serves."""
    found = (path.relative_to(directory) for path in sorted(directory.rglob("*")) if path.is_file())
    return next((str(path) for path in found if is_valid(str(path)) and not any(part.startswith(".") for part in path.parts)), "")


def user_id(user: str) -> int:
    """A user's id; -1 when there is no such user."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return -1


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


def app_state(app: App) -> AppState:
    """One app."""
    releases = Path(app["releases"])
    pid, running = supervised(app["socket"])
    supervisord = describe(pid) if pid else None
    if supervisord and supervisord.uid != user_id(app["user"]):  # the socket is the app's own, so is what it tells
        supervisord = None
    # A fresh host begins with green live, with nothing in it, so that the first release goes to blue: the port that the settings name.
    fresh = not any(os.path.lexists(path) for slot in app["slots"].values() for path in (slot["cwd"], slot["config"]))
    live = "green" if fresh or Path(app["flag"]).exists() else "blue"
    slots = {slot["name"]: slot_state(slot, releases, running) for slot in app["slots"].values()}
    present = with_environments(releases, Path(app["environments"]))
    history = read_history(Path(app["slots"][live]["history"]))
    units = (Path(directory) / app["unit"] for directory in UNIT_DIRECTORIES)
    return {
        "foreign_user": foreign_user(app),
        "foreign_group": foreign_group(app),
        "foreign_unit": next((str(path) for path in units if path.exists()), ""),
        "live": live,
        "foreign_paths": foreign_paths(app),
        "fresh": fresh,
        "flagged": Path(app["flag"]).exists(),
        "provisioned": all(Path(path).exists() for path in (*(entry["path"] for entry in app["directories"]), app["unit_file"])),
        "supervisord": cast(SupervisordState, supervisord._asdict()) if supervisord else None,
        "sockets": Path(app["sockets"]).is_dir() and bool(Path(app["run"]).stat().st_mode & stat.S_IXOTH),
        "slots": slots,
        "environments": whole_environments(Path(app["environments"])),
        "releases": present,
        "records": {name: record(releases / name) for name in names(releases)},
        "wrong_modes": wrong_modes(app),
        "history": history["releases"],
        "previous": previous(history, slots[live]["release"], [name for name, environment in present.items() if environment]),
        "foreign_ports": foreign_ports(app),
        "static_file": static_file(Path(app["slots"][live]["cwd"]) / app["static"]) if app["static"] else "",
    }
