"""The plan: what an app looks like on a host, computed from its settings alone.

Pure functions, no I/O but the role's own argument specs, which are the single source of the settings' types.
"""

from __future__ import annotations

import datetime
import difflib
import re
import shlex
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot

SLOTS = ("blue", "green")
COOKIE_SECRET = "COOKIE_SECRET"
LOG_BUDGET_MIN = 1_000_000  # bytes
FIRST_PORT, PORT_STEP = 8000, 100  # of the ports that the plan gives out: room for as many processes without moving anybody
PORTS = range(1024, 65536)  # below 1024 a process that is not root cannot listen
PRODUCTION = {"prod", "production"}
NOFILE = range(1024, 2147483585)  # above it the kernel's own fs.nr_open cannot be raised

# Linux allows user names of 32 bytes; of the allowed characters these are also safe in paths, unit and upstream names.
APP_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
RESERVED_NAMES = frozenset({"tornado_app", "nginx", "root", "www-data", "default"})
SERVER_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[?[0-9A-Fa-f:]+\]?")
KIND = re.compile(r"[A-Za-z0-9_-]+")
PYTHON = re.compile(r"\d+\.\d+")
WSGI = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PREFIX = re.compile(r"/((?!\.{1,2}/)[A-Za-z0-9._~-]+/)*")
# Below its own prefix an app has these URLs for itself.
OWN_PATHS = ("static/", ".tornado_app/", "favicon.ico/", "robots.txt/", "apple-touch-icon.png/")
URL_PATH = re.compile(r"/[!-~]*")
RELATIVE_PATH = re.compile(r"(?!/)(?!.*(^|/)\.\.(/|$))[A-Za-z0-9._/-]+")
NGINX_SIZE = re.compile(r"\d+[kKmMgG]?")

_SPECS = yaml.safe_load((Path(__file__).parents[2] / "roles/tornado_app/meta/argument_specs.yml").read_text(encoding="utf-8"))
APP_OPTIONS: dict[str, Any] = _SPECS["argument_specs"]["app"]["options"]
INPUTS: dict[str, Any] = _SPECS["argument_specs"]["main"]["options"]

# What YAML makes of a word without quotes; the conversion of types would hide that it is not what was written.
KINDS: dict[type, str] = {bool: "a boolean", float: "a number", datetime.date: "a date", list: "a list", Mapping: "a dictionary"}

Problems = list[str]
App = Mapping[str, Any]
Predicate = Callable[[Any, App], Any]


def _plain(value: Any) -> Any:
    """The same in plain dictionaries and lists: a deep copy of Ansible's own, which the validation of types makes, copies the host's
    variables with it and takes a second."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _merged(default: Any, given: Any) -> Any:
    """``given`` over ``default``; dictionaries of the argument specs (health, drain) are merged key by key."""
    if isinstance(default, Mapping) and isinstance(given, Mapping):
        return {**default, **{key: _merged(default.get(key), value) for key, value in given.items()}}
    return given


def _unknown_keys(where: str, given: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[str]:
    for key in given:
        if key not in options:
            near = difflib.get_close_matches(str(key), options, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(options)}"
            yield f"{where}.{key} is not a setting; {hint}"
        elif isinstance(given[key], Mapping) and "options" in options[key]:
            yield from _unknown_keys(f"{where}.{key}", given[key], options[key]["options"])


def _kind(value: Any) -> str:
    """What a value is that is neither text nor a whole number, which has kept all of its digits."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return ""
    return next((kind for cls, kind in KINDS.items() if isinstance(value, cls)), "empty" if value is None else "not text")


def _misread(where: str, value: Any, option: Mapping[str, Any]) -> Iterator[str]:
    """What of a setting YAML has read as something else than text or a number that is wanted: of 3.10 it makes 3.1."""
    if option["type"] == "list":
        for index, item in enumerate(value) if isinstance(value, list) else [(0, value)]:
            yield from [f"{where}[{index}] is empty"] if item is None else _misread(f"{where}[{index}]", item, {"type": option["elements"]})
    elif value is None:  # a key without a value is not given
        return
    elif isinstance(value, Mapping) and "options" in option:
        for key, item in value.items():
            yield from _misread(f"{where}.{key}", item, option["options"][key])
    elif option["type"] == "str" and (kind := _kind(value)):
        shown = str(value).lower() if isinstance(value, bool) else value
        yield f"{where} is {shown}, {kind}: {'text is needed' if isinstance(value, (list, Mapping)) else 'write it in quotes'}"
    elif option["type"] in ("int", "float", "bytes") and isinstance(value, (bool, datetime.date)):
        yield f"{where} is {str(value).lower()}, {_kind(value)}: a number is needed"


def _input_problems(inputs: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the role's own inputs as they were given; nothing converts these, so text has to be text."""
    for name, value in inputs.items():
        yield from _misread(name, value, INPUTS[name])
        if INPUTS[name]["type"] == "str" and isinstance(value, int) and not isinstance(value, bool):
            yield f"{name} is {value}, a number: write it in quotes"


def _typed(where: str, app: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[dict[str, Any], Problems]:
    """Fill the defaults and convert the types of one app, by the role's argument specs."""
    problems = list(_unknown_keys(where, app, APP_OPTIONS))
    app = {key: value for key, value in app.items() if value is not None}  # a key without a value is not given
    missing = [key for key, option in APP_OPTIONS.items() if key not in app and not option.get("required") and key not in defaults]
    problems += [f"tornado_app_defaults.{key} is missing: whoever replaces tornado_app_defaults gives every key" for key in missing]
    problems += [f"{where}.{key} is missing" for key, option in APP_OPTIONS.items() if option.get("required") and not app.get(key)]
    if problems:
        return {}, problems
    settings = {key: _merged(defaults.get(key), app[key]) if key in app else defaults[key] for key in APP_OPTIONS}
    typed: dict[str, Any] = {}
    for key, option in APP_OPTIONS.items():  # one by one, so that a message can name its setting
        if misread := list(_misread(f"{where}.{key}", settings[key], option)):
            problems += misread
            continue
        # Nothing is logged here, and the search for what no log may show fails at a date.
        result = ArgumentSpecValidator({key: {**option, "no_log": False}}).validate({key: settings[key]})
        problems += [f"{where}.{key}: {message}" for message in result.error_messages]
        typed[key] = result.validated_parameters.get(key)
    return typed, problems


def _command_problems(where: str, command: str, listen: str) -> Iterator[str]:
    try:
        found = [part for part in string.Formatter().parse(command) if part[1] is not None]
        fields = {str(name) if not (form or conversion) else f"{name}:{form}{conversion}" for _, name, form, conversion in found}
        if not shlex.split(command):
            yield f"{where}.command is empty"
    except ValueError as error:
        yield f"{where}.command {command!r} cannot be read: {error}; a literal brace is written twice"
        return
    wanted = "socket" if listen == "sockets" else "port"
    if wanted not in fields:
        yield f"{where}.command has no {{{wanted}}}: without it all processes would listen on the same {wanted}"
    for field in sorted(fields - {wanted, "python"}):
        yield f"{where}.command: {{{field}}} is not known; known are {{{wanted}}} and {{python}}, a literal brace is written twice"


def _scale_problems(where: str, scale: Mapping[str, Any]) -> Iterator[str]:
    for kind, count in scale.items():
        if kind in ("web", "release"):
            way_out = "its processes are counted by `processes`" if kind == "web" else "it runs once a deploy"
            yield f"{where}.scale.{kind}: {way_out}"
        elif not isinstance(kind, str):
            yield f"{where}.scale: {kind!r} is not text: write it in quotes"
        elif not KIND.fullmatch(kind):
            yield f"{where}.scale: {kind!r} is not a valid type of process of a Procfile"
        elif isinstance(count, bool) or not isinstance(count, int) or count < 0:
            yield f"{where}.scale.{kind} is {count!r}: a number of processes is needed"


def _variable_problems(where: str, app: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the environment variables of an app; no message shows a value, which may be secret."""
    for setting in ("environment", "secrets"):
        for name, value in app[setting].items():
            if not isinstance(name, str):
                yield f"{where}.{setting}: {name!r} is not text: write it in quotes"
            elif not VARIABLE_NAME.fullmatch(name):
                yield f"{where}.{setting}: {name!r} is not a valid name of an environment variable"
            if kind := _kind(value):
                yield f"{where}.{setting}.{name} is {kind}: write it in quotes"
            elif "\0" in str(value):
                yield f"{where}.{setting}.{name} has a NUL, which no environment variable can have"
    for name in sorted(set(map(str, app["environment"])) & set(map(str, app["secrets"]))):
        yield f"{where} has {name} in both environment and secrets: one of them is enough"


def _below(least: int) -> Predicate:
    return lambda value, _: value < least


def _unlike(pattern: re.Pattern[str], *, or_empty: bool = False) -> Predicate:
    return lambda value, _: not (pattern.fullmatch(value) or (or_empty and not value))


def _outside(value: str, _: App) -> bool:
    return bool(value) and not (RELATIVE_PATH.fullmatch(value) and value.strip("./"))


# What a setting must not be, and what is said then. A message goes on after the setting's name.
RULES: tuple[tuple[str, Predicate, str], ...] = (
    ("processes", _below(1), "is {value}: at least 1 is needed"),
    *(
        (setting, _below(1), "is {value}: a number of seconds above 0 is needed")
        for setting in ("health.timeout", "drain.timeout", "stop_timeout", "proxy_read_timeout")
    ),
    ("watch", lambda value, app: value and not app["debug"], "is for debug: true; without that nothing is watched"),
    (
        "listen",
        lambda value, app: app["debug"] and value in ("shared", "fork"),
        "is {value}, which is for several processes; with debug there is one",
    ),
    ("purge", lambda value, _: value, "is for state: absent; without that nothing is removed"),
    (
        "listen",
        lambda value, app: app["wsgi"] and not app["command"] and value not in ("ports", "sockets"),
        "is {value}, which is a matter of the app's own code; with wsgi it is ports or sockets",
    ),
    (
        "wsgi",
        lambda value, app: value and not app["command"] and not WSGI.fullmatch(value),
        "{value!r} names no WSGI application: it has the form package.module:app",
    ),
    ("log_budget", _below(LOG_BUDGET_MIN), f"is {{value}}: at least {LOG_BUDGET_MIN} bytes are needed, as in 500M"),
    ("python", _unlike(PYTHON, or_empty=True), "{value!r} is not a valid version of Python like 3.12, in quotes"),
    (
        "path",
        _unlike(PREFIX),
        "{value!r} is not a valid prefix: it begins and ends with / and has letters, digits and . _ ~ - in between",
    ),
    ("health.path", _unlike(URL_PATH), "{value!r} is not a valid URL path: it starts with / and has no spaces"),
    ("server_names", lambda value, _: not value, "is empty: nginx would never serve the app"),
    ("client_max_body_size", _unlike(NGINX_SIZE), "{value!r} is not a valid size of nginx, like 50m"),
    *((setting, _outside, "{value!r} is not a valid relative path inside the source") for setting in ("requirements", "static")),
)


def _value(app: App, setting: str) -> Any:
    """The value of a setting, which may be in a dictionary: health.path."""
    found: Any = app
    for key in setting.split("."):
        found = found[key]
    return found


def _start_problems(where: str, app: App) -> Iterator[str]:
    """What is wrong with what starts a process."""
    if app["command"] and app["wsgi"]:
        yield f"{where} has both command and wsgi: one of them says what starts a process"
    elif app["command"]:
        yield from _command_problems(where, app["command"], app["listen"])


def _name_problems(where: str, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if not SERVER_NAME.fullmatch(name) or name == "_":
            yield f"{where}.server_names: {name!r} is not a valid host name"


def _setting_problems(where: str, app: App, stride: int) -> Iterator[str]:
    """What the types alone do not tell about one app."""
    for setting, is_wrong, message in RULES:
        value = _value(app, setting)
        if is_wrong(value, app):
            yield f"{where}.{setting} {message.format(value=value)}"
    if app["processes"] > stride:
        yield f"{where}.processes {app['processes']} is above tornado_app_slot_stride {stride}: raise the stride"
    yield from _start_problems(where, app)
    yield from _scale_problems(where, app["scale"])
    yield from _name_problems(where, app["server_names"])
    yield from _variable_problems(where, app)


def _debug_problems(where: str, given: Mapping[str, Any], host: Mapping[str, Any]) -> Iterator[str]:
    if PRODUCTION.intersection(Path(name).stem for name in host["inventory"]):
        yield f"{where}.debug is for development, and the inventory of {host['name']} calls itself production"
    if given.get("processes") not in (None, 1, "1"):
        yield f"{where} has debug and {given['processes']} processes: with debug there is one, leave out processes"


def slot_ports(app: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, range]:
    """Slot -> the ports of its processes, one for each that supervisord starts; those that listen elsewhere are named by it alone."""
    first, count = app["port"], 1 if app["listen"] == "fork" else app["processes"]
    return {slot: range(start, start + count) for slot, start in zip(SLOTS, (first, first + host["slot_stride"]), strict=True)}


def _with_ports(apps: Mapping[str, dict[str, Any]], known: Mapping[str, int], host: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The apps, each with a port: the one that is given, else the one that it has on the host, else one that nobody has there.

    ``known`` is app -> port of those on the host, also of those that are not listed any more or are to be absent.
    """
    stride = max(1, host["slot_stride"])
    ports = {name: app["port"] or known.get(name, 0) for name, app in apps.items()}
    # Where an app was before this run it still is when another one starts.
    taken = [(port, apps[name]["processes"] if name in apps else 1) for name, port in (*known.items(), *ports.items()) if port]

    def free(port: int, count: int) -> bool:
        mine = [range(start, start + max(count, PORT_STEP)) for start in (port, port + stride)]
        theirs = [range(start, start + size) for first, size in taken for start in (first, first + stride)]
        return not any(one.start < other.stop and other.start < one.stop for one in mine for other in theirs)

    for name in (name for name, port in ports.items() if not port):
        count = apps[name]["processes"]
        # A block of the blue slots, then one of the green ones, and so on; an app that fills more than a step begins where it can.
        candidates = (port for port in range(FIRST_PORT, PORTS[-1], PORT_STEP) if (port - FIRST_PORT) // stride % 2 == 0)
        ports[name] = next((port for port in candidates if free(port, count)), FIRST_PORT)
        taken.append((ports[name], count))
    return {name: {**app, "port": ports[name]} for name, app in apps.items()}


def _cross_problems(apps: Mapping[str, Mapping[str, Any]], host: Mapping[str, Any]) -> Iterator[str]:
    """What two slots or two apps of a host do to each other."""
    ranges = []
    for name, app in apps.items():
        for slot, ports in slot_ports(app, host).items():
            if ports and (ports[0] not in PORTS or ports[-1] not in PORTS):
                yield (
                    f"tornado_apps.{name}.port {app['port']}: the {slot} slot would use {ports[0]}-{ports[-1]} on {host['name']}, "
                    f"outside {PORTS[0]}-{PORTS[-1]}"
                )
            ranges.append((name, slot, ports))
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
        elif ours & others and ours != others:
            yield f"{names} has some of {one}'s names on {host['name']} and not others; apps that share names, by path, share all of them"
        if _variable(one) == _variable(other):
            yield f"tornado_apps.{other}: nginx cannot tell its name from {one}, which differs in - and _ only; rename one of them"


def _variable(name: str) -> str:
    """The variable of nginx that has the slot of an app; its name may have no hyphen."""
    return f"slot_{name.replace('-', '_')}"


def _is_serial(value: Any) -> bool:
    """Whether Ansible's ``serial`` can do something sensible with a value."""
    if isinstance(value, list):
        return bool(value) and not any(isinstance(step, list) for step in value) and all(_is_serial(step) for step in value)
    match = re.fullmatch(r"0*([1-9]\d*)(%?)", str(value))
    return not isinstance(value, (bool, float)) and bool(match and (not match[2] or int(match[1]) <= 100))


def _checked(apps: Any, defaults: Mapping[str, Any], host: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], Problems]:
    if not isinstance(apps, Mapping) or not apps:
        return {}, ["tornado_apps is empty: it is a dictionary with at least one app, as in inventories/prod"]
    problems: Problems = list(_input_problems(host.get("inputs", {})))
    typed: dict[str, dict[str, Any]] = {}
    plain_defaults = _plain(defaults)
    if host["nofile"] not in NOFILE:
        problems.append(f"tornado_app_nofile is {host['nofile']}: a number from {NOFILE[0]} to {NOFILE[-1]} is needed")
    if host["slot_stride"] < 1:
        problems.append(f"tornado_app_slot_stride is {host['slot_stride']}: at least 1 is needed")
    if not _is_serial(host["serial"]):
        problems.append(
            f"tornado_app_serial is {host['serial']!r}: a number of hosts, a percentage like 25%, or a list of these is needed; "
            """a list is given as JSON: -e '{"tornado_app_serial": [1, "25%", "100%"]}'"""
        )
    if host["bake"] < 0:
        problems.append(f"tornado_app_bake is {host['bake']}: a number of seconds is needed, 0 for none")
    if not 0 <= host["bake_max_errors"] <= 1:
        problems.append(
            f"tornado_app_bake_max_errors is {host['bake_max_errors']}: a share from 0 to 1 is needed, 0.01 for one in a hundred"
        )
    for name, app in apps.items():
        where = f"tornado_apps.{name}"
        if not isinstance(name, str) or not APP_NAME.fullmatch(name) or name in RESERVED_NAMES:
            problems.append(
                f"{where}: {name!r} cannot name a user, a unit and a directory: at most 32 of a-z, 0-9, - and _, "
                f"a letter first, and none of {', '.join(sorted(RESERVED_NAMES))}"
            )
            continue
        if not isinstance(app, Mapping):
            problems.append(f"{where} is not a dictionary of settings")
            continue
        if not isinstance(app.get("secrets") or {}, Mapping):
            problems.append(f"{where}.secrets is not a dictionary of variables")
            continue
        if app.get("state") == "absent":
            problems += _unknown_keys(where, app, APP_OPTIONS)
            problems += [f"{where}.purge is {app['purge']!r}: true or false is needed"] if not _is_bool(app.get("purge", False)) else []
            continue
        settings, found = _typed(where, _plain(app), plain_defaults)
        if settings.get("debug"):
            found += _debug_problems(where, app, host)
            settings["processes"] = 1
        found = found or list(_setting_problems(where, settings, host["slot_stride"]))
        problems += found
        if not found:
            typed[name] = settings
    typed = _with_ports(typed, host["ports"], host)
    return typed, problems + list(_cross_problems(typed, host))


def plan_problems(apps: Any, defaults: Mapping[str, Any], host: Mapping[str, Any]) -> Problems:
    """What cannot work in the settings of a host, one sentence each; empty when a plan can be made."""
    return _checked(apps, defaults, host)[1]


def plan(apps: Any, defaults: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each app looks like on one host: slots, processes, ports, paths and names, with all defaults filled in."""
    typed, problems = _checked(apps, defaults, host)
    if problems:
        raise AnsibleFilterError("; ".join(problems))
    return {name: _planned(name, settings, host) for name, settings in typed.items()}


def _reloader(name: str, settings: Mapping[str, Any], root: str) -> list[str]:
    """What a command is run by for development: a command that runs it anew when a file changes."""
    if not settings["debug"]:
        return []
    watched = [f"--watch={path}" for path in settings["watch"]]
    return ["/usr/bin/python3", "-I", "-S", f"{root}/reload.py", f"--source=/usr/local/src/{name}", *watched, "--"]


def _argv(settings: Mapping[str, Any], root: str) -> list[str]:
    """What starts a web process; empty when the Procfile of the source says it."""
    if settings["wsgi"]:
        return [
            "{python}",
            f"{root}/wsgi.py",
            settings["wsgi"],
            "--socket={socket}" if settings["listen"] == "sockets" else "--port={port}",
        ]
    return shlex.split(settings["command"])


def _is_bool(value: Any) -> bool:
    try:
        boolean(value)
    except TypeError:
        return False
    return True


def _addresses(listen: str, run: str, ports: Sequence[int]) -> list[str]:
    """Where nginx finds the processes of a slot, in its own words; of processes that share a port there is one."""
    if listen == "sockets":
        return [f"unix:{run}/sockets/{port}.sock" for port in ports]
    return [f"127.0.0.1:{port}" for port in (ports if listen == "ports" else ports[:1])]


def absent(apps: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The apps that are to be removed, and what of each: its unit, nginx's files, its own files, and with ``purge`` its user."""
    found = {}
    for name, app in apps.items():
        if app.get("state") == "absent":
            home, purge = f"/srv/{name}", boolean(app.get("purge") or False)
            kept = [home] if purge else [f"{home}/{part}" for part in ("releases", "environments", "slots", "live")]
            found[name] = {
                "name": name,
                "unit": f"{name}.service",
                "unit_file": f"/etc/systemd/system/{name}.service",
                "nginx": [f"conf.d/{name}.conf", *(f"conf.d/{name}.{slot}.conf" for slot in SLOTS)],
                "access_logs": f"{name}.access.log*",
                "paths": [
                    *kept,
                    *(f"/etc/{name}", f"/var/log/{name}", f"/etc/security/limits.d/{name}.conf", f"/run/lock/tornado_app.{name}"),
                ],
                "user": name if purge else "",
            }
    return found


def _host_header(server_names: Sequence[str]) -> str:
    """The name by which nginx is asked for an app: one that it has, or that its first wildcard matches."""
    return next((name for name in server_names if "*" not in name), server_names[0].replace("*", "tornado-app"))


def _slots(name: str, settings: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Slot]:
    home, etc, run = f"/srv/{name}", f"/etc/{name}", f"/run/{name}"
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
            addresses=_addresses(settings["listen"], run, ports),
            workers={},
            listen=settings["listen"],
            processes=settings["processes"],
            host=_host_header(settings["server_names"]),
            prefix=settings["path"].rstrip("/"),
            health=settings["health"],
            drain=settings["drain"],
            stop_timeout=settings["stop_timeout"],
            access_log=f"/var/log/nginx/{name}.access.log",
            cwd=f"{home}/slots/{slot}",
            releases=f"{home}/releases",
            config=f"{etc}/slots/{slot}.conf",
            record=f"{etc}/slots/{slot}.json",
            secrets=f"{etc}/slots/{slot}.secrets.json",
            history=f"{home}/slots/{slot}.history.json",
            upstream=f"{name}_{slot}",
            upstream_config=f"conf.d/{name}.{slot}.conf",
        )
        for slot, ports in slot_ports(settings, host).items()
    }


def _planned(name: str, settings: dict[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    home, etc, run = f"/srv/{name}", f"/etc/{name}", f"/run/{name}"
    return {
        **settings,
        "name": name,
        "user": name,
        "prefix": settings["path"].rstrip("/"),
        "variable": _variable(name),
        "unit": f"{name}.service",
        "unit_file": f"/etc/systemd/system/{name}.service",
        "host": _host_header(settings["server_names"]),
        "nofile": host["nofile"],
        "argv": _argv(settings, host["root"]),
        "reloader": _reloader(name, settings, host["root"]),
        "static": "" if settings["debug"] else settings["static"],
        "environment": {str(key): str(value) for key, value in settings["environment"].items()},
        "secrets": sorted({*settings["secrets"], *([] if COOKIE_SECRET in settings["environment"] else [COOKIE_SECRET])}),  # no values
        "cookie_secret": f"{etc}/cookie_secret",
        "home": home,
        "releases": f"{home}/releases",
        "environments": f"{home}/environments",
        "flag": f"{home}/live/green",
        "shared": f"{home}/shared",
        "etc": etc,
        "config": f"{etc}/supervisord.conf",
        "run": run,
        "sockets": f"{run}/sockets",
        "socket": f"{run}/supervisor.sock",
        "logs": f"/var/log/{name}",
        "journal": settings["logs"] == "journal",
        "access_log": f"/var/log/nginx/{name}.access.log",
        "site_config": f"conf.d/{name}.conf",
        "slots": _slots(name, settings, host),
        "runtime_directories": [
            {"path": run, "owner": name, "group": name, "mode": "0751"},
            {"path": f"{run}/sockets", "owner": name, "group": "www-data", "mode": "2750"},
        ],
        "directories": [
            {"path": path, "owner": owner, "group": group, "mode": mode}
            for path, owner, group, mode in (
                (home, "root", "root", "0755"),
                (f"{home}/releases", "root", "root", "0755"),
                (f"{home}/environments", "root", "root", "0755"),
                (f"{home}/slots", "root", "root", "0755"),
                (f"{home}/live", "root", "root", "0755"),
                (f"{home}/shared", name, name, "0750"),
                (etc, "root", name, "0750"),
                (f"{etc}/slots", "root", name, "0750"),
            )
        ],
    }
