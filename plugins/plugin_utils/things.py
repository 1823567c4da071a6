"""What a host is to have, thing by thing, for the module state_info to compare; and what of the plan only the controller can compare."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import TypedDict, cast

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx import OWN_FILES
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Difference, State
from ansible_collections.tornado_app.deploy.plugins.module_utils.things import Thing
from ansible_collections.tornado_app.deploy.plugins.module_utils.watchdog import AT_WORK
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.files import File, served, sites, users
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.tls import NGINX_ROOT

SHOWN = 30  # differences; on a fresh host nearly everything is one
FACT = "/etc/ansible/facts.d/tornado_app.fact"


class StaticFile(TypedDict):
    """A static file, as its URL has it: its path below /static/, and its version."""

    path: str
    version: str


def file(kind: str, name: str, planned: File) -> Thing:
    """A file of root's."""
    digest = hashlib.sha256(planned["content"].encode()).hexdigest()
    return {
        "kind": kind,
        "name": name,
        "check": "file",
        "path": planned["path"],
        "sha256": digest,
        "owner": "root",
        "group": planned.get("group", "root"),
        "mode": planned.get("mode", "0644"),
    }


def directory(path: str, owner: str, group: str, mode: str) -> Thing:
    """A directory."""
    return {"kind": "directory", "name": path, "check": "directory", "path": path, "owner": owner, "group": group, "mode": mode}


def base(packages: Iterable[str], root: str) -> list[Thing]:
    """What a host is to have whatever its apps are."""
    directories = (root, "/var/lib/tornado_app", "/etc/ansible/facts.d", "/etc/needrestart", "/etc/needrestart/conf.d")
    return [
        *(Thing(kind="package", name=name, check="package") for name in packages),
        *(directory(path, "root", "root", "0755") for path in directories),
        *(Thing(kind="service", name=unit, check="service", unit=unit) for unit in ("nginx.service", "logrotate.timer")),
    ]


def of_apps(apps: Apps) -> Iterator[Thing]:
    """What a host is to have of each app, but files with content."""
    for name, app in apps.items():
        home, comment = app["home"], f"Tornado app {name}"
        yield {"kind": "user", "name": app["user"], "check": "user", "home": home, "shell": "/usr/sbin/nologin", "comment": comment}
        for own in (*app["directories"], *app["runtime_directories"]):
            yield directory(own["path"], own["owner"], own["group"], own["mode"])
        if app["basic_auth"] or app["tls"]["source"]:
            yield directory(f"{NGINX_ROOT}/{OWN_FILES}", "root", "root", "0755")
        if name in served(apps):
            yield {"kind": "access_log", "name": name, "check": "private", "path": app["access_log"]}
        yield {"kind": "reload", "name": name, "check": "reload", "unit": app["unit"]}
        yield {"kind": "unit", "name": name, "check": "service", "unit": app["unit"]}
        for unit in (app["timer"], f"{PurePosixPath(app['timer']).stem}.service"):
            yield {"kind": "rotation", "name": name, "check": "reload", "unit": unit}
        yield {"kind": "rotation", "name": name, "check": "service", "unit": app["timer"]}


def certificates(apps: Apps, digests: Mapping[str, str]) -> Iterator[Thing]:
    """The files that nginx has certificates and their keys in; ``digests`` has those of the controller's certificates, as far as known."""
    for app in (together[0] for together in sites(apps) if together[0]["tls"]["source"]):
        path = app["tls"]["served"]
        found = {"kind": "nginx", "name": path, "check": "certificate", "path": f"{NGINX_ROOT}/{path}"}
        thing = cast(Thing, {**found, "owner": "root", "group": "root", "mode": "0600"})
        if app["tls"]["source"] == "self_signed":
            thing["names"] = app["tls"]["names"]
        elif app["name"] in digests:
            thing["sha256"] = digests[app["name"]]
        yield thing


def nginx(files: Mapping[str, str], lines: Mapping[str, str], absent: Iterable[str]) -> Iterator[Thing]:
    """nginx's files, by their paths in its tree: with content, those that only have to have a line, and those that must not be there."""
    for path, content in files.items():
        yield file("nginx", path, {"path": f"{NGINX_ROOT}/{path}", "content": content})
    for path, line in lines.items():
        yield {"kind": "nginx", "name": path, "check": "line", "path": f"{NGINX_ROOT}/{path}", "line": line}
    for path in absent:
        yield {"kind": "nginx", "name": path, "check": "absent", "path": f"{NGINX_ROOT}/{path}"}
    yield {"kind": "nginx", "name": "nginx.conf", "check": "loaded", "path": NGINX_ROOT}


def htpasswd(apps: Apps, contents: Mapping[str, str]) -> Iterator[Thing]:
    """The files of the users whom nginx lets in: app -> content, of those that have users; others are to have none."""
    for name, app in apps.items():
        if name in contents:
            yield file("htpasswd", name, {**users(app, contents[name]), "content": contents[name]})
        else:
            yield {"kind": "htpasswd", "name": name, "check": "absent", "path": app["htpasswd"]}


def compared(apps: Apps, state: State, environment: str, sysctls: Mapping[str, str], removed: Iterable[str]) -> Iterator[Difference]:
    """What differs of things that take the controller's knowledge: ``environment`` is that of supervisord, ``removed`` apps are to go."""
    host = state["host"]
    if environment not in host["environments"]:
        yield {"kind": "environment", "name": environment, "reason": "missing"}
    for key, value in sysctls.items():
        wrong = [found.get(key) or "missing" for found in (host["sysctls"], host["sysctl_file"]) if found.get(key) != value]
        if wrong:
            yield {"kind": "sysctl", "name": key, "reason": f"{wrong[0]} instead of {value}"}
    for name, app in apps.items():
        own = state["apps"][name]
        if own["supervisord"] and own["supervisord"]["nofile"] < app["nofile"]:
            reason = f"{own['supervisord']['nofile']} files instead of {app['nofile']}"
            yield {"kind": "limit", "name": name, "reason": reason}
        if own["supervisord"] and own["watchdog"]["state"] not in AT_WORK:
            yield {"kind": "watchdog", "name": name, "reason": own["watchdog"]["state"] or "unknown to supervisord"}
        if own["wrong_modes"]:
            yield {"kind": "modes", "name": name, "reason": f"of {', '.join(PurePosixPath(path).name for path in own['wrong_modes'])}"}
        release = own["slots"][own["live"]]["release"]
        if app["static"] and release in own["releases"] and own["assets"].get(release) != app["static"]:
            yield {"kind": "assets", "name": name, "reason": f"without {app['static']} of {release}"}
        if own["fresh"] and not own["flagged"]:
            yield {"kind": "flag", "name": name, "reason": "missing"}
    for name in removed:
        yield {"kind": "removal", "name": name, "reason": "to be absent"}


def static_files(apps: Apps, state: State) -> dict[str, StaticFile]:
    """App -> the static file that nginx is asked for, of those that have one; with a version by which it may be kept for long."""
    return {
        name: {"path": own["static_file"], "version": own["static_digest"] if app["static_versions"] == "content" else "1"}
        for name, app in apps.items()
        if (own := state["apps"][name])["static_file"]
    }


def shown(found: Iterable[Difference]) -> list[str]:
    """What differs, a line each; of a host that has next to nothing not all of it."""
    lines = [f"{difference['kind']} {difference['name']}: {difference['reason']}" for difference in found]
    return [*lines[:SHOWN], f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN + 1 else lines


def by_kind(found: Iterable[Difference]) -> dict[str, list[str]]:
    """Kind -> names of what differs, each once."""
    kinds: dict[str, list[str]] = {}
    for difference in found:
        names = kinds.setdefault(difference["kind"], [])
        if difference["name"] not in names:
            names.append(difference["name"])
    return kinds
