"""What the inventory says of the hosts of the fleet, whether or not a run reaches them: for actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from ansible.errors import AnsibleError
from ansible.template import trust_as_template

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import balancer, balancer_rules
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import CollectionAction, plain
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_types import APP_OPTIONS, converted, merged

# What is asked of a host's variables. Of an app these settings alone: others may need facts, which a host that is left out has not.
ADDRESS = "load_balancer_address | default(ansible_host | default(inventory_hostname), true)"
INPUTS = """[
    tornado_app_proxy_port | default(0) | int,
    tornado_app_proxy_tls_port | default(0) | int,
    [tornado_app_trusted_proxies | default([])] | flatten,
]"""
APPS = "tornado_apps | default({}) | list"
SETTINGS = ("server_names", "redirect_names", "path", "proxy_read_timeout", "tls", "balance", "processes")

# What the role's own default takes facts for: a process for each CPU is one at least.
USUAL = {"processes": 1}


def asked(keys: Iterable[str]) -> str:
    """The expression for an app's state, its own settings of these keys, and the defaults that the inventory has of them."""
    own, given = (f"[{', '.join(f'{which}.{key} | default(none)' for key in keys)}]" for which in ("tornado_apps[app]", "defaults"))
    return f"[tornado_apps[app].state | default('present', true), {own}, {given}]"


def given(key: str, own: Any, default: Any) -> Any:
    """A setting of an app, over its default in the inventory and that of the role. That of its names is a host's own."""
    usual = APP_OPTIONS[key].get("default", USUAL.get(key, []))
    default = merged(usual, default) if default is not None and key != "server_names" else usual
    return default if own is None else merged(default, own)


class InventoryAction(CollectionAction):
    """An action that knows what the inventory says of hosts that nobody has asked."""

    def address(self, name: str) -> str:
        """The address of a host, as others reach it."""
        return str(self.said(ADDRESS, f"the address of {name}", self.inventory(name)))

    def inventory(self, name: str) -> dict[str, Any]:
        """The variables that the inventory has of a host, and with them what those may ask of other hosts."""
        return {**self.variables["hostvars"].raw_get(name), **{magic: self.variables[magic] for magic in ("groups", "hostvars")}}

    def hosts_of(self, app: str, group: str) -> list[str]:
        """The hosts of a group that the inventory gives an app, also those that a run leaves out."""
        return [str(name) for name in self.variables["groups"].get(group, []) if app in self.apps(name, ())]

    def balanced(self, names: Iterable[str], tls: str) -> list[balancer.Host]:
        """The hosts behind balancers, where TLS ends at these or those; fails with all that cannot work."""
        found = [self.host(name) for name in names]
        self.refuse(balancer_rules.problems(found, tls))
        return found

    def host(self, name: str) -> balancer.Host:
        """What the inventory says of a host, whether or not this run has been there."""
        variables = self.inventory(name)
        inputs = self.said(INPUTS, f"the ports or trusted proxies of {name}", variables)
        apps = self.apps(name, SETTINGS)
        # Others have workers alone, there.
        serving = {app: cast(balancer.Given, settings) for app, settings in apps.items() if settings.pop("processes")}
        return balancer.Host(name, self.address(name), serving, *inputs)

    def listed(self, name: str) -> list[str]:
        """The apps that the inventory lists for a host, also those that are to be absent."""
        return [str(app) for app in self.said(APPS, f"tornado_apps of {name}", self.inventory(name))]

    def apps(self, name: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """App -> its settings of these keys, of all that a host is to have."""
        variables = self.inventory(name)
        found: dict[str, dict[str, Any]] = {}
        for app in self.listed(name):
            known = {**variables, "app": app, "defaults": variables.get("tornado_app_defaults", {})}
            state, own, defaults = self.said(asked(keys), f"tornado_apps.{app} of {name}", known)
            if state != "absent":
                settings, problems = converted(f"tornado_apps.{app}", dict(zip(keys, map(given, keys, own, defaults), strict=True)))
                self.refuse(f"{problem}, on {name}" for problem in problems)
                found[app] = settings
        return found

    def said(self, expression: str, what: str, variables: Mapping[str, Any]) -> Any:
        """The value of an expression among variables of a host."""
        templar = self._templar.copy_with_new_env(available_variables=variables)
        try:
            return plain(templar.template(trust_as_template(f"{{{{ {expression} }}}}")))
        except AnsibleError as problem:
            self.refuse([f"{what} cannot be told without having been there: {problem.message}"])
