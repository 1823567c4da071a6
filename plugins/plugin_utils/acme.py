"""What a host or a balancer has to have certificates issued by ACME servers: files/acme.py of its role, its settings, its units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App, Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import ACME_RECORD
from ansible_collections.tornado_app.deploy.plugins.module_utils.haproxy import SOCKET
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx import STATE_FILE
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx_reload import CLOSING
from ansible_collections.tornado_app.deploy.plugins.module_utils.things import Thing
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.balancer import Site
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.files import sites, text
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.tls import NGINX_ROOT

STATE = "/var/lib/tornado_app"
WEBROOT, CERTBOT = f"{STATE}/acme", f"{STATE}/certbot"
CHALLENGES = 8402  # port of a balancer on which certbot answers an ACME server, while it asks for a certificate
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
UNIT = "tornado_app-acme"
UNITS = {kind: f"/etc/systemd/system/{UNIT}.{kind}" for kind in ("service", "timer")}
# What the scripts share with modules, where Python finds it by the same name.
OF_HOSTS = ("certbot", "flock", "nginx", "nginx_reload", "proc", "root_file", "text", "unix_sockets")
OF_BALANCERS = ("certbot", "haproxy", "root_file", "text")
PACKAGE = "lib/ansible_collections/tornado_app/deploy/plugins/module_utils"


def issuing(apps: Apps) -> list[App]:
    """The apps that have a certificate issued, of each site one."""
    return [together[0] for together in sites(apps) if together[0]["tls"]["source"] == "acme"]


def directories(apps: Apps, root: str) -> list[str]:
    """The directories that a host needs, all of them root's and for all to read."""
    parts = PACKAGE.split("/")
    lib = [f"{root}/{'/'.join(parts[:count])}" for count in range(1, len(parts) + 1)]
    return [WEBROOT, *lib] if issuing(apps) else []


def code(root: str, script: str, shared: Iterable[str]) -> dict[str, str]:
    """Path and content of the script, and of what it shares with modules."""
    folder = Path(__file__).parents[1] / "module_utils"
    return {
        f"{root}/acme.py": script,
        **{f"{root}/{PACKAGE}/{name}.py": (folder / f"{name}.py").read_text(encoding="utf-8") for name in shared},
    }


def wanted(acme: Mapping[str, Any], names: Sequence[str], served: str) -> dict[str, Any]:
    """What the script has to know of an app."""
    return {"names": names, "email": acme["email"], "directory": acme["directory"] or LETS_ENCRYPT, "served": served}


COMMON = {"command": "/usr/bin/certbot", "certbot": CERTBOT, "record": ACME_RECORD}


def settings(apps: Apps) -> str:
    """What the script of a host has to know."""
    where = {
        "challenge": ["--webroot", f"--webroot-path={WEBROOT}"],
        "nginx": NGINX_ROOT,
        "loaded": STATE_FILE,
        "lock": "/run/tornado_app/nginx.lock",
        "closing": CLOSING,
    }
    of_apps = {app["name"]: wanted(app["tls"]["acme"], app["tls"]["names"], app["tls"]["served"]) for app in issuing(apps)}
    return text({**COMMON, **where, "apps": of_apps})


def settings_of_balancer(issued: Mapping[str, Site]) -> str:
    """What the script of a balancer has to know; ``issued`` is the file of a certificate -> its site."""
    where = {"challenge": ["--standalone", f"--http-01-port={CHALLENGES}"], "socket": SOCKET}
    of_sites = {site["name"]: wanted(site["tls"]["acme"], site["names"], path) for path, site in issued.items()}
    return text({**COMMON, **where, "apps": of_sites})


def left(root: str) -> list[str]:
    """What goes from a host of which no app has a certificate issued any more, the keys among it; the timer last."""
    return [CERTBOT, WEBROOT, ACME_RECORD, f"{root}/lib", f"{root}/acme.py", f"{root}/acme.json", *UNITS.values()]


def things(apps: Apps, root: str) -> Iterator[Thing]:
    """What is to be there beside files: the timer, and certificates that are issued; and what is not to be where nobody needs it."""
    for app in issuing(apps):
        path = f"{NGINX_ROOT}/{app['tls']['served']}"
        yield {"kind": "acme", "name": app["name"], "check": "issued", "path": path, "names": app["tls"]["names"]}
    if not issuing(apps):
        for path in left(root):
            yield {"kind": "acme_left", "name": path, "check": "absent", "path": path}
    else:
        yield {"kind": "acme", "name": f"{UNIT}.timer", "check": "service", "unit": f"{UNIT}.timer"}
        for kind in UNITS:
            yield {"kind": "acme", "name": f"{UNIT}.{kind}", "check": "reload", "unit": f"{UNIT}.{kind}"}


def shared_names(plans: Mapping[str, Apps]) -> Iterable[str]:
    """Which names several hosts have of which one alone would be asked to prove that it has them, behind a balancer too."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for host, apps in plans.items():
        for app in apps.values():
            for name in app["tls"]["names"] if app["tls"]["source"] == "acme" else []:
                hosts.setdefault((app["name"], name), []).append(host)
    names: dict[tuple[str, str], list[str]] = {}
    for (app_name, name), own in hosts.items():
        if len(own) > 1:
            names.setdefault((app_name, ", ".join(own)), []).append(name)
    for (app_name, own_hosts), found in names.items():
        yield (
            f"tornado_apps.{app_name}.tls.acme: {', '.join(found)} leads to {own_hosts}, and the ACME server asks one of them alone; "
            "put balancers in front at which TLS ends, give tls a certificate and its key, or let one host have the name"
        )
