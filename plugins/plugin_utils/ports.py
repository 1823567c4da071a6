"""The ports of apps on a host: those of their slots, and those that an app gets which says none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import HostSettings
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_types import Settings

SLOTS = ("blue", "green")
FIRST_PORT, PORT_STEP = 8000, 100  # of the ports that the plan gives out: room for as many processes without moving anybody
PORTS = range(1024, 65536)  # below 1024 a process that is not root cannot listen


def slot_ports(app: Mapping[str, Any], host: HostSettings) -> dict[str, range]:
    """Slot -> the ports of its processes, one for each that supervisord starts; those that listen elsewhere are named by it alone."""
    first, count = app["port"], min(1, app["processes"]) if app["listen"] == "fork" else app["processes"]
    return {slot: range(start, start + count) for slot, start in zip(SLOTS, (first, first + host["slot_stride"]), strict=True)}


def with_ports(apps: Mapping[str, Settings], known: Mapping[str, int], host: HostSettings) -> dict[str, Settings]:
    """The apps, each with a port: the one that is given, else the one that it has on the host, else one that nobody has there.

    ``known`` is app -> port of those on the host, also of those that are not listed any more or are to be absent.
    """
    stride = max(1, host["slot_stride"])
    ports = {name: app["port"] or known.get(name, 0) for name, app in apps.items()}
    # Where an app was before this run it still is when another one starts.
    taken = [(port, max(1, apps[name]["processes"]) if name in apps else 1) for name, port in (*known.items(), *ports.items()) if port]

    def free(port: int, count: int) -> bool:
        mine = [range(start, start + max(count, PORT_STEP)) for start in (port, port + stride)]
        theirs = [range(start, start + size) for first, size in taken for start in (first, first + stride)]
        return not any(one.start < other.stop and other.start < one.stop for one in mine for other in theirs)

    for name in (name for name, port in ports.items() if not port):
        count = apps[name]["processes"]
        # A block of the blue slots, then one of the green ones, and so on; an app that fills more than a step begins where it can.
        candidates = (port for port in range(FIRST_PORT, PORTS[-1], PORT_STEP) if (port - FIRST_PORT) // stride % 2 == 0)
        ports[name] = next((port for port in candidates if free(port, count)), FIRST_PORT)
        taken.append((ports[name], max(1, count)))
    return {name: {**app, "port": ports[name]} for name, app in apps.items()}
