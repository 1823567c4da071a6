"""Ansible action: configure HAProxy for the apps of the fleet, see the module documentation of the same name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

from ansible.errors import AnsibleError
from ansible.template import trust_as_template

from ansible_collections.tornado_app.deploy.plugins.module_utils.haproxy import HAPROXY
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import acme, balancer, balancer_rules
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec, plain
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_types import APP_OPTIONS, converted, merged
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.tls import source

DIRECTORY = "/etc/haproxy/tornado_app"
STATE_FILE = "/run/haproxy/tornado_app.state"
ROOT = "/opt/tornado_app"
TEMPLATES = Path(__file__).parents[2] / "roles/tornado_app/templates"  # of both roles
# What is asked of a host's variables. Of an app these settings alone: others may need facts, which a host that is left out has not.
ADDRESS = "load_balancer_address | default(ansible_host | default(inventory_hostname), true)"
PORTS = """[
    tornado_app_proxy_port | default(0) | int,
    tornado_app_proxy_tls_port | default(0) | int,
]"""
APPS = "tornado_apps | default({}) | list"
SETTINGS = ("server_names", "redirect_names", "path", "proxy_read_timeout", "tls")
DEFAULTS = {key: APP_OPTIONS[key].get("default", []) for key in SETTINGS}
OWN, GIVEN = (f"[{', '.join(f'{which}.{key} | default(none)' for key in SETTINGS)}]" for which in ("tornado_apps[app]", "defaults"))
APP = f"[tornado_apps[app].state | default('present', true), {OWN}, {GIVEN}]"


def given(key: str, own: Any, default: Any) -> Any:
    """A setting of an app, over its default in the inventory and that of the role. That of its names is a host's own."""
    default = merged(DEFAULTS[key], default) if default is not None and key != "server_names" else DEFAULTS[key]
    return default if own is None else merged(default, own)


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "hosts": {"type": "list", "elements": "str", "required": True},
        "tls": {"type": "str", "choices": ["terminate", "pass"], "default": "terminate"},
        "maxconn": {"type": "int", "required": True},
        "balancers": {"type": "list", "elements": "str", "default": []},
    }
    PROJECT: ClassVar[str] = "__load_balancer_project"

    def act(self, arguments: Arguments) -> Result:
        """Fail with all that cannot work, or hand configuration and certificates to the module haproxy_config."""
        hosts = self.hosts(arguments)
        terminated = balancer.sites(balancer.backends(hosts)) if arguments["tls"] == "terminate" else []
        self.refuse(p for site in terminated for p in self.certificate_problems(site["name"], site["tls"], site["names"]))
        certificates = [self.certificate(site) for site in terminated]
        paths = [certificate["path"] for certificate in certificates]
        issued = {path: site for path, site in zip(paths, terminated, strict=True) if source(site["tls"]) == "acme"}
        version = self._low_level_execute_command(f"{HAPROXY} -v")["stdout"]
        variables = balancer.template_variables(hosts, arguments["tls"], paths, version, self.issuers(arguments["balancers"]))
        config = self.render("haproxy.cfg.j2", maxconn=arguments["maxconn"], state_file=STATE_FILE, challenges=acme.CHALLENGES, **variables)
        result = self.module(
            "haproxy_config",
            config=config,
            certificates=certificates,
            directory=DIRECTORY,
            state_file=STATE_FILE,
            files=self.files(issued),
            unneeded=[] if issued else acme.left(ROOT),
        )
        return {**result, "unnamed": balancer.unnamed(hosts)}

    def files(self, issued: Mapping[str, balancer.Site]) -> dict[str, str]:
        """Path and content of what has certificates issued, if there is one; ``issued`` is the file of each -> its site."""
        if not issued:
            return {}
        units = {path: self.render(str(TEMPLATES / f"acme.{kind}.j2"), root=ROOT, server="haproxy") for kind, path in acme.UNITS.items()}
        settings = {f"{ROOT}/acme.json": acme.settings_of_balancer(issued)}
        return {**acme.code(ROOT, self.read("acme.py"), acme.OF_BALANCERS), **settings, **units}

    def issuers(self, names: Iterable[str]) -> list[balancer.Server]:
        """All balancers, as this one reaches them."""
        own = self.variables["inventory_hostname"]
        addresses = {own: "127.0.0.1", **{name: self.address(name) for name in names if name != own}}
        return [balancer.server(balancer.Host(name, address, {})) for name, address in addresses.items()]

    def address(self, name: str) -> str:
        """The address of a host, as others reach it."""
        return str(self.said(ADDRESS, f"the address of {name}", self.inventory(name)))

    def inventory(self, name: str) -> dict[str, Any]:
        """The variables that the inventory has of a host, and with them what those may ask of other hosts."""
        return {**self.variables["hostvars"].raw_get(name), **{magic: self.variables[magic] for magic in ("groups", "hostvars")}}

    def hosts(self, arguments: Arguments) -> list[balancer.Host]:
        """What the inventory says of all hosts; fails with all of it that cannot work."""
        found = [self.host(name) for name in arguments["hosts"]]
        self.refuse(balancer_rules.problems(found, arguments["tls"]))
        return found

    def host(self, name: str) -> balancer.Host:
        """What the inventory says of a host, whether or not this run has been there."""
        variables = self.inventory(name)
        ports = self.said(PORTS, f"the ports of {name}", variables)
        apps: dict[str, balancer.Given] = {}
        for app in self.said(APPS, f"tornado_apps of {name}", variables):
            known = {**variables, "app": app, "defaults": variables.get("tornado_app_defaults", {})}
            state, own, defaults = self.said(APP, f"tornado_apps.{app} of {name}", known)
            if state != "absent":
                settings, problems = converted(f"tornado_apps.{app}", dict(zip(SETTINGS, map(given, SETTINGS, own, defaults), strict=True)))
                self.refuse(f"{problem}, on {name}" for problem in problems)
                apps[str(app)] = cast(balancer.Given, settings)
        return balancer.Host(name, self.address(name), apps, *ports)

    def said(self, expression: str, what: str, variables: Mapping[str, Any]) -> Any:
        """The value of an expression among variables of a host."""
        templar = self._templar.copy_with_new_env(available_variables=variables)
        try:
            return plain(templar.template(trust_as_template(f"{{{{ {expression} }}}}")))
        except AnsibleError as problem:
            self.refuse([f"{what} cannot be told without having been there: {problem.message}"])

    def certificate(self, site: balancer.Site) -> dict[str, Any]:
        """The certificate of a site, as the module takes it. The name of one from files changes with it, and with its key."""
        way = source(site["tls"])
        if way != "files":
            return {"path": f"{DIRECTORY}/{site['name']}.{way}.pem", "self_signed": site["names"], "force": way == "self_signed"}
        content = self.pair(site["name"], site["tls"]).file()
        return {"path": f"{DIRECTORY}/{site['name']}.{hashlib.sha256(content.encode()).hexdigest()[:12]}.pem", "secret": content}
