"""The layout of apps on a host: ports, addresses, paths, names, and what apps do to each other."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations, product
from typing import Any
from urllib.parse import quote

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.tornado_app.deploy.plugins.module_utils import sandbox
from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Tls
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx import OWN_FILES
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_url import REDIS_URL
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import tls
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import Absent, HostSettings
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.ports import PORTS, SLOTS, slot_ports
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_types import Settings
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.site_settings import asked_name, of_site

COOKIE_SECRET = "COOKIE_SECRET"
RUN = "/run/tornado_app"
SOCKETS = f"{RUN}/sockets"
URL_CHARACTERS = "/?%&=:@!*(),+~"  # of a URL, what has no meaning in nginx's files
# Below its own prefix an app has these URLs for itself.
OWN_PATHS = ("static/", ".tornado_app/", "favicon.ico/", "robots.txt/", "apple-touch-icon.png/")


def cross_problems(apps: Mapping[str, Mapping[str, Any]], host: HostSettings) -> Iterator[str]:
    """What two slots or two apps of a host do to each other."""
    for name, app in apps.items():
        for path, other in product(app["sandbox"]["writable"], apps):
            if f"{path}/".startswith(f"/srv/{other}/"):
                yield f"tornado_apps.{name}.sandbox.writable: {path} belongs to {other}; an app writes to its own shared directory anyway"
        for path, other in product(app["sandbox"]["writable"], apps):
            for above in apps[other]["sandbox"]["writable"]:
                if path.startswith(f"{above}/"):  # systemd would follow a link there
                    yield f"tornado_apps.{name}.sandbox.writable: {path} lies in {above}, where {other} can replace it; name {above} alone"
    ranges = []
    for name, app in apps.items():
        for slot, ports in slot_ports(app, host).items():
            if ports and (ports[0] not in PORTS or ports[-1] not in PORTS):
                yield (
                    f"tornado_apps.{name}.port {app['port']}: the {slot} slot would use {ports[0]}-{ports[-1]} on {host['name']}, "
                    f"outside {PORTS[0]}-{PORTS[-1]}"
                )
            ranges.append((name, slot, ports))
        for setting in ("proxy_port", "proxy_tls_port"):
            port = host[setting]
            if any(port in ports for ports in slot_ports(app, host).values()):
                yield f"tornado_app_{setting} {port} is among the ports of {name} on {host['name']}; choose another"
    for (one, _, mine), (other, slot, theirs) in combinations(ranges, 2):
        if mine and theirs and mine[0] <= theirs[-1] and theirs[0] <= mine[-1]:
            setting = f"tornado_apps.{other}.port {apps[other]['port']}" + (f" ({slot} slot: {theirs[0]})" if slot == "green" else "")
            yield f"{setting} overlaps {one}'s {mine[0]}-{mine[-1]} on {host['name']}"
    for one, other in combinations(apps, 2):
        ours, others = ({name.lower() for name in apps[app]["server_names"]} for app in (one, other))
        names, path = f"tornado_apps.{other}.server_names", apps[other]["path"]
        if ours & others and path == apps[one]["path"]:
            common = ", ".join(sorted(ours & others))
            yield f"{names}: {common}{path} on {host['name']} is {one}'s already; give each app its own server_names, or its own path"
        elif ours & others and any(
            short["path"] + own == long["path"] for short, long in permutations((apps[one], apps[other])) for own in OWN_PATHS
        ):
            taken = apps[one]["path"]
            yield f"tornado_apps.{other}.path {path!r} meets what nginx serves itself for {one}, which has {taken}; choose another"
        elif ours == others and apps[one]["tls"] != apps[other]["tls"]:
            yield f"tornado_apps.{other}.tls differs from {one}'s, which has the same names on {host['name']}; give both the same"
        elif ours & others and ours != others:
            yield f"{names} has some of {one}'s names on {host['name']} and not others; apps that share names, by path, share all of them"
        if _variable(one) == _variable(other):
            yield f"tornado_apps.{other}: nginx cannot tell its name from {one}, which differs in - and _ only; rename one of them"


def _variable(name: str) -> str:
    """The variable of nginx that has the slot of an app; its name may have no hyphen."""
    return f"slot_{name.replace('-', '_')}"


def _timer(name: str) -> str:
    """What keeps the logs of an app within their budget."""
    return f"tornado_app-logs@{name}.timer"


def _reloader(name: str, settings: Mapping[str, Any], root: str) -> list[str]:
    """What a command is run by for development: one that runs it again when a file changes."""
    if not settings["debug"]:
        return []
    watched = [f"--watch={path}" for path in settings["watch"]]
    return ["/usr/bin/python3", "-I", "-S", f"{root}/reload.py", f"--source=/usr/local/src/{name}", *watched, "--"]


def _bytes(size: str) -> int:
    """A size in nginx's notation as a number."""
    return int(size.rstrip("kKmMgG")) << {"k": 10, "m": 20, "g": 30}.get(size[-1].lower(), 0)


def _argv(settings: Mapping[str, Any], root: str) -> list[str]:
    """What starts a web process; empty when the Procfile of the source says it."""
    if settings["wsgi"]:
        return [
            "{python}",
            f"{root}/wsgi.py",
            settings["wsgi"],
            "--socket={socket}" if settings["listen"] == "sockets" else "--port={port}",
            f"--max-body={_bytes(settings['client_max_body_size'])}",
        ]
    return shlex.split(settings["command"])


def _counted(settings: Mapping[str, Any]) -> int:
    """The processes by which the tasks of an app are counted: those that its settings name, of one without web processes its workers."""
    return int(settings["processes"] or 1 + sum(settings["scale"].values()))


def _sockets(name: str) -> str:
    """The directory of the sockets of an app's processes: the app's own, in one of root's, where it cannot be replaced."""
    return f"{SOCKETS}/{name}"


def _tmpfiles(name: str) -> str:
    """The file by which systemd makes that directory after a boot."""
    return f"/etc/tmpfiles.d/tornado_app-{name}.conf"


def _htpasswd(name: str) -> str:
    """The file of the users whom nginx lets in to an app."""
    return f"{tls.NGINX_ROOT}/{OWN_FILES}/{name}.htpasswd"


def _addresses(listen: str, sockets: str, ports: Sequence[int]) -> list[str]:
    """Where nginx finds the processes of a slot, in its own words; of processes that share a port there is one."""
    if listen == "sockets":
        return [f"unix:{sockets}/{port}.sock" for port in ports]
    return [f"127.0.0.1:{port}" for port in (ports if listen == "ports" else ports[:1])]


def absent(apps: Mapping[str, Mapping[str, Any]]) -> dict[str, Absent]:
    """The apps that are to be removed, and what of each: its unit, nginx's files, its own files, and with ``purge`` its user."""
    found: dict[str, Absent] = {}
    for name, app in apps.items():
        if app.get("state") == "absent":
            home, purge = f"/srv/{name}", boolean(app.get("purge") or False)
            kept = [home] if purge else [f"{home}/{part}" for part in ("releases", "assets", "environments", "slots", "live")]
            found[name] = {
                "name": name,
                "unit": f"{name}.service",
                "unit_file": f"/etc/systemd/system/{name}.service",
                "timer": _timer(name),
                "nginx": [f"conf.d/{name}.conf", *(f"conf.d/{name}.{slot}.conf" for slot in SLOTS), tls.served(name)],
                "access_logs": f"{name}.access.log*",
                "paths": [
                    *kept,
                    *(
                        f"/etc/{name}",
                        f"/var/log/{name}",
                        f"/etc/security/limits.d/{name}.conf",
                        f"/etc/needrestart/conf.d/{name}.conf",
                        f"{RUN}/release.{name}.lock",
                        _sockets(name),
                        _tmpfiles(name),
                        _htpasswd(name),
                    ),
                ],
                "user": name if purge else "",
            }
    return found


def _balancing(balance: str, upstream: str) -> str:
    """The line of an upstream by which nginx chooses a process."""
    # Its own ip_hash takes three numbers of an IPv4 address alone: a whole network would go to one process.
    key = {"ip_hash": "$remote_addr", "cookie": f"$client_of_{upstream.replace('-', '_')}"}
    return f"hash {key[balance]} consistent;" if balance in key else "least_conn;"


def _slots(name: str, settings: Mapping[str, Any], host: HostSettings, served: str) -> dict[str, Slot]:
    home, etc, run = f"/srv/{name}", f"/etc/{name}", f"/run/{name}"
    prefix, health_path = settings["path"].rstrip("/"), settings["health"]["path"]
    return {
        slot: Slot(
            app=name,
            name=slot,
            group=f"{name}-{slot}",
            unit=f"{name}.service",
            user=name,
            socket=f"{run}/supervisor.sock",
            flag=f"{home}/live/green",
            ports=list(ports),
            addresses=_addresses(settings["listen"], _sockets(name), ports),
            workers={},
            listen=settings["listen"],
            processes=settings["processes"],
            host=asked_name(settings["server_names"]),
            prefix=prefix,
            certificate=f"{tls.NGINX_ROOT}/{served}" if served else "",
            # What nginx is asked, and what a process is.
            health_url=prefix + health_path,
            health={"path": health_path if settings["strip_path"] else prefix + health_path, "timeout": settings["health"]["timeout"]},
            drain=settings["drain"],
            stop_timeout=settings["drain"]["timeout"] if settings["drain"]["signal"] else settings["stop_timeout"],
            access_log=f"/var/log/nginx/{name}.access.log",
            logs="" if settings["logs"] == "journal" else f"/var/log/{name}",
            cwd=f"{home}/slots/{slot}",
            releases=f"{home}/releases",
            config=f"{etc}/slots/{slot}.conf",
            record=f"{etc}/slots/{slot}.json",
            secrets=f"{etc}/slots/{slot}.secrets.json",
            logrotate=f"{etc}/slots/{slot}.logrotate",
            history=f"{home}/slots/{slot}.history.json",
            upstream=f"{name}_{slot}",
            balance=settings["balance"],
            balancing=_balancing(settings["balance"], f"{name}_{slot}"),
            upstream_config=f"conf.d/{name}.{slot}.conf",
        )
        for slot, ports in slot_ports(settings, host).items()
    }


def _made_secrets(settings: Settings, host: HostSettings) -> list[str]:
    """The secret variables that an app does not give itself, and gets."""
    made = [COOKIE_SECRET, *([REDIS_URL] if host["redis"] and settings["redis_keys"] else [])]
    return [name for name in made if name not in settings["environment"] and name not in settings["secrets"]]


def planned(name: str, settings: Settings, host: HostSettings, own_tls: Tls) -> Any:
    """An app on a host; ``own_tls`` is TLS as the plan has it."""
    home, etc, run = f"/srv/{name}", f"/etc/{name}", f"/run/{name}"
    slots = _slots(name, settings, host, own_tls["served"])
    return {
        **settings,
        "tls": own_tls,
        "name": name,
        "user": name,
        "prefix": settings["path"].rstrip("/"),
        "variable": _variable(name),
        "unit": f"{name}.service",
        "unit_file": f"/etc/systemd/system/{name}.service",
        "timer": _timer(name),
        "host": asked_name(settings["server_names"]),
        "ready_path": quote(slots["blue"]["health"]["path"], safe=URL_CHARACTERS),
        "nofile": host["nofile"],
        "properties": sandbox.of_app(name, f"{home}/shared", _sockets(name), host["nofile"], _counted(settings), settings["sandbox"]),
        "argv": _argv(settings, host["root"]),
        "reloader": _reloader(name, settings, host["root"]),
        "static": "" if settings["debug"] else settings["static"],
        "environment": {str(key): str(value) for key, value in settings["environment"].items()},
        "secrets": sorted({*settings["secrets"], *_made_secrets(settings, host)}),  # no values
        "redis": REDIS_URL in _made_secrets(settings, host),
        **of_site(settings),
        "cookie_secret": f"{etc}/cookie_secret",
        "home": home,
        "releases": f"{home}/releases",
        "assets": f"{home}/assets",
        "environments": f"{home}/environments",
        "flag": f"{home}/live/green",
        "maintenance_flag": f"{home}/live/maintenance",
        "shared": f"{home}/shared",
        "etc": etc,
        "config": f"{etc}/supervisord.conf",
        "run": run,
        "sockets": _sockets(name),
        "tmpfiles": _tmpfiles(name),
        "socket": f"{run}/supervisor.sock",
        "watchdog": f"{run}/watchdog.json",
        "jobs": f"{run}/singletons.json",
        "logs": f"/var/log/{name}",
        "journal": settings["logs"] == "journal",
        "access_log": f"/var/log/nginx/{name}.access.log",
        "site_config": f"conf.d/{name}.conf",
        "htpasswd": _htpasswd(name),
        "slots": slots,
        "runtime_directories": [
            # The run's locks are in it, and a file that nginx's workers look for.
            {"path": RUN, "owner": "root", "group": "root", "mode": "0755"},
            {"path": SOCKETS, "owner": "root", "group": "root", "mode": "0751"},
            # The sockets get nginx's group.
            {"path": _sockets(name), "owner": name, "group": "www-data", "mode": "2750"},
        ],
        "directories": [
            {"path": path, "owner": owner, "group": group, "mode": mode}
            for path, owner, group, mode in (
                # nginx passes to the flag file and to static files, and cannot list what is there.
                (home, "root", name, "0751"),
                (f"{home}/releases", "root", name, "0751"),
                (f"{home}/assets", "root", name, "0751"),
                (f"{home}/environments", "root", name, "0750"),
                (f"{home}/slots", "root", name, "0751"),
                (f"{home}/live", "root", name, "0751"),
                (f"{home}/shared", name, name, "0750"),
                (etc, "root", name, "0750"),
                (f"{etc}/slots", "root", name, "0750"),
            )
        ],
    }
