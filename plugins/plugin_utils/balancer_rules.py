"""What cannot be behind a balancer, of what the inventory says of hosts and apps. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from ansible_collections.tornado_app.deploy.plugins.plugin_utils.balancer import (
    Host,
    backends,
    common_names,
    has_tls,
    of_app,
    served,
    sites,
)
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_rules import PREFIX
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.settings import name_problem, trusted_problems
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.site_settings import SERVER_NAME
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.tls import acme_problems, source, unprovable

ADDRESS = re.compile(r"[A-Za-z0-9_.:-]+")


def host_problems(hosts: Iterable[Host]) -> Iterator[str]:
    """What is wrong with the hosts and with single settings."""
    for host in hosts:
        if not ADDRESS.fullmatch(host.address):
            yield f"{host.name} has the address {host.address!r}: give it a load_balancer_address, which the balancer can reach"
        if host.proxy_tls_port and not host.proxy_port:
            yield (
                f"tornado_app_proxy_port of {host.name} is 0, and with tornado_app_proxy_tls_port its nginx knows clients by the PROXY "
                "protocol alone: give it that port, too"
            )
        yield from trusted_problems(f"tornado_app_trusted_proxies of {host.name}", host.trusted)
        for app, given in host.apps.items():
            where = f"tornado_apps.{app}"
            if problem := name_problem(app):
                yield problem
            for setting, names in (("server_names", given["server_names"]), ("redirect_names", given["redirect_names"])):
                for name in names:
                    if not SERVER_NAME.fullmatch(name) or name == "_":
                        yield f"{where}.{setting}: {name!r} on {host.name} is not a valid host name"
            if not PREFIX.fullmatch(given["path"]):
                yield f"{where}.path {given['path']!r} on {host.name} is no valid prefix: it begins and ends with /"


def app_problems(hosts: Sequence[Host]) -> Iterator[str]:
    """What hosts do not agree about, and what two apps would have in common."""
    for app in served(hosts):
        where, members = f"tornado_apps.{app}", of_app(hosts, app)
        named = ", ".join(host.name for host in members)
        if not common_names(hosts, app):
            yield f"{where}.server_names: no name is on all of {named}; the balancer needs one that each of them answers for"
        for setting in ("path", "tls", "balance"):
            if any(host.apps[app][setting] != members[0].apps[app][setting] for host in members):
                yield f"{where}.{setting} is not the same on all of {named}, as behind a balancer it has to be"
    for one, other in combinations(served(hosts), 2):
        ours, others = common_names(hosts, one), common_names(hosts, other)
        common = ", ".join(name for name in ours if name in others)
        mine, theirs = of_app(hosts, one)[0].apps[one], of_app(hosts, other)[0].apps[other]
        if common and mine["path"] == theirs["path"]:
            where = f"{common}{theirs['path']}"
            yield f"tornado_apps.{other}.server_names: {where} is {one}'s already; give each app names of its own, or a path"


def terminated_problems(hosts: Sequence[Host]) -> Iterator[str]:
    """What stands against TLS that ends at the balancer."""
    for app in served(hosts):
        given = of_app(hosts, app)[0].apps[app]["tls"]
        where = f"tornado_apps.{app}.tls"
        if source(given) == "acme":
            yield from acme_problems(f"{where}.acme", given["acme"])
            for setting in ("server_names", "redirect_names"):
                yield from unprovable(f"tornado_apps.{app}.{setting}", common_names(hosts, app, setting))
        if bool(given["certificate"]) != bool(given["key"]):
            yield f"{where} needs both certificate and key"
        for host in of_app(hosts, app) if has_tls(given) else []:
            if host.proxy_port:
                yield (
                    f"{where} ends at the balancer, and nginx of {host.name} does not hear of it by the PROXY protocol: set its "
                    "tornado_app_proxy_port to 0, or load_balancer_tls to pass"
                )


def passed_problems(hosts: Sequence[Host]) -> Iterator[str]:
    """What stands against TLS that is passed to the hosts. A connection goes to a host as it is, whatever path is asked for."""
    for app in served(hosts):
        members = of_app(hosts, app)
        for host in members if has_tls(members[0].apps[app]["tls"]) else []:
            if not host.proxy_tls_port:
                yield f"load_balancer_tls is pass, and tornado_app_proxy_tls_port of {host.name} is 0: give it a port for TLS"
    for site in sites(backends(hosts)):
        if not site["servers"]:
            yield (
                f"load_balancer_tls is pass, and no host has all apps of {', '.join(site['names'])}: give one host all of them, or each "
                "app names of its own"
            )


def problems(hosts: Sequence[Host], mode: str) -> list[str]:
    """All that stands against a balancer for these hosts; empty when there is nothing."""
    if not hosts:
        return ["there is no host to balance: the group of tornado_app_group is empty in the inventory"]
    found = list(host_problems(hosts))
    if not served(hosts):
        found.append("no app has server_names: clients of a balancer ask for a name that each host of the app answers for")
    found = found or list(app_problems(hosts))
    return found or list(passed_problems(hosts) if mode == "pass" else terminated_problems(hosts))
