"""The rules for settings: what the types alone do not say about one app, and about the inputs of a host."""

from __future__ import annotations

import ipaddress
import re
import shlex
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import tls
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.job_settings import job_problems
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import HostSettings
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_rules import RULES, value_of
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_types import (
    APP_OPTIONS,
    Problems,
    Settings,
    input_problems,
    kind_of,
    plain,
    typed,
    unknown_keys,
)
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.site_settings import SERVER_NAME, site_problems, unserved

PRODUCTION = {"prod", "production"}
NOFILE = range(1024, 2147483585)  # above it the kernel's own fs.nr_open cannot be raised

# Linux allows user names of 32 bytes; of the allowed characters these are also safe in paths, unit and upstream names.
APP_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
RESERVED_NAMES = frozenset({"tornado_app", "tornado_app-build", "nginx", "root", "www-data", "default"})
KIND = re.compile(r"[A-Za-z0-9_-]+")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

App = Mapping[str, Any]


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


def setting_problems(where: str, app: App, host: HostSettings) -> Iterator[str]:
    """What the types alone do not tell about one app."""
    for setting, is_wrong, message in RULES:
        value = value_of(app, setting)
        if is_wrong(value, app):
            yield f"{where}.{setting} {message.format(value=value)}"
    if app["processes"] > host["slot_stride"]:
        yield f"{where}.processes {app['processes']} is above tornado_app_slot_stride {host['slot_stride']}: raise the stride"
    yield from _start_problems(where, app)
    yield from _scale_problems(where, app["scale"])
    yield from job_problems(where, app)
    yield from _name_problems(where, app["server_names"])
    yield from tls.setting_problems(where, app, host)
    yield from _variable_problems(where, app)
    yield from site_problems(where, app)


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


def is_network(text: Any) -> bool:
    """Whether nginx can take a text for an address or a network."""
    try:
        ipaddress.ip_network(text if isinstance(text, str) else "")
    except ValueError:
        return False
    return True


def trusted_problems(where: str, networks: Iterable[Any]) -> Iterator[str]:
    """Who cannot be trusted as a proxy."""
    for network in networks:
        if not is_network(network):
            yield (
                f"{where}: {network!r} is neither an address nor a network like 10.0.0.0/24; "
                "a name would have to be resolved, and could become somebody else's"
            )


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
    yield from trusted_problems("tornado_app_trusted_proxies", host["trusted_proxies"])
    for setting, other, example in (("proxy_port", 0, 8081), ("proxy_tls_port", host["proxy_port"], 8444)):
        port = host[setting]  # type: ignore[literal-required]
        if port not in range(65536) or (port and port in (80, 443, other)):
            yield f"tornado_app_{setting} is {port}: a port that nginx has not yet is needed, like {example}, or 0 for none"
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
    if not isinstance(app.get("basic_auth") or {}, Mapping):
        return f"{where}.basic_auth is not a dictionary of users"
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
    found = found or list(setting_problems(where, settings, host))
    return settings if found or settings["processes"] else unserved(settings), found
