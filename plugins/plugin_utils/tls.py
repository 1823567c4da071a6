"""TLS in the settings: where the certificate of an app comes from, what cannot be, and which apps share one. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Tls
from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import is_address
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx import OWN_FILES
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import HostSettings

NGINX_ROOT = "/etc/nginx"
EMAIL = re.compile(r"[!-~]+@[A-Za-z0-9.-]+")
DIRECTORY = re.compile(r"https://[!-~]+")

App = Mapping[str, Any]


def source(tls: Mapping[str, Any]) -> str:
    """Where the certificate comes from: files, acme or self_signed; empty without TLS, the first one where there are several."""
    given = {
        "files": tls["certificate"] or tls["key"],
        "acme": tls["acme"]["email"] or tls["acme"]["directory"],
        "self_signed": tls["self_signed"],
    }
    return next((way for way, is_given in given.items() if is_given), "")


def setting_problems(where: str, app: App, host: HostSettings) -> Iterator[str]:
    """What cannot be of the TLS of one app on a host."""
    tls = app["tls"]
    ways = [way for way in ("certificate", "acme", "self_signed") if source({**NONE, way: tls[way]})]
    if len(ways) > 1:
        yield f"{where}.tls has {' and '.join(ways)}: one of them says where the certificate comes from"
    if bool(tls["certificate"]) != bool(tls["key"]):
        given, missing = ("certificate", "key") if tls["certificate"] else ("key", "certificate")
        yield f"{where}.tls has {given} and no {missing}: nginx needs both"
    if tls["hsts"] < 0:
        yield f"{where}.tls.hsts is {tls['hsts']}: a number of seconds is needed, 0 for none"
    elif tls["hsts"] and "strict-transport-security" in map(str.lower, map(str, app["response_headers"])):
        yield f"{where}.response_headers has Strict-Transport-Security, which tls.hsts says already: one of them is enough"
    elif tls["hsts"] and not source(tls):
        yield f"{where}.tls.hsts is for TLS: give it certificate and key, acme, or self_signed"
    if source(tls) == "acme":
        yield from acme_problems(f"{where}.tls.acme", tls["acme"])
    if source(of_host(tls, host)) == "acme":
        for setting in ("server_names", "redirect_names"):
            yield from unprovable(f"{where}.{setting}", app[setting])


NONE: dict[str, Any] = {"certificate": "", "key": "", "acme": {"email": "", "directory": ""}, "self_signed": False}


def of_host(tls: Mapping[str, Any], host: HostSettings) -> dict[str, Any]:
    """TLS as a host has it: where it ends at the balancer, that redirects, and has what an ACME server issues.

    A host that redirects as well does so before the balancer has a certificate, and clients find nobody there.
    """
    return {**tls, "acme": NONE["acme"], "redirect": False} if host["tls_at_balancer"] else {**tls}


def acme_problems(where: str, acme: Mapping[str, str]) -> Iterator[str]:
    if not EMAIL.fullmatch(acme["email"]):
        yield f"{where}.email {acme['email']!r} is not an address: the server wants one that somebody reads"
    if acme["directory"] and not DIRECTORY.fullmatch(acme["directory"]):
        yield f"{where}.directory {acme['directory']!r} is not a URL that begins with https://"


def unprovable(where: str, names: Sequence[str]) -> Iterator[str]:
    """The names that HTTP-01 cannot prove, as all of those of a certificate have to be."""
    for name in names:
        if "*" in name or "." not in name or is_address(name):
            kind = "a wildcard" if "*" in name else "an address" if is_address(name) else "no public name"
            yield f"{where}: {name} is {kind}, and HTTP-01 cannot prove it; give tls a certificate and its key, or leave the name out"


def heads(apps: Mapping[str, App]) -> dict[str, str]:
    """App -> the first app with the same names, which has the site, and so the certificate, for all of them."""
    first: dict[frozenset[str], str] = {}
    return {name: first.setdefault(frozenset(map(str.lower, app["server_names"])), name) for name, app in apps.items()}


def packages(apps: Mapping[str, App]) -> list[str]:
    """What of the distribution TLS takes."""
    sources = {app["tls"]["source"] for app in apps.values()} - {""}
    return [*(["openssl"] if sources else []), *(["certbot"] if "acme" in sources else [])]


def of_sites(apps: Mapping[str, App]) -> dict[str, Tls]:
    """App -> TLS as the plan has it, the same for all apps of a site: its names are theirs, and those that lead to them."""
    site_of = heads(apps)
    names: dict[str, dict[str, None]] = {}
    for setting in ("server_names", "redirect_names"):
        for name, app in apps.items():
            names.setdefault(site_of[name], {}).update(dict.fromkeys(map(str.lower, app[setting])))
    return {name: planned(app["tls"], site_of[name], list(names[site_of[name]])) for name, app in apps.items()}


def planned(tls: Mapping[str, Any], head: str, names: list[str]) -> Tls:
    """TLS as the plan has it; without a certificate nothing is said of it, and nobody is sent there."""
    if not (way := source(tls)):
        return {**tls, "source": "", "served": "", "names": [], "redirect": False, "hsts": 0}  # type: ignore[typeddict-item]
    return {**tls, "source": way, "served": served(head), "names": names}  # type: ignore[typeddict-item]  # checked by its spec


def served(app: str) -> str:
    """The file of nginx's tree with the certificate of an app's site and its key."""
    return f"{OWN_FILES}/{app}.pem"
