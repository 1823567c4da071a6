"""Whether a host has memory for a second set of processes: pure functions, one sentence a finding."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App, Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import other
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import AppState, State


def second_set_problems(apps: Apps, state: State, starting: Iterable[str], host: str) -> list[str]:
    """Why a host has no memory for a second set of processes beside the live ones, of all apps that get one."""
    owns = {name: state["apps"][name] for name in starting}
    needed = {name: _second_set(apps[name], own) for name, own in owns.items()}
    # What an earlier run has left in an idle slot ends before that is filled.
    left = state["host"]["memory"] + sum(own["slots"][other(own["live"])]["memory"] for own in owns.values())
    total = sum(needed.values())
    if total <= left:
        return []
    together = f", and all apps of this run {_size(total)}" if total > max(needed.values()) else ""
    return [
        f"tornado_apps.{name}.{_setting(apps[name])}: {host} has {_size(left)} of memory left; "
        f"a second set of {apps[name]['processes'] or 'its'} processes needs {_size(size)}, as the live ones use{together}. "
        f"Lower {_setting(apps[name])}, give the host more memory, or stop the live ones there for the deploy: "
        f"sudo python3 /opt/tornado_app/sandboxed.py {name} supervisorctl stop '{apps[name]['slots'][owns[name]['live']]['group']}:*'"
        for name, size in needed.items()
        if size
    ]


def _setting(app: App) -> str:
    """What says how many processes an app has."""
    return "processes" if app["processes"] else "scale"


def _second_set(app: App, own: AppState) -> int:
    """Bytes of as many processes as the plan wants, each with its share of what the live slot uses; 0 when that is stopped."""
    live = own["slots"][own["live"]]
    if not app["processes"]:
        return live["memory"] if any(worker["pid"] for worker in live["workers"]) else 0
    up = [process for process in live["processes"] if process["pid"]]
    count = sum(process["children"] for process in up) if app["listen"] == "fork" else len(up)
    return live["memory"] * app["processes"] // count if count else 0


def _size(size: int) -> str:
    return f"{size / 10**9:.1f} GB" if size >= 10**9 else f"{size // 10**6} MB"
