"""What stands against work without requests: hosts that run workers alone. Pure functions, one sentence a finding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import workers


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


def idle_problems(apps: Apps, commands: Mapping[str, Mapping[str, Any]], host: str) -> list[str]:
    """Which apps would have no process at all on a host; ``commands`` are the lines of the Procfile of each."""
    return [
        f"tornado_apps.{name}.processes is 0 on {host}, and nothing else starts there: its Procfile needs a line beside web and release, "
        f"with a scale above 0 (tornado_apps.{name}.scale); or give it processes"
        for name, own in commands.items()
        if not apps[name]["processes"] and not workers(apps[name], {"commands": own})
    ]
