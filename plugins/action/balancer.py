"""Ansible action: configure HAProxy for the apps of the fleet, see the module documentation of the same name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible.errors import AnsibleError
from ansible.template import trust_as_template

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import balancer, balancer_rules
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec, plain

DIRECTORY = "/etc/haproxy/tornado_app"
STATE_FILE = "/run/haproxy/tornado_app.state"
# What is asked of a host's variables. Of an app these settings alone: others may need facts, which a host that is left out has not.
HOST = """[
    load_balancer_address | default(ansible_host | default(inventory_hostname), true),
    tornado_app_proxy_port | default(0) | int,
    tornado_app_proxy_tls_port | default(0) | int,
]"""
APPS = "tornado_apps | default({}) | list"
APP = """[
    tornado_apps[app].state | default('present', true),
    tornado_apps[app].server_names | default([], true),
    tornado_apps[app].redirect_names | default(defaults.redirect_names | default([], true), true),
    tornado_apps[app].path | default(defaults.path | default('/', true), true),
    tornado_apps[app].proxy_read_timeout | default(defaults.proxy_read_timeout | default(200, true), true) | int,
    tornado_apps[app].tls | default(defaults.tls | default({}, true), true),
]"""


def listed(names: Any) -> list[str]:
    """Names, of which a single one may be given as text."""
    return [names] if isinstance(names, str) else [str(name) for name in names]


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "hosts": {"type": "list", "elements": "str", "required": True},
        "tls": {"type": "str", "choices": ["terminate", "pass"], "default": "terminate"},
        "maxconn": {"type": "int", "required": True},
        "version": {"type": "str", "default": ""},
        "project": {"type": "str", "required": True},
    }

    def act(self, arguments: Arguments) -> Result:
        """Fail with all that cannot work, or hand configuration and certificates to the module haproxy_config."""
        hosts = [self.host(name) for name in arguments["hosts"]]
        self.refuse(balancer_rules.problems(hosts, arguments["tls"]))
        terminated = balancer.sites(balancer.backends(hosts)) if arguments["tls"] == "terminate" else []
        certificates = list(self.certificates(terminated, Path(arguments["project"])))
        paths = [certificate["path"] for certificate in certificates]
        variables = balancer.template_variables(hosts, arguments["tls"], paths, arguments["version"])
        config = self.render("haproxy.cfg.j2", maxconn=arguments["maxconn"], state_file=STATE_FILE, **variables)
        result = self.module("haproxy_config", config=config, certificates=certificates, directory=DIRECTORY, state_file=STATE_FILE)
        return {**result, "unnamed": balancer.unnamed(hosts)}

    def host(self, name: str) -> balancer.Host:
        """What the inventory says of a host, whether or not this run has been there."""
        known = {magic: self.variables[magic] for magic in ("groups", "hostvars")}
        variables = {**self.variables["hostvars"].raw_get(name), **known}
        address, *ports = self.said(HOST, f"the address of {name}", variables)
        apps = {}
        for app in self.said(APPS, f"tornado_apps of {name}", variables):
            defaults = variables.get("tornado_app_defaults", {})
            given = self.said(APP, f"tornado_apps.{app} of {name}", {**variables, "app": app, "defaults": defaults})
            state, names, others, path, timeout, tls = given
            if state != "absent":
                apps[str(app)] = balancer.Given(
                    server_names=listed(names),
                    redirect_names=listed(others),
                    path=str(path),
                    proxy_read_timeout=timeout,
                    tls=balancer.given_tls(tls),
                )
        return balancer.Host(name, str(address), apps, *ports)

    def said(self, expression: str, what: str, variables: Mapping[str, Any]) -> Any:
        """The value of an expression among variables of a host."""
        templar = self._templar.copy_with_new_env(available_variables=variables)
        try:
            return plain(templar.template(trust_as_template(f"{{{{ {expression} }}}}")))
        except AnsibleError as problem:
            self.refuse([f"{what} cannot be told without having been there: {problem.message}"])

    def certificates(self, sites: Iterable[balancer.Site], project: Path) -> Iterator[dict[str, Any]]:
        """The certificate of each site, as the module takes it. The name of one from files changes with it, and with its key."""
        for site in sites:
            if site["tls"]["self_signed"]:
                yield {"path": f"{DIRECTORY}/{site['name']}.self_signed.pem", "self_signed": site["names"]}
                continue
            parts = [self.file(f"tornado_apps.{site['name']}.tls.{key}", project / site["tls"][key]) for key in ("certificate", "key")]
            content = "".join(f"{part.rstrip()}\n" for part in parts)
            name = f"{site['name']}.{hashlib.sha256(content.encode()).hexdigest()[:12]}.pem"
            yield {"path": f"{DIRECTORY}/{name}", "secret": content}

    def file(self, setting: str, path: Path) -> str:
        """A file of the controller, which ansible-vault may have encrypted."""
        try:
            return str(self._loader.get_text_file_contents(str(path)))
        except (AnsibleError, OSError) as problem:
            self.refuse([f"{setting} cannot be read: {getattr(problem, 'message', problem)}"])
            raise
