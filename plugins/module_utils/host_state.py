"""What is a host's own, as the kernel and the file system say."""

from __future__ import annotations

import pwd
import re
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import cast

from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import mark
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import read as read_lock
from ansible_collections.tornado_app.deploy.plugins.module_utils.memory import available
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import PROC, describe, listeners, nginx_workers
from ansible_collections.tornado_app.deploy.plugins.module_utils.releases import whole_environments
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import HostState, Site, SupervisordState
from ansible_collections.tornado_app.deploy.plugins.module_utils.things import missing_packages, output

SYSCTLS = (
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "fs.file-max",
    "fs.nr_open",
)
DRAINED = "/var/lib/tornado_app/drained"  # the flag file that nginx looks at for balancers
UNIT = re.compile(r"^Description=Tornado app (\S+) \(supervisord", re.MULTILINE)


def nofile_ceiling(proc: Path = PROC) -> tuple[int, bool]:
    """What systemd can give a service: (number of files, whether root can raise it on this host).

    The hard limit of process 1 holds where the capability to raise it is missing (containers); else fs.nr_open does.
    """
    limits = (proc / "1" / "limits").read_text()
    status = (proc / "1" / "status").read_text()
    hard = re.search(r"^Max open files\s+\S+\s+(\d+)", limits, re.MULTILINE)
    bounding = re.search(r"^CapBnd:\s+([0-9a-f]+)", status, re.MULTILINE)
    cap_sys_resource = bool(bounding and int(bounding.group(1), 16) & (1 << 24))
    nr_open = int((proc / "sys" / "fs" / "nr_open").read_text())
    if cap_sys_resource:
        return nr_open, True
    return min(nr_open, int(hard.group(1)) if hard else nr_open), False


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


def sites(apps: list[str]) -> list[Site]:
    """The names that nginx serves for each of these apps that has a file of its own, and all apps that it serves by these names."""
    found: list[Site] = []
    for path in (Path("/etc/nginx/conf.d") / f"{app}.conf" for app in apps):
        content = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        names = re.findall(r"^ *server_name (.*);$", content, re.MULTILINE)
        served = re.findall(r"^log_format tornado_app_(\S+) ", content, re.MULTILINE)
        found.append({"server_names": " ".join(names).split(), "apps": served})
    return found


def pythons() -> dict[str, str]:
    """Version -> path of the interpreters that lie where a host's administrator or distribution puts them."""
    found = [path for directory in ("/usr/bin", "/usr/local/bin") for path in Path(directory).glob("python3.*")]
    versions = {path.name[len("python") :]: str(path) for path in found if re.fullmatch(r"python3\.\d+", path.name)}
    return dict(sorted(versions.items(), key=lambda item: int(item[0][2:])))


def worker_states() -> list[SupervisordState]:
    """The worker processes that accept connections."""
    try:
        master = int(Path("/run/nginx.pid").read_text())
    except (OSError, ValueError):
        return []
    return [cast(SupervisordState, worker._asdict()) for worker in map(describe, nginx_workers(master)) if worker]


def sysctls() -> dict[str, str]:
    """The kernel settings that the role may raise, those that this host has."""
    found = {}
    for key in SYSCTLS:
        path = Path("/proc/sys") / key.replace(".", "/")
        if path.exists():
            found[key] = " ".join(path.read_text().split())
    return found


def sysctl_file(path: Path) -> dict[str, str]:
    """The kernel settings that a file of sysctl.d sets."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=")[::2] for line in lines if "=" in line and not line.lstrip().startswith(("#", ";")))
    return {key.strip(): " ".join(value.split()) for key, value in pairs}


def http_holder(port: int) -> str:
    """Who listens on a port of nginx's; a process that is not root's may have nginx's name."""
    stranger = listeners({port}, besides=0).get(port)
    return f"another user's {stranger}" if stranger else listeners({port}).get(port, "")


def drained(flag: Path) -> str:
    """Since when the host wants no requests, UTC; empty when it wants them."""
    try:
        return f"{datetime.fromtimestamp(flag.lstat().st_mtime, timezone.utc):%Y-%m-%d %H:%M:%S}"
    except OSError:
        return ""


def host_state(lock: Path) -> HostState:
    """The part of the result that no app owns."""
    ceiling, raisable = nofile_ceiling()
    version = re.search(r"nginx/([\d.]+)", output("/usr/sbin/nginx", "-v"))
    python = re.search(r"Python (\d+\.\d+)", output("/usr/bin/python3", "--version"))
    default = python.group(1) if python else ""
    units = installed_units()
    changes = mark(lock)  # before the lock is read: a change in between is one
    return {
        "python": default,
        "pythons": {**pythons(), **({default: "/usr/bin/python3"} if default else {})},
        "nginx_version": version.group(1) if version else "",
        "nginx": worker_states(),
        "python_apt": not missing_packages(["python3-apt"]),
        "nofile_ceiling": ceiling,
        "nofile_raisable": raisable,
        "sysctls": sysctls(),
        "sysctl_file": sysctl_file(Path("/etc/sysctl.d/10-tornado_app.conf")),
        "environments": whole_environments(Path("/opt/tornado_app/environments")),
        "units": units,
        "begun": sorted({*units, *begun_apps()}),
        "sites": sites(units),
        "users": installed_users(),
        "port_80": http_holder(80),
        "port_443": http_holder(443),
        "free_bytes": shutil.disk_usage(nearest(Path("/srv"))).free,
        "memory": available(),
        "drained": drained(Path(DRAINED)),
        "lock_mark": changes,
        "lock": read_lock(lock),
    }
