"""The rules for settings: what the types alone do not say about one app, and about the inputs of a host."""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import HostSettings
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_types import (
    APP_OPTIONS,
    USERINFO,
    Problems,
    Settings,
    input_problems,
    kind_of,
    plain,
    typed,
    unknown_keys,
)

LOG_BUDGET_MIN = 1_000_000  # bytes
MEMORY_MIN = 16_000_000  # bytes, about those of a Python that does nothing
PRODUCTION = {"prod", "production"}
NOFILE = range(1024, 2147483585)  # above it the kernel's own fs.nr_open cannot be raised

# Linux allows user names of 32 bytes; of the allowed characters these are also safe in paths, unit and upstream names.
APP_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
RESERVED_NAMES = frozenset({"tornado_app", "tornado_app-build", "nginx", "root", "www-data", "default"})
SERVER_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[?[0-9A-Fa-f:]+\]?")
KIND = re.compile(r"[A-Za-z0-9_-]+")
PYTHON = re.compile(r"\d+\.\d+")
WSGI = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PREFIX = re.compile(r"/((?!\.{1,2}/)[A-Za-z0-9._~-]+/)*")
URL_PATH = re.compile(r"/[!-~]*")
RELATIVE_PATH = re.compile(r"(?!/)(?!.*(^|/)\.\.(/|$))[A-Za-z0-9._/-]+")
DIRECTORY = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._+-]+)+")
DEVICE = re.compile(r"/dev(/(?!\.{1,2}(/|$))[A-Za-z0-9._+-]+)+")
# What root, systemd and the role read and write, and what no unit of an app can see.
SYSTEM_DIRECTORIES = frozenset(["bin", "boot", "dev", "etc", "home", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "usr"])
ROLES_DIRECTORIES = ("/opt/tornado_app", "/var/lib/tornado_app", "/var/log", "/var/spool")
NGINX_SIZE = re.compile(r"\d+[kKmMgG]?")


App = Mapping[str, Any]
Predicate = Callable[[Any, App], Any]


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
            if kind := kind_of(value):
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


def _is_of_the_system(path: str) -> bool:
    """Whether an app that can write there could change what root, systemd or the role reads."""
    parts = path.split("/")
    inside = any(f"{path}/".startswith(f"{directory}/") for directory in ROLES_DIRECTORIES)
    return not DIRECTORY.fullmatch(path) or parts[1] in SYSTEM_DIRECTORIES or path in ("/srv", "/opt", "/var", "/var/lib") or inside


def _with_credentials(url: str, _: App) -> bool:
    """Whether a URL says a password, or what may be a token; the name of a user of ssh is neither."""
    found = USERINFO.search(url)
    return found is not None and (":" in found[1] or "ssh" not in url[: found.start()])


# What a setting must not be, and what is said then. A message goes on after the setting's name.
RULES: tuple[tuple[str, Predicate, str], ...] = (
    *((setting, _below(1), "is {value}: at least 1 is needed") for setting in ("processes", "liveness.failures")),
    *(
        (setting, _below(1), "is {value}: a number of seconds above 0 is needed")
        for setting in ("health.timeout", "liveness.timeout", "drain.timeout", "stop_timeout", "proxy_read_timeout")
    ),
    ("liveness.interval", _below(0), "is {value}: a number of seconds is needed, 0 for none"),
    (
        "memory_limit",
        lambda value, _: 0 < value < MEMORY_MIN,
        f"is {{value}}: at least {MEMORY_MIN} bytes are needed, as in 500M, or 0",
    ),
    ("watch", lambda value, app: value and not app["debug"], "is for debug: true; without that nothing is watched"),
    (
        "listen",
        lambda value, app: app["debug"] and value in ("shared", "fork"),
        "is {value}, which is for several processes; with debug there is one",
    ),
    (
        "source",
        _with_credentials,
        "has a name or a password before the host of its URL, which tasks would show: leave it out, and give it to git itself, by a "
        "credential helper, GIT_ASKPASS or ~/.netrc; or name the repository as ssh://git@… with a deploy key",
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
    (
        "sandbox.writable",
        lambda value, _: any(_is_of_the_system(path) for path in value),
        "is {value}: a directory that is not the system's or another app's is needed, like /mnt/uploads",
    ),
    (
        "sandbox.devices",
        lambda value, _: not all(DEVICE.fullmatch(path) for path in value),
        "is {value}: device files are needed, like /dev/ttyUSB0",
    ),
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


def setting_problems(where: str, app: App, stride: int) -> Iterator[str]:
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


def debug_problems(where: str, given: Mapping[str, Any], host: HostSettings) -> Iterator[str]:
    if PRODUCTION.intersection(Path(name).stem for name in host["inventory"]):
        yield f"{where}.debug is for development, and the inventory of {host['name']} calls itself production"
    if given.get("processes") not in (None, 1, "1"):
        yield f"{where} has debug and {given['processes']} processes: with debug there is one, leave out processes"


def is_serial(value: Any) -> bool:
    """Whether Ansible's ``serial`` can do something sensible with a value."""
    if isinstance(value, list):
        return bool(value) and not any(isinstance(step, list) for step in value) and all(is_serial(step) for step in value)
    match = re.fullmatch(r"0*([1-9]\d*)(%?)", str(value))
    return not isinstance(value, (bool, float)) and bool(match and (not match[2] or int(match[1]) <= 100))


def is_bool(value: Any) -> bool:
    try:
        boolean(value)
    except TypeError:
        return False
    return True


def host_problems(host: HostSettings) -> Iterator[str]:
    """What is wrong with the inputs of a host."""
    yield from input_problems(host.get("inputs", {}))
    if host["nofile"] not in NOFILE:
        yield f"tornado_app_nofile is {host['nofile']}: a number from {NOFILE[0]} to {NOFILE[-1]} is needed"
    if host["slot_stride"] < 1:
        yield f"tornado_app_slot_stride is {host['slot_stride']}: at least 1 is needed"
    if not is_serial(host["serial"]):
        yield (
            f"tornado_app_serial is {host['serial']!r}: a number of hosts, a percentage like 25%, or a list of these is needed; "
            """a list is given as JSON: -e '{"tornado_app_serial": [1, "25%", "100%"]}'"""
        )
    if host["bake"] < 0:
        yield f"tornado_app_bake is {host['bake']}: a number of seconds is needed, 0 for none"
    if not 0 <= host["bake_max_errors"] <= 1:
        yield (f"tornado_app_bake_max_errors is {host['bake_max_errors']}: a share from 0 to 1 is needed, 0.01 for one in a hundred")


def name_problem(name: Any) -> str:
    """Why a name cannot be that of an app; empty when it can."""
    if isinstance(name, str) and APP_NAME.fullmatch(name) and name not in RESERVED_NAMES:
        return ""
    return (
        f"tornado_apps.{name}: {name!r} cannot name a user, a unit and a directory: at most 32 of a-z, 0-9, - and _, "
        f"a letter first, and none of {', '.join(sorted(RESERVED_NAMES))}"
    )


def shape_problem(where: str, app: Any) -> str:
    """Why an entry cannot be looked at any further; empty when it can."""
    if not isinstance(app, Mapping):
        return f"{where} is not a dictionary of settings"
    if not isinstance(app.get("secrets") or {}, Mapping):
        return f"{where}.secrets is not a dictionary of variables"
    return ""


def absent_problems(where: str, app: App) -> Iterator[str]:
    """What is wrong with an app that is to be absent, of which most keys do not count."""
    yield from unknown_keys(where, app, APP_OPTIONS)
    if not is_bool(app.get("purge", False)):
        yield f"{where}.purge is {app['purge']!r}: true or false is needed"


def checked_app(name: Any, app: Any, defaults: Mapping[str, Any], host: HostSettings) -> tuple[Settings, Problems]:
    """The settings of one app with all defaults, and what is wrong with them. An app that is to be absent has no settings."""
    where = f"tornado_apps.{name}"
    if problem := name_problem(name) or shape_problem(where, app):
        return {}, [problem]
    if app.get("state") == "absent":
        return {}, list(absent_problems(where, app))
    settings, found = typed(where, plain(app), defaults)
    if settings.get("debug"):
        found += debug_problems(where, app, host)
        settings["processes"] = 1
    return settings, found or list(setting_problems(where, settings, host["slot_stride"]))
