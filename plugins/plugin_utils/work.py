"""What stands against work without requests: workers alone, singletons and cron. Pure functions, one sentence a finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_url import REDIS_URL
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import workers
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import SINGLETONS


def serving_problems(apps: Apps, state: State, host: str) -> list[str]:
    """Which apps would end to serve on a host that still gets requests for them."""
    found = []
    for name, app in apps.items():
        live = state["apps"][name]["slots"][state["apps"][name]["live"]]
        if not app["processes"] and live["processes"] and not state["host"]["drained"]:
            found.append(
                f"tornado_apps.{name}.processes is 0, and {host} still gets requests for it: run --tags drain --limit {host} first, "
                "and --tags undrain after this"
            )
    return found


def with_jobs(apps: Apps) -> Apps:
    """The apps that have singletons or cron."""
    return {name: app for name, app in apps.items() if app["singletons"] or app["cron"]}


def lease_problems(plans: Mapping[str, Apps], hosts: Mapping[str, Sequence[str]]) -> list[str]:
    """Which apps run something once in the fleet, and have no Redis by which several hosts agree who does; ``hosts`` are those of each."""
    found = {}
    for apps in plans.values():
        for name, app in with_jobs(apps).items():
            if len(hosts[name]) > 1 and REDIS_URL not in {*app["environment"], *app["secrets"]}:
                found[name] = (
                    f"tornado_apps.{name} has singletons or cron and {len(hosts[name])} hosts ({', '.join(hosts[name])}), which agree by "
                    f"Redis who runs them: put a host into the group redis, or give it {REDIS_URL} in secrets or environment"
                )
    return list(found.values())


def idle_problems(apps: Apps, commands: Mapping[str, Mapping[str, Any]], host: str) -> list[str]:
    """Which apps would have no process at all on a host, or two of one name; ``commands`` are the lines of the Procfile of each."""
    taken = [
        f"tornado_apps.{name} has singletons or cron, and its Procfile a line {SINGLETONS}, the name of what runs these; rename the line"
        for name, own in commands.items()
        if SINGLETONS in own and name in with_jobs(apps)
    ]
    return taken + [
        f"tornado_apps.{name}.processes is 0 on {host}, and nothing else starts there: its Procfile needs a line beside web and release, "
        f"with a scale above 0 (tornado_apps.{name}.scale); or give it processes"
        for name, own in commands.items()
        if not apps[name]["processes"] and not workers(apps[name], {"commands": own})
    ]
