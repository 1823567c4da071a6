"""The settings of an app's site in nginx that have a structure of their own: what must not be, and how they are planned."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import is_address
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_rules import RELATIVE_PATH
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_types import kind_of

SERVER_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[?[0-9A-Fa-f:]+\]?")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
CONTROL = re.compile(r"[\0-\x1f\x7f]")
# What nginx makes for each answer, or what means something else with each answer of the app.
OWN_HEADERS = frozenset(
    {
        *("accept-ranges", "cache-control", "connection", "content-encoding", "content-length", "content-range", "content-type", "date"),
        *("etag", "expires", "keep-alive", "last-modified", "location", "retry-after", "server", "set-cookie", "trailer"),
        *("transfer-encoding", "upgrade", "vary", "www-authenticate"),
    }
)
USER = re.compile(r"[!-\"$-9;-~][!-9;-~]*")  # what ends a name in nginx's file is none, and what begins a comment
_SALTED = {"1": 22, "apr1": 22, "5": 43, "6": 86}  # scheme -> characters of its hash
# What nginx itself and crypt(3) of Debian know, as they write it; what nginx would take without a salt is not among it.
HASH = re.compile(
    "|".join(
        (
            *(rf"\${scheme}\$(rounds=\d+\$)?[./0-9A-Za-z]{{1,16}}\$[./0-9A-Za-z]{{{size}}}" for scheme, size in _SALTED.items()),
            r"\$y\$[./0-9A-Za-z]+\$[./0-9A-Za-z]+\$[./0-9A-Za-z]{43}",
            r"\$2[aby]\$\d\d\$[./0-9A-Za-z]{53}",
            r"\{SSHA\}[0-9A-Za-z+/]{32,}={0,2}",
        )
    )
)
ERROR_PAGES = ("401", "403", "404", "413", "429", "502", "503", "504")
# Of nginx's text: what has no meaning in it. A quote begins one only where a word does.
INERT = re.compile(r"""\\.|(?<![^\s{};])(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|#[^\n]*)""", re.DOTALL)
# Directives that are inherited only where there is none of them.
CANCELLING = {
    "nginx_server": {"add_header": "give it as response_headers"},
    "nginx_location": {"add_header": "give it as response_headers", "proxy_set_header": "put it into nginx_server"},
}

App = Mapping[str, Any]


def asked_name(names: Sequence[str]) -> str:
    """A name by which a host is asked for an app: a whole one, or one that its first wildcard matches.

    An address is the last choice: by it a host answers for all of its apps. Empty for an app that is asked for nothing.
    """
    whole = sorted((name for name in names if "*" not in name), key=is_address)
    return next(iter((*whole, *(name.replace("*", "tornado-app") for name in names))), "")


def site_problems(where: str, app: App) -> Iterator[str]:
    """What is wrong with the settings of an app's site, beside what a rule of setting_rules says."""
    yield from _redirect_problems(f"{where}.redirect_names", app)
    yield from _header_problems(f"{where}.response_headers", app["response_headers"])
    yield from _user_problems(f"{where}.basic_auth", app["basic_auth"])
    yield from _page_problems(where, app)
    for setting, cancelling in CANCELLING.items():
        yield from _line_problems(f"{where}.{setting}", app[setting], cancelling)
    for address in app["maintenance"]["allow"]:
        if problem := _network_problem(address):
            yield f"{where}.maintenance.allow: {address!r} is not an address or a network like 192.0.2.0/24: {problem}"


def _redirect_problems(where: str, app: App) -> Iterator[str]:
    for name in app["redirect_names"]:
        if not SERVER_NAME.fullmatch(name) or name == "_":
            yield f"{where}: {name!r} is not a valid host name"
    if both := sorted(lower(app["redirect_names"]) & lower(app["server_names"])):
        yield f"{where} has {', '.join(both)}, which is among server_names too: it either leads somewhere or is served"
    if app["redirect_names"] and all("*" in name for name in app["server_names"]):
        yield f"{where} needs one of server_names to lead to that has no *"


def _header_problems(where: str, headers: Mapping[Any, Any]) -> Iterator[str]:
    seen: set[str] = set()
    for name, value in headers.items():
        if not isinstance(name, str) or not HEADER.fullmatch(name):
            yield f"{where}: {name!r} is not a valid name of a header"
        elif name.lower() in OWN_HEADERS:
            yield f"{where}.{name} is a matter of each answer: the app, or nginx, gives it where it belongs"
        elif name.lower() in seen:
            yield f"{where}.{name} is there twice: upper and lower case are one"
        elif kind := kind_of(value):
            yield f"{where}.{name} is {kind}: write it in quotes"
        elif CONTROL.search(str(value)):
            yield f"{where}.{name} has a line break or another control character, which no header can have"
        seen.add(str(name).lower())


def _user_problems(where: str, users: Mapping[Any, Any]) -> Iterator[str]:
    """No message shows what may be a password."""
    for user, password in users.items():
        if not isinstance(user, str) or not USER.fullmatch(user):
            yield f"{where}: {user!r} is not a valid name of a user: it has no space and no colon, and is text in quotes"
        elif not isinstance(password, str) or not HASH.fullmatch(password):
            yield (
                f"{where}.{user} is not a hash of a password that nginx knows ($6$, $5$, $y$, $2y$, $apr1$, $1$, {{SSHA}}); "
                "make one with: openssl passwd -6"
            )


def _page_problems(where: str, app: App) -> Iterator[str]:
    pages = [(f"error_pages.{status}", page) for status, page in app["error_pages"].items()]
    pages += [("maintenance.page", app["maintenance"]["page"])] if app["maintenance"]["page"] else []
    for setting, page in pages:
        if not isinstance(page, str) or not RELATIVE_PATH.fullmatch(page):
            yield f"{where}.{setting} is {page!r}: the path of a file below the directory `static` is needed, like errors/down.html"
        elif not app["static"]:
            yield f"{where}.{setting} is a file below the directory `static`, which is empty: give both"
    for status in app["error_pages"]:
        if str(status) not in ERROR_PAGES:
            yield f"{where}.error_pages.{status} is not a status that nginx itself answers here: {', '.join(ERROR_PAGES)}"


def _line_problems(where: str, lines: str, cancelling: Mapping[str, str]) -> Iterator[str]:
    """What would end in another place than it begins, so that nginx would name the wrong line; and what cancels more than it sets."""
    bare = INERT.sub(lambda found: "" if found[0].startswith("#") else "x", lines)
    depth, own = 0, ""
    for character in bare:
        own += character if depth == 0 else ""
        depth += (character == "{") - (character == "}")
        if depth < 0:
            break
    if depth:
        yield f"{where} has a {'{' if depth > 0 else '}'} without its other half"
    elif bare.strip() and bare.strip()[-1] not in ";}":
        yield f"{where} does not end with ; or }}"
    else:
        for directive, way_out in cancelling.items():
            if re.search(rf"(^|[;}}\s]){directive}\s", own):
                yield f"{where} has {directive}, which would cancel all others that come from outside of it: {way_out}"


def _network_problem(address: str) -> str:
    try:
        ipaddress.ip_network(address)
    except ValueError as problem:
        return str(problem)
    return ""


def lower(names: list[str]) -> set[str]:
    """Names as they are compared."""
    return {name.lower() for name in names}


def redirect_problems(apps: Mapping[str, App], host: str) -> Iterator[str]:
    """Which names of apps of a host lead somewhere and are another app's too."""
    for one, other in permutations(apps, 2):
        ours, names = lower(apps[one]["redirect_names"]), lower(apps[other]["server_names"])
        together = names == lower(apps[one]["server_names"])
        if common := [] if together else sorted(ours & names):
            yield f"tornado_apps.{one}.redirect_names: {', '.join(common)} on {host} is served for {other}; take it from one of them"
        if one < other and (common := [] if together else sorted(ours & lower(apps[other]["redirect_names"]))):
            yield f"tornado_apps.{other}.redirect_names: {', '.join(common)} on {host} leads to {one} already; take it from one of them"


def unserved(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of an app without web processes, of which nginx serves nothing, and of which no name is another app's."""
    tls = {**settings["tls"], "certificate": "", "key": "", "acme": {"email": "", "directory": ""}, "self_signed": False}
    return {**settings, "server_names": [], "redirect_names": [], "static": "", "basic_auth": {}, "error_pages": {}, "tls": tls}


def of_site(settings: App) -> dict[str, Any]:
    """These settings as they are in a plan: names of users without what is secret, and no file where nginx has none."""
    files = bool(settings["static"]) and not settings["debug"]
    return {
        "response_headers": {name: str(value) for name, value in settings["response_headers"].items()},
        "basic_auth": sorted(settings["basic_auth"]),
        "error_pages": {str(status): page for status, page in settings["error_pages"].items()} if files else {},
        "maintenance": {**settings["maintenance"], "page": settings["maintenance"]["page"] if files else ""},
    }
