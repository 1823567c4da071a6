"""Ansible action: configure HAProxy for the apps of the fleet, see the module documentation of the same name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail

from ansible_collections.tornado_app.deploy.plugins.module_utils.haproxy import CERTIFICATES, HAPROXY, STATE_FILE
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import acme, balancer
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.certificates import UnusableError
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.inventory import InventoryAction
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.tls import source

ROOT = "/opt/tornado_app"
TEMPLATES = Path(__file__).parents[2] / "roles/tornado_app/templates"  # of both roles


class ActionModule(InventoryAction):
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
        hosts = self.balanced(arguments["hosts"], arguments["tls"])
        terminated = balancer.sites(balancer.backends(hosts)) if arguments["tls"] == "terminate" else []
        self.refuse(p for site in terminated for p in self.certificate_problems(site["name"], site["tls"], site["names"]))
        certificates = [self.certificate(site) for site in terminated]
        paths = [certificate["path"] for certificate in certificates]
        issued = {path: site for path, site in zip(paths, terminated, strict=True) if source(site["tls"]) == "acme"}
        version = self._low_level_execute_command(f"{HAPROXY} -v")["stdout"]
        variables = balancer.template_variables(hosts, arguments["tls"], bool(paths), version, self.issuers(arguments["balancers"]))
        places = {"directory": CERTIFICATES, "state_file": STATE_FILE}
        config = self.render("haproxy.cfg.j2", maxconn=arguments["maxconn"], challenges=acme.CHALLENGES, **places, **variables)
        result = self.module(
            "haproxy_config",
            config=config,
            certificates=certificates,
            files=self.files(issued),
            unneeded=[] if issued else acme.left(ROOT),
        )
        return {**result, "unnamed": balancer.unnamed(hosts), "issuing": bool(issued)}

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

    def certificate(self, site: balancer.Site) -> dict[str, Any]:
        """The certificate of a site, as the module takes it. The name of one from files changes with it, and with its key."""
        way = source(site["tls"])
        if way != "files":
            return {"path": f"{CERTIFICATES}/{site['name']}.{way}.pem", "self_signed": site["names"], "force": way == "self_signed"}
        try:
            content = self.pair(f"tornado_apps.{site['name']}.tls", site["tls"]).file()
        except UnusableError as problem:
            raise AnsibleActionFail(str(problem)) from None
        return {"path": f"{CERTIFICATES}/{site['name']}.{hashlib.sha256(content.encode()).hexdigest()[:12]}.pem", "secret": content}
