"""Ansible action: look at what a balancer does not deliver, see the module documentation of the same name."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.tornado_app.deploy.plugins.action.balancer import ActionModule as Balancer
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import balancer, report
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.tls import source


class ActionModule(Balancer):
    """The action."""

    SPEC: ClassVar[Spec] = {key: Balancer.SPEC[key] for key in ("hosts", "tls")}

    def act(self, arguments: Arguments) -> Result:
        """Ask the host, and say what is missing."""
        backends = balancer.backends(self.balanced(arguments["hosts"], arguments["tls"]))
        sites, asked = balancer.sites(backends), [backend["app"] for backend in backends]
        if arguments["tls"] == "pass":
            sites, asked = [], [*asked, *(f"{site['name']}.tls" for site in sites)]
        certificates = [{"app": site["name"], "source": source(site["tls"]), "path": self.certificate(site)["path"]} for site in sites]
        found = self.module("haproxy_info", backends=asked, certificates=certificates)
        if found.get("failed"):
            return found
        name = self.variables["inventory_hostname"]
        return {
            "shortfalls": [f"{name}: {finding}" for finding in report.balancer_shortfalls(found)],
            "certificates": [f"{name}: {note}" for note in report.certificate_notes(found["certificates"])],
        }
