"""The plan: what each app looks like on a host, computed from its settings alone. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.layout import cross_problems, planned
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import HostSettings
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.ports import with_ports
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_types import Problems, Settings, plain
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.settings import checked_app, host_problems
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.site_settings import redirect_problems
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.tls import of_host, of_sites


def _checked(apps: Any, defaults: Mapping[str, Any], host: HostSettings) -> tuple[dict[str, Settings], Problems]:
    if not isinstance(apps, Mapping) or not apps:
        return {}, ["tornado_apps is empty: it is a dictionary with at least one app, as in inventories/prod"]
    problems, settings = list(host_problems(host)), {}
    plain_defaults = plain(defaults)
    for name, app in apps.items():
        own, found = checked_app(name, app, plain_defaults, host)
        problems += found
        if own and not found:
            settings[name] = own
    settings = with_ports(settings, host["ports"], host)
    return settings, [*problems, *cross_problems(settings, host), *redirect_problems(settings, host["name"])]


def plan_problems(apps: Any, defaults: Mapping[str, Any], host: HostSettings) -> Problems:
    """What cannot work in the settings of a host, one sentence each; empty when a plan can be made."""
    return _checked(apps, defaults, host)[1]


def plan(apps: Any, defaults: Mapping[str, Any], host: HostSettings) -> Apps:
    """What each app looks like on one host: slots, processes, ports, paths and names, with all defaults filled in."""
    settings, problems = _checked(apps, defaults, host)
    if problems:
        raise AnsibleFilterError("; ".join(problems))
    settings = {name: {**own, "tls": of_host(own["tls"], host)} for name, own in settings.items()}
    own_tls = of_sites(settings)
    return {name: planned(name, own, host, own_tls[name]) for name, own in settings.items()}
