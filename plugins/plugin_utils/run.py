"""What a run says of itself in the hosts' locks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Lock

LEASE = 900  # seconds for the longest step that is none of the apps': packages, environments
EVERYTHING = ["provision", "deploy", "verify"]


def holder(controller: Mapping[str, Any], operations: Iterable[str], now: datetime) -> Lock:
    """Who runs which operations since when (see the module run_lock), with the ``run`` that no other run has.

    ``controller`` is what the lookup current_run says, ``now`` is UTC.
    """
    named = list(operations)
    return {
        "controller": controller["controller"],
        "machine": controller["machine"],
        "user": controller["user"],
        "pid": controller["pid"],
        "run": f"{now:%Y%m%dT%H%M%SZ}-{controller['controller']}-{controller['pid']}",
        "since": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "operations": named,
        "operation": "site.yml" if named == EVERYTHING else ", ".join(named),
    }


def lease(apps: Apps, bake: int) -> int:
    """Seconds after which a run that has not acted on a host is taken for dead; each module that acts begins them again.

    They do not grow with the number of hosts: a run that waits for other hosts is alive on those, see the option ``alive`` of run_lock.
    """
    timeouts = (app["health"]["timeout"] + app["drain"]["timeout"] + app["stop_timeout"] for app in apps.values())
    return LEASE + bake + max((int(seconds) for seconds in timeouts), default=0)
