#!/usr/bin/python
"""Ansible module: read what of the apps is on a host and running there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_facts
short_description: Read what of the apps is on a host and running there
description:
  - Reads the state of a host for a plan (see P(tornado_app.deploy.plan#filter)), live processes as the kernel sees them, and
    changes nothing.
  - What a later step does follows from this, never from what an earlier run did.
options:
  plan:
    description: The plan of the host.
    type: dict
    required: true
  packages:
    description: Distribution packages whose presence is looked up.
    type: list
    elements: str
    default: []
  lock:
    description: The lock file of M(tornado_app.deploy.fleet_lock).
    type: path
    default: /run/tornado_app/lock
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Read what is on the host
  tornado_app.deploy.app_facts:
    plan: "{{ __tornado_app_plan }}"
  register: __tornado_app_facts
"""

RETURN = r"""
host:
  description: What is the host's own.
  type: dict
  returned: always
  contains:
    python: {description: Version of C(/usr/bin/python3), major and minor., type: str, sample: "3.11"}
    pythons: {description: "Version of Python to its path, of those that the host has.", type: dict, sample: {"3.11": /usr/bin/python3}}
    nginx_version: {description: Version of the installed nginx; empty when there is none., type: str, sample: 1.22.1}
    nginx: {description: nginx's workers that take requests. Each with pid nofile uid unit and uptime., type: list, elements: dict}
    missing_packages: {description: Those of O(packages) that are not installed., type: list, elements: str}
    python_apt: {description: Whether Ansible's apt module can work in check mode., type: bool}
    nofile_ceiling: {description: Open files that systemd can give a service now., type: int}
    nofile_raisable: {description: Whether root can raise that ceiling., type: bool}
    sysctls: {description: Kernel settings as text., type: dict}
    environments: {description: Digests of the environments of supervisord that are whole., type: list, elements: str}
    units: {description: The apps whose units the role has installed., type: list, elements: str}
    begun: {description: "The same, and those that it was cut short before.", type: list, elements: str}
    sites:
      description: Of the apps that have a file of nginx, its C(server_names), and the C(apps) that are served by them.
      type: list
      elements: dict
    users: {description: The apps whose users the role has made., type: list, elements: str}
    port_80: {description: Who listens on port 80; empty when nobody does., type: str, sample: nginx (pid 812)}
    free_bytes: {description: Free space where the apps live., type: int}
    lock: {description: Who changes the host just now (see M(tornado_app.deploy.fleet_lock)); empty when nobody does., type: dict}
apps:
  description: One entry an app.
  type: dict
  returned: always
  contains:
    foreign_user: {description: Whether the user was there before the role made it., type: bool}
    foreign_unit: {description: Path of a unit of that name that the distribution ships; empty when there is none., type: str}
    foreign_paths: {description: Paths of the app that were there before the role made its user., type: list, elements: str}
    fresh: {description: Whether nothing was ever deployed., type: bool}
    provisioned: {description: Whether the app's directories and its unit are there., type: bool}
    unprepared: {description: The directories that are not there or have another owner group or mode., type: list, elements: str}
    live: {description: The slot that nginx sends new requests to., type: str}
    needs_reload: {description: Whether systemd has not read the unit's newest form., type: bool}
    supervisord: {description: The running supervisord (pid nofile uid unit uptime) or none., type: dict}
    slots:
      description: One entry a slot.
      type: dict
      contains:
        deployed: {description: Whether the slot's configuration is there., type: bool}
        release: {description: Its release; empty when it has none., type: str}
        environment: {description: Digest of its release's environment; empty when it has none., type: str}
        processes:
          description: Its web processes. Each with name port children state pid nofile uid unit and uptime.
          type: list
          elements: dict
        workers: {description: Its other processes. Each with name state pid nofile uid unit uptime., type: list, elements: dict}
        addresses: {description: Where its web processes listen., type: list, elements: str}
        connections: {description: Established connections to its processes., type: int}
        sequence: {description: The higher the later the slot was filled; 0 when it never was., type: int}
    environments: {description: Digests of the environments that are whole., type: list, elements: str}
    releases: {description: "Release on the host to the digest of its environment; empty when that is not whole.", type: dict}
    records: {description: "Release on the host to what is noted of it: environment, python and commands.", type: dict}
    history: {description: "What was live, latest first. Each with release at by version commit run withdrawn.", type: list, elements: dict}
    previous: {description: What a rollback goes to; empty when there is nothing., type: str}
    foreign_ports: {description: Port (text) to another user's process that listens on it., type: dict}
    static_file: {description: One static file of the live slot; empty when there is none., type: str}
"""

import grp
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.history import previous
from ansible_collections.tornado_app.deploy.plugins.module_utils.history import read as read_history
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import read as read_lock
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import (
    connections,
    describe,
    families,
    listeners,
    nginx_workers,
    nofile_ceiling,
)
from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule
from ansible_collections.tornado_app.deploy.plugins.module_utils.releases import names, record, whole_environments, with_environments
from ansible_collections.tornado_app.deploy.plugins.module_utils.supervisor import UNANSWERED, connect, processes

SYSCTLS = (
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "fs.file-max",
    "fs.nr_open",
)
UNIT = re.compile(r"^Description=Tornado app (\S+) \(supervisord", re.MULTILINE)
UNIT_DIRECTORIES = ("/usr/lib/systemd/system", "/lib/systemd/system")


def output(*command: str) -> str:
    """What a command prints on both streams; empty when it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    except OSError:
        return ""
    return done.stdout + done.stderr


def nearest(path: Path) -> Path:
    """The path or the first directory above it that exists."""
    return next(parent for parent in (path, *path.parents) if parent.exists())


def begun_apps() -> list[str]:
    """The apps that the role has made a user and a directory for, and may have been cut short before their unit."""
    return [user for user in installed_users() if Path(f"/etc/{user}").is_dir()]


def installed_units() -> list[str]:
    """The apps of which the role has installed the unit."""
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in Path("/etc/systemd/system").glob("*.service") if path.is_file())
    return sorted({found[1] for found in map(UNIT.search, texts) if found})


def installed_users() -> list[str]:
    """The apps whose users the role has made."""
    return sorted(user.pw_name for user in pwd.getpwall() if user.pw_gecos == f"Tornado app {user.pw_name}")


def sites(apps: list[str]) -> list[dict[str, list[str]]]:
    """The names that nginx serves for each of these apps that has a file of its own, and all apps that it serves by these names."""
    found = []
    for path in (Path("/etc/nginx/conf.d") / f"{app}.conf" for app in apps):
        content = path.read_text(encoding="utf-8") if path.is_file() else ""
        names = re.findall(r"^ *server_name (.*);$", content, re.MULTILINE)
        served = re.findall(r"^log_format tornado_app_(\S+) ", content, re.MULTILINE)
        found.append({"server_names": " ".join(names).split(), "apps": served})
    return found


def pythons() -> dict[str, str]:
    """Version -> path of the interpreters that lie where a host's administrator or distribution puts them."""
    found = [path for directory in ("/usr/bin", "/usr/local/bin") for path in Path(directory).glob("python3.*")]
    versions = {path.name[len("python") :]: str(path) for path in found if re.fullmatch(r"python3\.\d+", path.name)}
    return dict(sorted(versions.items(), key=lambda item: int(item[0][2:])))


def nginx_facts() -> list[dict[str, Any]]:
    """The worker processes that accept connections."""
    try:
        master = int(Path("/run/nginx.pid").read_text())
    except (OSError, ValueError):
        return []
    return [worker._asdict() for worker in map(describe, nginx_workers(master)) if worker]


def missing_packages(packages: list[str]) -> list[str]:
    """Those of the packages that dpkg does not have installed."""
    known = output("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages) if packages else ""
    installed = {line.split()[0] for line in known.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def sysctls() -> dict[str, str]:
    """The kernel settings that the role may raise, those that this host has."""
    found = {}
    for key in SYSCTLS:
        path = Path("/proc/sys") / key.replace(".", "/")
        if path.exists():
            found[key] = " ".join(path.read_text().split())
    return found


def host_facts(packages: list[str], lock: str) -> dict[str, Any]:
    """The part of the result that no app owns."""
    ceiling, raisable = nofile_ceiling()
    version = re.search(r"nginx/([\d.]+)", output("/usr/sbin/nginx", "-v"))
    python = re.search(r"Python (\d+\.\d+)", output("/usr/bin/python3", "--version"))
    default = python.group(1) if python else ""
    missing = missing_packages([*packages, "python3-apt"])
    units = installed_units()
    return {
        "python": default,
        "pythons": {**pythons(), **({default: "/usr/bin/python3"} if default else {})},
        "nginx_version": version.group(1) if version else "",
        "nginx": nginx_facts(),
        "missing_packages": [package for package in missing if package in packages],
        "python_apt": "python3-apt" not in missing,
        "nofile_ceiling": ceiling,
        "nofile_raisable": raisable,
        "sysctls": sysctls(),
        "environments": whole_environments(Path("/opt/tornado_app/environments")),
        "units": units,
        "begun": sorted({*units, *begun_apps()}),
        "sites": sites(units),
        "users": installed_users(),
        "port_80": listeners({80}).get(80, ""),
        "free_bytes": shutil.disk_usage(nearest(Path("/srv"))).free,
        "lock": read_lock(Path(lock)),
    }


def supervised(socket: str) -> tuple[int, list[dict[str, Any]]]:
    """supervisord's process id (0 when it does not answer) and its processes."""
    try:
        supervisor = connect(socket)
        return supervisor.getPID(), processes(supervisor)
    except UNANSWERED:
        return 0, []


def process_facts(info: dict[str, Any], families: dict[int, list[int]]) -> dict[str, Any]:
    """One process: supervisord's word for its state, and what the kernel says of it."""
    kernel = describe(info["pid"]) if info["pid"] else None
    facts = kernel._asdict() if kernel else {"pid": 0, "nofile": 0, "uid": -1, "unit": "", "uptime": 0}
    port = {"port": int(info["name"]), "children": len(families.get(info["pid"], []))} if info["name"].isdigit() else {}
    return {"name": f"{info['group']}:{info['name']}", **port, "state": info["statename"], **facts}


def foreign_paths(app: dict[str, Any]) -> list[str]:
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


def slot_facts(slot: dict[str, Any], releases: Path, running: list[dict[str, Any]]) -> dict[str, Any]:
    """One slot."""
    link = Path(slot["cwd"])
    release = Path(os.readlink(link)).name if link.is_symlink() else ""
    known = families() if running else {}
    found = [process_facts(info, known) for info in running if info["group"] == slot["group"]]
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


def foreign_ports(app: dict[str, Any]) -> dict[str, str]:
    """Ports of the plan on which another user's process listens."""
    tcp = (address for slot in app["slots"].values() for address in slot["addresses"] if not address.startswith("unix:"))
    ports = {int(address.rpartition(":")[2]) for address in tcp}
    return {str(port): holder for port, holder in listeners(ports, besides=user_id(app["user"])).items()}


def static_file(directory: Path) -> str:
    """The first static file by name, relative to its directory."""
    return next((str(path.relative_to(directory)) for path in sorted(directory.rglob("*")) if path.is_file()), "")


def is_prepared(directory: dict[str, Any]) -> bool:
    """Whether a directory of the plan is there, with its owner, group and mode."""
    try:
        found = os.lstat(directory["path"])
        owners = (pwd.getpwnam(directory["owner"]).pw_uid, grp.getgrnam(directory["group"]).gr_gid)
    except (OSError, KeyError):
        return False
    return (found.st_mode, found.st_uid, found.st_gid) == (stat.S_IFDIR | int(directory["mode"], 8), *owners)


def user_id(user: str) -> int:
    """A user's id; -1 when there is no such user."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return -1


def foreign_user(app: dict[str, Any]) -> bool:
    """Whether there is a user of the app's name that the role did not make."""
    try:
        return pwd.getpwnam(app["user"]).pw_dir != str(app["home"])
    except KeyError:
        return False


def app_facts(app: dict[str, Any]) -> dict[str, Any]:
    """One app."""
    releases = Path(app["releases"])
    pid, running = supervised(app["socket"])
    supervisord = describe(pid) if pid else None
    if supervisord and supervisord.uid != user_id(app["user"]):  # the socket is the app's own, so is what it tells
        supervisord = None
    # A fresh host begins with green live, with nothing in it, so that the first release goes to blue: the port that the settings name.
    fresh = not any(os.path.lexists(path) for slot in app["slots"].values() for path in (slot["cwd"], slot["config"]))
    live = "green" if fresh or Path(app["flag"]).exists() else "blue"
    slots = {slot["name"]: slot_facts(slot, releases, running) for slot in app["slots"].values()}
    present = with_environments(releases, Path(app["environments"]))
    history = read_history(Path(app["slots"][live]["history"]))
    units = (Path(directory) / app["unit"] for directory in UNIT_DIRECTORIES)
    return {
        "foreign_user": foreign_user(app),
        "foreign_unit": next((str(path) for path in units if path.exists()), ""),
        "live": live,
        "foreign_paths": foreign_paths(app),
        "fresh": fresh,
        "provisioned": all(Path(path).exists() for path in (*(entry["path"] for entry in app["directories"]), app["unit_file"])),
        "unprepared": [directory["path"] for directory in app["directories"] if not is_prepared(directory)],
        "needs_reload": "NeedDaemonReload=yes" in output("systemctl", "show", "--property=NeedDaemonReload", app["unit"]),
        "supervisord": supervisord._asdict() if supervisord else None,
        "sockets": Path(app["sockets"]).is_dir() and bool(Path(app["run"]).stat().st_mode & stat.S_IXOTH),
        "slots": slots,
        "environments": whole_environments(Path(app["environments"])),
        "releases": present,
        "records": {name: record(releases / name) for name in names(releases)},
        "history": history["releases"],
        "previous": previous(history, slots[live]["release"], [name for name, environment in present.items() if environment]),
        "foreign_ports": foreign_ports(app),
        "static_file": static_file(Path(app["slots"][live]["cwd"]) / app["static"]) if app["static"] else "",
    }


def main() -> None:
    """Run the module."""
    module = QuietModule(
        argument_spec={
            "plan": {"type": "dict", "required": True},
            "packages": {"type": "list", "elements": "str", "default": []},
            "lock": {"type": "path", "default": "/run/tornado_app/lock"},
        },
        supports_check_mode=True,
    )
    plan = module.params["plan"]
    module.exit_json(
        changed=False,
        host=host_facts(module.params["packages"], module.params["lock"]),
        apps={key: app_facts(app) for key, app in plan.items()},
    )


if __name__ == "__main__":
    main()
