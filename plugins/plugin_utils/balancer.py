"""The balancer: which of its backends gets a request, and which hosts each backend has. Pure functions.

It knows what the inventory says of the apps of all hosts, and nothing of what a run has found there: a host that a run leaves out stays in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import is_address
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.site_settings import asked_name
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.tls import source

VERSION = re.compile(r"version (\d+)\.(\d+)")
NEWEST = [99, 0]
HTTP = 80
ISSUERS = "acme."  # the backend with the balancers, in one word that names no app
MARGIN = 10  # seconds for which the balancer waits longer than nginx does, so that it is nginx who says that an app is late


class Tls(TypedDict):
    """What an app says of TLS; ``certificate`` and ``key`` are files of the controller, ``acme`` has an account's email and directory."""

    certificate: str
    key: str
    self_signed: bool
    acme: dict[str, str]
    redirect: bool
    hsts: int


class Given(TypedDict):
    """What the inventory says of an app on a host."""

    server_names: list[str]
    redirect_names: list[str]
    path: str
    proxy_read_timeout: int
    tls: Tls
    balance: str


class Host(NamedTuple):
    """A host of the fleet, where the balancer reaches it, its apps, and the ports on which nginx takes the PROXY protocol, 0 for none.

    ``trusted`` are the proxies that it believes beside the balancers.
    """

    name: str
    address: str
    apps: Mapping[str, Given]
    proxy_port: int = 0
    proxy_tls_port: int = 0
    trusted: Sequence[str] = ()


class Server(TypedDict):
    """A host as a backend has it. With ``proxied`` its ``port`` takes the PROXY protocol, and nginx believes nothing else of the client.

    ``cookie`` is its name in cookies, which tells nobody how it is called inside.
    """

    name: str
    cookie: str
    address: str
    port: int
    proxied: bool
    tls_port: int


class Backend(TypedDict):
    """An app behind the balancer. ``host`` is the name by which hosts are asked for it, ``timeout`` is seconds.

    Requests for the ``other_names`` are sent on by hosts, to its first name.
    """

    app: str
    names: list[str]
    other_names: list[str]
    host: str
    prefix: str
    timeout: int
    tls: Tls
    balance: str
    servers: list[Server]


class Route(TypedDict):
    """Requests for these names, whole or by their ends, go to the backend of an app; with a prefix those below it alone."""

    app: str
    names: list[str]
    match: str
    prefix: str


class Site(TypedDict):
    """The apps that share their names, for what cannot see more of a request than its name."""

    name: str
    names: list[str]
    tls: Tls
    asked: list[tuple[str, str]]  # host and prefix of each app
    sticky: bool
    servers: list[Server]


def of_app(hosts: Sequence[Host], app: str) -> list[Host]:
    return [host for host in hosts if app in host.apps]


def apps(hosts: Sequence[Host]) -> list[str]:
    """The apps of all hosts, each once."""
    return list(dict.fromkeys(app for host in hosts for app in host.apps))


def common_names(hosts: Sequence[Host], app: str, setting: Literal["server_names", "redirect_names"] = "server_names") -> list[str]:
    """The names that an app has on each of its hosts: any host can answer for these, and a host's own name is not among them."""
    first, *others = of_app(hosts, app)
    return [
        name
        for name in dict.fromkeys(name.lower() for name in first.apps[app][setting])
        if all(name in map(str.lower, other.apps[app][setting]) for other in others)
    ]


def unnamed(hosts: Sequence[Host]) -> list[str]:
    """The apps that no host gives a name, which the balancer leaves alone: they have the names of their hosts."""
    return [app for app in apps(hosts) if not any(host.apps[app]["server_names"] for host in of_app(hosts, app))]


def served(hosts: Sequence[Host]) -> list[str]:
    return [app for app in apps(hosts) if app not in unnamed(hosts)]


def has_tls(tls: Tls) -> bool:
    return bool(source(tls))


def server(host: Host) -> Server:
    """A host as HAProxy takes it: of names it knows these characters alone, and an IPv6 address is told from a port by brackets."""
    address = f"[{host.address}]" if ":" in host.address else host.address
    return {
        "name": re.sub(r"[^A-Za-z0-9_.:-]", "_", host.name),
        "cookie": hashlib.sha256(host.name.encode()).hexdigest()[:12],
        "address": address,
        "port": host.proxy_port or HTTP,
        "proxied": bool(host.proxy_port),
        "tls_port": host.proxy_tls_port,
    }


def backends(hosts: Sequence[Host]) -> list[Backend]:
    """One backend for each app, with all hosts that have it."""
    found = []
    for app in served(hosts):
        members, names = of_app(hosts, app), common_names(hosts, app)
        given = members[0].apps[app]
        found.append(
            Backend(
                app=app,
                names=names,
                other_names=common_names(hosts, app, "redirect_names"),
                host=asked_name(names),
                prefix=given["path"].rstrip("/"),
                timeout=max(host.apps[app]["proxy_read_timeout"] for host in members) + MARGIN,
                tls=given["tls"],
                balance=given["balance"],
                servers=[server(host) for host in members],
            )
        )
    return found


def in_order(found: Iterable[tuple[str, list[str], str]]) -> list[Route]:
    """Who gets a request, in the order in which the balancer asks.

    As nginx: a whole name before a wildcard, and the longest of these; of one name the longest prefix.
    """
    whole, ends = [], []
    for app, names, prefix in found:
        if exact := [name for name in names if not name.startswith("*")]:
            whole.append(Route(app=app, names=exact, match="str", prefix=prefix))
        ends += [Route(app=app, names=[name[1:]], match="end", prefix=prefix) for name in names if name.startswith("*")]
    whole.sort(key=lambda route: -len(route["prefix"]))
    ends.sort(key=lambda route: (-len(route["names"][0]), -len(route["prefix"])))
    return [*whole, *ends]


def sites(found: Sequence[Backend]) -> list[Site]:
    """The sites of the apps with TLS, those with an address among their names first.

    A host is well for a site when it is well for all apps of it, and has them.
    """
    together: dict[frozenset[str], list[Backend]] = {}
    for backend in found:
        if has_tls(backend["tls"]):
            together.setdefault(frozenset(backend["names"]), []).append(backend)
    made = [
        Site(
            name=members[0]["app"],
            names=list(dict.fromkeys(name for member in members for name in (*members[0]["names"], *member["other_names"]))),
            tls=members[0]["tls"],
            asked=[(member["host"], member["prefix"]) for member in members],
            sticky=any(member["balance"] != "least_conn" for member in members),
            servers=[one for one in members[0]["servers"] if all(one in member["servers"] for member in members)],
        )
        for members in together.values()
    ]
    return sorted(made, key=lambda site: not has_address(site))


def has_address(site: Site) -> bool:
    """Whether clients come by an address; these name none as they ask for a certificate."""
    return any(map(is_address, site["names"]))


def version(said: str) -> list[int]:
    """The first two numbers of what `haproxy -v` says; where it is not installed, the newest one is meant."""
    found = VERSION.search(said)
    return [int(number) for number in found.groups()] if found else NEWEST


def template_variables(hosts: Sequence[Host], mode: str, certificates: bool, said: str, issuers: Sequence[Server]) -> dict[str, Any]:
    """What the template of the configuration takes.

    ``certificates`` says whether the balancer has any; ``said`` is what `haproxy -v` has printed. ``issuers`` are the balancers, one of
    which may be asking for a certificate.
    """
    found = backends(hosts)
    ends_here = mode == "terminate"
    passed = [] if ends_here else sites(found)
    issued = [site for site in sites(found) if source(site["tls"]) == "acme"]
    return {
        "version": version(said),
        "trusted": list(dict.fromkeys(network for host in hosts for network in host.trusted)),
        "backends": found,
        "routes": in_order(
            [*((one["app"], one["names"], one["prefix"]) for one in found), *((one["app"], one["other_names"], "") for one in found)]
        ),
        "secure": [one["app"] for one in found if ends_here and has_tls(one["tls"])],
        "certificates": certificates,
        "proved_by": {name: ISSUERS if ends_here else site["name"] for site in issued for name in site["names"]},
        "issuers": issuers if issued and ends_here else [],
        "strict": not any(map(has_address, sites(found))),
        "passed": passed,
        "by_address": next((site["name"] for site in passed if has_address(site)), ""),
        "routes_of_sites": in_order((one["name"], one["names"], "") for one in passed),
    }
