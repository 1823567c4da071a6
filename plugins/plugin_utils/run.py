"""What a run tells others of itself by the hosts' locks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

LEASE = 900  # seconds for installing packages and environments, beside what the apps' own timeouts add
SWITCH = 5  # seconds for the switch of a host, where these are switched one by one


def holder(controller: Mapping[str, Any], tags: Iterable[str], now: datetime) -> dict[str, Any]:
    """Who runs which operation since when (see the module fleet_lock), with the ``run`` that no other run has.

    ``controller`` is what the lookup tornado_app_run says, ``now`` is UTC.
    """
    who = {key: controller[key] for key in ("controller", "machine", "user", "pid")}
    operation = ", ".join(tags)
    return {
        **who,
        "run": f"{now:%Y%m%dT%H%M%SZ}-{who['controller']}-{who['pid']}",
        "since": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "operation": "site.yml" if operation == "all" else operation,
    }


def lease(plan: Mapping[str, Mapping[str, Any]], bake: int, hosts: int) -> int:
    """Seconds after which a run over this number of hosts, each of which is watched for ``bake`` seconds, is taken for dead."""
    timeouts = (app["health"]["timeout"] + 2 * (app["drain"]["timeout"] + app["stop_timeout"]) for app in plan.values())
    return LEASE + (SWITCH + bake) * hosts + sum(int(seconds) for seconds in timeouts)
