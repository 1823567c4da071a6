"""The rules for single settings: what the value of each must not be, and what is said then."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_types import USERINFO

LOG_BUDGET_MIN = 1_000_000  # bytes
MEMORY_MIN = 16_000_000  # bytes, about those of a Python that does nothing
PYTHON = re.compile(r"\d+\.\d+")
WSGI = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
PREFIX = re.compile(r"/((?!\.{1,2}/)[A-Za-z0-9._~-]+/)*")
URL_PATH = re.compile(r"/[!-~]*")
RELATIVE_PATH = re.compile(r"(?!/)(?!.*(^|/)\.\.(/|$))[A-Za-z0-9._/-]+")
DIRECTORY = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._+-]+)+")
DEVICE = re.compile(r"/dev(/(?!\.{1,2}(/|$))[A-Za-z0-9._+-]+)+")
# What root, systemd and the role read and write, and what no unit of an app can see.
SYSTEM_DIRECTORIES = frozenset(["bin", "boot", "dev", "etc", "home", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "usr"])
ROLES_DIRECTORIES = ("/opt/tornado_app", "/var/lib/tornado_app", "/var/log", "/var/spool")
# Redis reads neither quotes nor backslashes of its file of users as they are.
REDIS_PATTERN = re.compile(r"[A-Za-z0-9_.:/{}*?^\[\]|@#+=,-]+")
NGINX_SIZE = re.compile(r"\d+[kKmMgG]?")

App = Mapping[str, Any]
Predicate = Callable[[Any, App], Any]


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
    ("processes", _below(0), "is {value}: a number is needed, 0 for a host that runs workers alone"),
    (
        "processes",
        lambda value, app: value == 0 and app["wsgi"],
        "is 0, and wsgi starts web processes: leave it out where there are none, or give processes",
    ),
    ("liveness.failures", _below(1), "is {value}: at least 1 is needed"),
    *(
        (setting, _below(1), "is {value}: a number of seconds above 0 is needed")
        for setting in (
            "health.timeout",
            "liveness.timeout",
            "drain.timeout",
            "stop_timeout",
            "proxy_read_timeout",
            "maintenance.retry_after",
        )
    ),
    *((f"limits.{limit}", _below(0), "is {value}: a number is needed, 0 for no limit") for limit in ("rate", "burst", "connections")),
    ("limits.burst", lambda value, app: value > 0 and not app["limits"]["rate"], "is for limits.rate, which is 0; give both"),
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
    (
        "balance",
        lambda value, app: value != "least_conn" and app["listen"] in ("shared", "fork"),
        "is {value}, and processes that share a port are chosen by the kernel: it takes listen: ports, or sockets",
    ),
    (
        "health.path",
        lambda value, app: app["path"].strip("/") and f"{value}/".startswith(app["path"]),
        "{value!r} begins with the app's path, which comes before it anyway: leave that out; when the app has it in its own paths, give it "
        "strip_path: false",
    ),
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
    (
        "redis_keys",
        lambda value, _: not all(REDIS_PATTERN.fullmatch(pattern) for pattern in value),
        "is {value}: patterns of Redis are needed, like shop:*, without spaces, quotes and backslashes; an empty list for none",
    ),
    *((setting, _outside, "{value!r} is not a valid relative path inside the source") for setting in ("requirements", "static")),
)


def value_of(app: App, setting: str) -> Any:
    """The value of a setting, which may be in a dictionary: health.path."""
    found: Any = app
    for key in setting.split("."):
        found = found[key]
    return found
