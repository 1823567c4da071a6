"""What stands against a run before it begins: pure functions, one sentence a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App, Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import HostState, State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import Absent, Artifact, HostSettings, Release

SUPPORTED = {"Debian": "11", "Ubuntu": "22.04"}  # the oldest
PYTHON_MIN = (3, 9)
NGINX_MIN = (1, 18, 0)  # of Debian 11, the oldest that was tried
FREE_MIN = 100_000_000  # bytes, beside what a release needs: logs, an environment

# What every process is given, see record in files.py.
VARIABLES = frozenset(
    {
        *("HOME", "LANG", "PATH", "PYTHONUNBUFFERED", "VIRTUAL_ENV"),
        *("TORNADO_APP_NAME", "TORNADO_APP_RELEASE", "TORNADO_APP_SLOT"),
    }
)


def version(text: str) -> tuple[int, ...]:
    """A dotted version as numbers."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def dotted(numbers: Iterable[int]) -> str:
    """Numbers as a dotted version."""
    return ".".join(str(number) for number in numbers)


def host_problems(apps: Apps, state: State, host: HostSettings) -> list[str]:
    """Why the plan cannot be carried out on a host.

    ``host`` has name, distribution, distribution_version, nofile and sysctl (whether the kernel's ceilings may be raised).
    """
    found = (*_system_problems(state["host"], host), *_port_problems(apps, state["host"]), *_app_problems(apps, state))
    return [f"{host['name']}: {problem}" for problem in found]


def _system_problems(system: HostState, host: HostSettings) -> Iterator[str]:
    oldest = SUPPORTED.get(host["distribution"])
    if oldest is None or version(host["distribution_version"]) < version(oldest):
        known = ", ".join(f"{name} {release} or newer" for name, release in SUPPORTED.items())
        yield f"{host['distribution']} {host['distribution_version']} is not supported; supported are {known}"
    if version(system["python"]) < PYTHON_MIN:
        yield f"/usr/bin/python3 is {system['python'] or 'missing'}; {dotted(PYTHON_MIN)} or newer is needed"
    if system["nginx_version"] and version(system["nginx_version"]) < NGINX_MIN:
        yield f"nginx {system['nginx_version']} is too old; {dotted(NGINX_MIN)} or newer is needed"
    if host["nofile"] > system["nofile_ceiling"] and not (system["nofile_raisable"] and host["sysctl"]):
        way_out = (
            "set tornado_app_sysctl: true" if system["nofile_raisable"] else "lower it, or raise the limit of the container or machine"
        )
        ceiling = system["nofile_ceiling"]
        yield f"tornado_app_nofile {host['nofile']} is above {ceiling}, the most that this host can give; {way_out}"


def _port_problems(apps: Apps, system: HostState) -> Iterator[str]:
    ports = {"80": system["port_80"], **({"443": system["port_443"]} if any(app["tls"]["source"] for app in apps.values()) else {})}
    for port, holder in ports.items():
        if holder and not holder.startswith("nginx "):
            yield f"port {port}, which nginx needs, is held by {holder}; stop it, or give the app a host of its own"


def _app_problems(apps: Apps, state: State) -> Iterator[str]:
    for name, app in apps.items():
        own = state["apps"][name]
        running = own["supervisord"]
        if running and running["nofile"] < app["nofile"] and not state["host"]["nofile_raisable"]:
            yield (
                f"tornado_app_nofile {app['nofile']}: {name}'s supervisord runs with {running['nofile']}, and this host lets nobody raise "
                "the limit of a running process; run --tags stop (the app is down until the next run), then this again"
            )
        if own["foreign_user"]:
            yield f"tornado_apps.{name}: there is a user {name} already that does not live in {app['home']}; rename the app"
        if own["foreign_group"]:
            yield f"tornado_apps.{name}: there is a group {name} already that is not the role's; rename the app, or remove it"
        for path in own["missing_paths"]:
            yield f"tornado_apps.{name}.sandbox: {path} is not there; create it, or do not name it"
        for path in own["foreign_paths"]:
            yield f"tornado_apps.{name}: {path} is there already and is not the role's; rename the app, or remove it"
        if own["foreign_unit"]:
            yield f"tornado_apps.{name}: the distribution has a unit of that name, {own['foreign_unit']}; rename the app"
        live = own["slots"][own["live"]]
        for slot in (slot for slot in app["slots"].values() if slot["name"] != own["live"]):
            for port in sorted({process["port"] for process in live["processes"]} & set(slot["ports"])):
                yield (
                    f"tornado_apps.{name}.port {app['port']}: the {slot['name']} slot would need port {port}, "
                    f"on which the live {own['live']} slot runs; choose another port"
                )
        for taken, holder in own["foreign_ports"].items():
            yield f"tornado_apps.{name}.port {app['port']}: port {taken} is held by {holder}; stop it, or choose another port"


def version_problems(state: State, host: str) -> list[str]:
    """Which of the collection's own files, that a deploy runs, a host does not have as this version has them."""
    files = [difference["name"] for difference in state["differences"] if difference["kind"] == "own_file"]
    if not files:
        return []
    return [
        f"{host} has {', '.join(files)} of another version of the collection, or not at all; run without tags, or --tags provision first"
    ]


def room_problems(apps: Apps, state: State, artifacts: Mapping[str, Artifact], host: str) -> list[str]:
    """Why new releases do not fit on a host's disk."""
    new = {name: artifacts[name]["size"] for name in apps if artifacts[name]["release"] not in state["apps"][name]["releases"]}
    # The archive lies beside the unpacked files for a moment.
    needed = 2 * sum(new.values()) + FREE_MIN
    if not new or state["host"]["free_bytes"] >= needed:
        return []
    free = state["host"]["free_bytes"]
    return [
        f"{host}: /srv has {free // 1_000_000} MB free, releases of {', '.join(new)} need {needed // 1_000_000} MB; "
        "make room, or lower tornado_app_keep_releases and deploy again"
    ]


def unlisted(apps: Apps, absent: Mapping[str, Absent], state: State) -> list[str]:
    """The apps that run on a host and that nobody lists any more."""
    return [name for name in state["host"]["begun"] if name not in apps and name not in absent]


def name_problems(apps: Apps, absent: Mapping[str, Absent], state: State, host: str) -> list[str]:
    """Which apps share a name with one that runs and that nobody lists any more: one of them would get no requests."""
    left = unlisted(apps, absent, state)
    found = []
    for site, app in product(state["host"]["sites"], apps.values()):
        others = ", ".join(name for name in site["apps"] if name in left)
        own = {name.lower() for name in (*app["server_names"], *app["redirect_names"])}
        common = ", ".join(sorted({name.lower() for name in site["server_names"]} & own))
        if others and (common or app["name"] in site["apps"]):
            names = common or ", ".join(site["server_names"])
            found.append(
                f"tornado_apps.{app['name']}.server_names: {names} on {host} is also for {others}, which runs there and is not listed; "
                "list it too, with state: absent if it is to go, or give this app other names"
            )
    return found


def removals(absent: Mapping[str, Absent], state: State) -> list[Absent]:
    """Of the apps that are to be absent those of which something is on a host; a user that stays is nothing."""
    host = state["host"]
    return [app for name, app in absent.items() if name in host["begun"] or app["user"] in host["users"]]


def build_problems(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why artifacts could not be built or cannot be installed, with the setting that names them."""
    found = []
    for result in results:
        where = f"tornado_apps.{result['item']['app']}.source"
        if "release" not in result:
            found.append(f"{where}: {result['msg']}")
        for dependency in result.get("dependencies", []):
            try:
                Requirement(dependency)
            except InvalidRequirement:
                found.append(f"{where}: pyproject.toml has the dependency {dependency!r}, which is not a requirement as PEP 508 has it")
    return found


def source_problems(apps: Apps, state: State, artifacts: Mapping[str, Artifact], host: str) -> list[str]:
    """What an app's source says of itself, and neither its settings nor the host can give."""
    return [
        problem for name, app in apps.items() for problem in _source_problems(name, app, artifacts[name], state["host"]["pythons"], host)
    ]


def _source_problems(name: str, app: App, artifact: Artifact, pythons: Mapping[str, str], host: str) -> Iterator[str]:
    where, processes, python = f"tornado_apps.{name}", artifact["processes"], app["python"] or artifact["python"]
    if app["processes"] and not app["argv"] and "web" not in processes:
        yield f"{where} has neither command nor wsgi, and its source has no Procfile with a line for web"
    for kind in app["scale"]:
        if kind not in processes:
            yield f"{where}.scale.{kind}: the Procfile of its source has no such line; it has {', '.join(processes) or 'none'}"
    place = "SOCKET" if app["listen"] == "sockets" else "PORT"
    for kind, process in processes.items():
        line, unused = f"{where}: the line {kind} of its Procfile", kind == "web" and (app["argv"] or not app["processes"])
        if unused or not app["scale"].get(kind, 1):
            continue
        if process["problem"]:
            yield f"{line} cannot be started: {process['problem']}"
        given = {*VARIABLES, "PWD", *app["environment"], *app["secrets"], *([place] if kind == "web" else [])}
        for variable in process["variables"]:
            if variable not in given:
                yield f"{line} names ${variable}, which is not set; add it to {where}.environment"
        for variable in process["mentions"]:
            if variable in app["secrets"]:
                yield (
                    f"{line} names ${variable}, which is a secret and would show in the process list; "
                    "let the program read it from its environment"
                )
    if python and python not in pythons:
        source = f"{where}.python is" if app["python"] else f"{where}: its runtime.txt asks for"
        yield f"{host}: {source} {python}, which the host does not have; it has {', '.join(pythons)}"


def start_problems(apps: Apps, releases: Mapping[str, Release]) -> list[str]:
    """Which releases nothing says how to start."""
    return [
        f"tornado_apps.{name} has neither command nor wsgi, and release {release['release']} has no Procfile with a line for web; "
        "say what starts it, or name another release"
        for name, release in releases.items()
        if apps[name]["processes"] and not apps[name]["argv"] and "web" not in release["commands"]
    ]


def fetch_problems(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why repositories could not be fetched, with the settings that name them."""
    found = []
    for result in results:
        if "after" not in result and not result.get("skipped"):
            source = result["item"]
            setting = f"tornado_apps.{source['app']}.source {source['repository']}, version {source['version']}"
            found.append(f"{setting}: {result.get('msg', '')} {result.get('stderr', '')}".strip())
    return found


def missing_problems(missing: list[str], most: int, group: str) -> list[str]:
    """Whether more hosts than ``most`` did not answer or have failed."""
    if len(missing) <= most:
        return []
    names = ", ".join(missing)
    return [
        f"{names} did not get this far, see above; put that right, or leave it out with --limit '{group}:!{':!'.join(missing)}', "
        f"or go on without it, with -e tornado_app_max_missing={len(missing)}"
    ]


def restart_problems(apps: Apps, state: State, host: str) -> list[str]:
    """Which apps have nothing to restart."""
    live = {name: state["apps"][name]["slots"][state["apps"][name]["live"]] for name in apps}
    return [f"{name} has no release on {host} to restart: run --tags deploy first" for name in apps if not live[name]["deployed"]]


def supervisord_problems(apps: Apps, state: State, names: Iterable[str], host: str, way_out: str) -> list[str]:
    """Which of the named apps have no supervisord that runs; ``way_out`` is the operation that starts it."""
    first = "run site.yml without --tags, or with --tags provision, first" if way_out == "provision" else f"run --tags {way_out} first"
    return [f"{apps[name]['unit']} does not run on {host}: {first}" for name in names if not state["apps"][name]["supervisord"]]


def socket_problems(apps: Apps, state: State, host: str) -> list[str]:
    """Which apps would listen in a directory that the host does not have, or would not have after a boot."""
    differing = {(difference["kind"], difference["name"]) for difference in state["differences"]}
    return [
        f"tornado_apps.{name}.listen: {host} does not have the directory of the sockets, {app['sockets']}, as it is to be; "
        "run site.yml without --tags, or with --tags provision, first"
        for name, app in apps.items()
        if app["listen"] == "sockets"
        and differing & {("tmpfiles", name), *(("directory", own["path"]) for own in app["runtime_directories"])}
    ]


def sysctls(current: Mapping[str, str], nofile: int, apps: Apps) -> dict[str, str]:
    """The kernel settings to write: those that are lower than needed, or just what is needed. Never lowers one.

    A setting that is higher is left to whoever set it.
    """
    lower = {"net.core.somaxconn": 4096, "fs.nr_open": nofile, "fs.file-max": nofile * 4}
    wanted = {key: str(value) for key, value in lower.items() if key in current and int(current[key]) <= value}
    ports = {port for app in apps.values() for slot in app["slots"].values() for port in slot["ports"]}
    if "net.ipv4.ip_local_port_range" in current:
        first, last = (int(part) for part in current["net.ipv4.ip_local_port_range"].split())
        if (min(first, 10240), max(last, 65535)) == (10240, 65535):
            wanted["net.ipv4.ip_local_port_range"] = "10240 65535"
            first, last = 10240, 65535
        # An outgoing connection must not take a port that a process will listen on.
        endangered = {port for port in ports if first <= port <= last}
        reserved = numbers(current.get("net.ipv4.ip_local_reserved_ports", ""))
        if endangered:
            wanted["net.ipv4.ip_local_reserved_ports"] = ranges(reserved | endangered)
    return wanted


def numbers(text: str) -> set[int]:
    """Port numbers out of the kernel's notation, "8000-8003,9000"."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def ranges(ports: Iterable[int]) -> str:
    """Port numbers in the kernel's notation."""
    spans: list[list[int]] = []
    for port in sorted(ports):
        if spans and port == spans[-1][1] + 1:
            spans[-1][1] = port
        else:
            spans.append([port, port])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
