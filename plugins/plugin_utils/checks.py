"""What stands against a run before it begins, and what is short after it: pure functions, one sentence a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any
from urllib.parse import quote

SUPPORTED = {"Debian": "11", "Ubuntu": "22.04"}  # the oldest
PYTHON_MIN = (3, 9)
NGINX_MIN = (1, 18, 0)  # of Debian 11, the oldest that was tried
FREE_MIN = 100_000_000  # bytes, beside what a release needs: logs, an environment
LINES = 20  # of what a command said
FAR_FUTURE = 31_536_000  # seconds: a year

# What every process is given, see slot_record in arguments.py.
VARIABLES = frozenset(
    {
        *("HOME", "LANG", "PATH", "PYTHONUNBUFFERED", "VIRTUAL_ENV"),
        *("TORNADO_APP_NAME", "TORNADO_APP_RELEASE", "TORNADO_APP_SLOT"),
    }
)

Plan = Mapping[str, Mapping[str, Any]]
Facts = Mapping[str, Any]


def version(text: str) -> tuple[int, ...]:
    """A dotted version as numbers."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def dotted(numbers: Iterable[int]) -> str:
    """Numbers as a dotted version."""
    return ".".join(str(number) for number in numbers)


def host_problems(plan: Plan, facts: Facts, host: Mapping[str, Any]) -> list[str]:
    """Why the plan cannot be carried out on a host.

    ``host`` has name, distribution, distribution_version, nofile and sysctl (whether the kernel's ceilings may be raised).
    """
    return [f"{host['name']}: {problem}" for problem in (*_system_problems(facts["host"], host), *_app_problems(plan, facts))]


def _system_problems(system: Mapping[str, Any], host: Mapping[str, Any]) -> Iterator[str]:
    oldest = SUPPORTED.get(host["distribution"])
    if oldest is None or version(host["distribution_version"]) < version(oldest):
        known = ", ".join(f"{name} {release} or newer" for name, release in SUPPORTED.items())
        yield f"{host['distribution']} {host['distribution_version']} is not supported; supported are {known}"
    if version(system["python"]) < PYTHON_MIN:
        yield f"/usr/bin/python3 is {system['python'] or 'missing'}; {dotted(PYTHON_MIN)} or newer is needed"
    if system["nginx_version"] and version(system["nginx_version"]) < NGINX_MIN:
        yield f"nginx {system['nginx_version']} is too old; {dotted(NGINX_MIN)} or newer is needed"
    if system["port_80"] and not system["port_80"].startswith("nginx "):
        yield f"port 80, which nginx needs, is held by {system['port_80']}; stop it, or give the app a host of its own"
    if host["nofile"] > system["nofile_ceiling"] and not (system["nofile_raisable"] and host["sysctl"]):
        way_out = (
            "set tornado_app_sysctl: true" if system["nofile_raisable"] else "lower it, or raise the limit of the container or machine"
        )
        ceiling = system["nofile_ceiling"]
        yield f"tornado_app_nofile {host['nofile']} is above {ceiling}, the most that this host can give; {way_out}"


def _app_problems(plan: Plan, facts: Facts) -> Iterator[str]:
    for name, app in plan.items():
        state = facts["apps"][name]
        running = state["supervisord"]
        if running and running["nofile"] < app["nofile"] and not facts["host"]["nofile_raisable"]:
            yield (
                f"tornado_app_nofile {app['nofile']}: {name}'s supervisord runs with {running['nofile']}, and this host lets nobody raise "
                "the limit of a running process; run --tags stop (the app is down until the next run), then this again"
            )
        if state["foreign_user"]:
            yield f"tornado_apps.{name}: there is a user {name} already that does not live in {app['home']}; rename the app"
        for path in state["foreign_paths"]:
            yield f"tornado_apps.{name}: {path} is there already and is not the role's; rename the app, or remove it"
        if state["foreign_unit"]:
            yield f"tornado_apps.{name}: the distribution has a unit of that name, {state['foreign_unit']}; rename the app"
        live = state["slots"][state["live"]]
        for slot in (slot for slot in app["slots"].values() if slot["name"] != state["live"]):
            for port in sorted({process["port"] for process in live["processes"]} & set(slot["ports"])):
                yield (
                    f"tornado_apps.{name}.port {app['port']}: the {slot['name']} slot would need port {port}, "
                    f"on which the live {state['live']} slot runs; choose another port"
                )
        for port, holder in state["foreign_ports"].items():
            yield f"tornado_apps.{name}.port {app['port']}: port {port} is held by {holder}; stop it, or choose another port"


def room_problems(plan: Plan, facts: Facts, artifacts: Mapping[str, Mapping[str, Any]], host: str) -> list[str]:
    """Why new releases do not fit on a host's disk."""
    new = {name: artifacts[name]["size"] for name in plan if artifacts[name]["release"] not in facts["apps"][name]["releases"]}
    # The archive lies beside the unpacked files for a moment.
    needed = 2 * sum(new.values()) + FREE_MIN
    if not new or facts["host"]["free_bytes"] >= needed:
        return []
    free = facts["host"]["free_bytes"]
    return [
        f"{host}: /srv has {free // 1_000_000} MB free, releases of {', '.join(new)} need {needed // 1_000_000} MB; "
        "make room, or lower tornado_app_keep_releases and deploy again"
    ]


def unlisted(plan: Plan, absent: Mapping[str, Any], facts: Facts) -> list[str]:
    """The apps that run on a host and that nobody lists any more."""
    return [name for name in facts["host"]["begun"] if name not in plan and name not in absent]


def name_problems(plan: Plan, absent: Mapping[str, Any], facts: Facts, host: str) -> list[str]:
    """Which apps share a name with one that runs and that nobody lists any more: one of them would get no requests."""
    left = unlisted(plan, absent, facts)
    found = []
    for site, app in product(facts["host"]["sites"], plan.values()):
        others = ", ".join(name for name in site["apps"] if name in left)
        common = ", ".join(sorted({name.lower() for name in site["server_names"]} & {name.lower() for name in app["server_names"]}))
        if others and (common or app["name"] in site["apps"]):
            names = common or ", ".join(site["server_names"])
            found.append(
                f"tornado_apps.{app['name']}.server_names: {names} on {host} is also for {others}, which runs there and is not listed; "
                "list it too, with state: absent if it is to go, or give this app other names"
            )
    return found


def removals(absent: Mapping[str, Mapping[str, Any]], facts: Facts) -> list[Mapping[str, Any]]:
    """Of the apps that are to be absent those of which something is on a host; a user that stays is nothing."""
    host = facts["host"]
    return [app for name, app in absent.items() if name in host["begun"] or app["user"] in host["users"]]


def build_problems(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why artifacts could not be built, with the setting that names them."""
    return [f"tornado_apps.{result['item']['app']}.source: {result['msg']}" for result in results if "release" not in result]


def source_problems(plan: Plan, facts: Facts, artifacts: Mapping[str, Mapping[str, Any]], host: str) -> list[str]:
    """What an app's source says of itself, and neither its settings nor the host can give."""
    return [
        problem for name, app in plan.items() for problem in _source_problems(name, app, artifacts[name], facts["host"]["pythons"], host)
    ]


def _source_problems(
    name: str, app: Mapping[str, Any], artifact: Mapping[str, Any], pythons: Mapping[str, str], host: str
) -> Iterator[str]:
    where, processes, python = f"tornado_apps.{name}", artifact["processes"], app["python"] or artifact["python"]
    if not app["argv"] and "web" not in processes:
        yield f"{where} has neither command nor wsgi, and its source has no Procfile with a line for web"
    for kind in app["scale"]:
        if kind not in processes:
            yield f"{where}.scale.{kind}: the Procfile of its source has no such line; it has {', '.join(processes) or 'none'}"
    place = "SOCKET" if app["listen"] == "sockets" else "PORT"
    for kind, process in processes.items():
        line, used = f"{where}: the line {kind} of its Procfile", not (kind == "web" and app["argv"]) and app["scale"].get(kind, 1)
        if not used:
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


def start_problems(plan: Plan, releases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Which releases nothing says how to start."""
    return [
        f"tornado_apps.{name} has neither command nor wsgi, and release {release['release']} has no Procfile with a line for web; "
        "say what starts it, or name another release"
        for name, release in releases.items()
        if not plan[name]["argv"] and "web" not in release["commands"]
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


def release_problems(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which release commands failed, on any host of the fleet, with the end of what they said; ``hosts`` are the variables of all."""
    found = []
    for host in hosts:
        for result in (host.get("__tornado_app_released") or {}).get("results", []):
            if not result.get("skipped") and result.get("rc") != 0:
                said = f"{result.get('stdout', '')}\n{result.get('stderr', '')}".strip().splitlines()[-LINES:]
                where = f"tornado_apps.{result['item']}: the line release of its Procfile, on {host['inventory_hostname']}"
                found.append(f"{where}, ended with {result.get('rc')}: " + ("\n".join(said) or result.get("msg", "")))
    return found


def sysctls(current: Mapping[str, str], nofile: int, plan: Plan) -> dict[str, str]:
    """The kernel settings to write: those that are lower than needed, or just what is needed. Never lowers one.

    A setting that is higher is left to whoever set it.
    """
    lower = {"net.core.somaxconn": 4096, "fs.nr_open": nofile, "fs.file-max": nofile * 4}
    wanted = {key: str(value) for key, value in lower.items() if key in current and int(current[key]) <= value}
    ports = {port for app in plan.values() for slot in app["slots"].values() for port in slot["ports"]}
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


def shortfalls(plan: Plan, facts: Facts, health: Mapping[str, Any], nginx: Mapping[str, Any], host: str) -> list[str]:
    """What of the plan a host does not deliver.

    ``health`` is the result of wait_for_health, ``nginx`` that of ask_nginx for tornado_app_probes.
    """
    found = [*_nginx_shortfalls(plan, facts["host"])]
    for name, app in plan.items():
        found += _app_shortfalls(app, facts["apps"][name])
    for result, what in ((health, "apps"), (nginx, "answers")):
        if what not in result:  # the module broke
            found.append(f"cannot be verified: {result.get('module_stderr') or result.get('msg')}")
    for app in health.get("apps", []):
        found += [f"{process['name']}: {process['error']}" for process in app["processes"] if not process["healthy"]]
    cached = {(probe["app"], probe["path"]): kept for probe, kept in _probes(plan, facts)}
    for answer in nginx.get("answers", []):
        found += _answer_shortfalls(answer, cached[answer["app"], answer["path"]])
    return [f"{host}: {finding}" for finding in found]


def _nginx_shortfalls(plan: Plan, system: Mapping[str, Any]) -> Iterator[str]:
    nofile = max((app["nofile"] for app in plan.values()), default=0)
    if not system["nginx"]:
        yield "nginx has no worker running"
    for worker in system["nginx"]:
        if worker["nofile"] < nofile:
            yield f"nginx worker {worker['pid']} may open {worker['nofile']} files instead of {nofile}"
        if worker["uid"] == 0:
            yield f"nginx worker {worker['pid']} runs as root"


def _commands(state: Mapping[str, Any]) -> list[str]:
    """The types of processes of the live release's Procfile that are neither web nor release."""
    record = state["records"].get(state["slots"][state["live"]]["release"], {})
    return [kind for kind in record.get("commands", {}) if kind not in ("web", "release")]


def _app_shortfalls(app: Mapping[str, Any], state: Mapping[str, Any]) -> Iterator[str]:
    slot = state["slots"][state["live"]]
    running = [process for process in slot["processes"] if process["state"] == "RUNNING"]
    if not slot["deployed"]:
        yield f"{app['name']} has no release yet; run --tags deploy"
    elif len(running) < (count := len(app["slots"][state["live"]]["ports"])):  # a rollback may have brought back a slot that has more
        yield f"{app['slots'][state['live']]['group']} has {len(running)} of {count} processes running"
    for kind in _commands(state):
        up = [worker for worker in slot["workers"] if worker["state"] == "RUNNING" and f":{kind}." in worker["name"]]
        if slot["deployed"] and len(up) < (count := app["scale"].get(kind, 1)):
            yield f"{app['slots'][state['live']]['group']} has {len(up)} of {count} processes {kind} running"
    if not state["supervisord"]:
        yield f"{app['name']}'s supervisord does not answer; see systemctl status {app['unit']}"
        return
    workers = [worker for worker in slot["workers"] if worker["state"] == "RUNNING"]
    processes = [{"name": f"{app['name']}'s supervisord", **state["supervisord"]}, *running, *workers]
    for process in processes:
        if process["nofile"] < app["nofile"]:
            yield f"{process['name']} (pid {process['pid']}) may open {process['nofile']} files instead of {app['nofile']}"
        if process["uid"] == 0:
            yield f"{process['name']} (pid {process['pid']}) runs as root"


def probes(plan: Plan, facts: Facts) -> list[dict[str, str]]:
    """What to ask nginx on a host, for ask_nginx: each app's health path, and one of its static files with a version and without."""
    return [probe for probe, _ in _probes(plan, facts)]


def _probes(plan: Plan, facts: Facts) -> Iterator[tuple[dict[str, str], bool | None]]:
    """Each with whether its answer may be kept for long; None where that is the app's own matter."""
    for name, app in plan.items():
        state = facts["apps"][name]
        if not state["slots"][state["live"]]["deployed"]:
            continue
        base = {"app": name, "host": app["host"], "prefix": app["prefix"]}
        yield {**base, "path": app["health"]["path"], "slot": state["live"]}, None
        if state["static_file"]:
            file = f"/static/{quote(state['static_file'])}"
            yield {**base, "path": f"{file}?v=1"}, True
            yield {**base, "path": file}, False


def max_age(header: str) -> int:
    """The max-age of a Cache-Control header in seconds; 0 when it has none."""
    for part in header.split(","):
        key, _, value = part.strip().partition("=")
        if key == "max-age" and value.isdigit():
            return int(value)
    return 0


def _answer_shortfalls(answer: Mapping[str, Any], cached: bool | None) -> Iterator[str]:
    header = answer["cache_control"]
    if answer["error"]:
        yield answer["error"]
    elif cached is not None and cached != (max_age(header) >= FAR_FUTURE):
        yield f"{answer['app']} through nginx: {answer['path']} has Cache-Control {header!r}, {'too short' if cached else 'too long'}"
