"""What every process of an app's user may do: one list of systemd's properties, for its unit and for all else that is started for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# How clients of system services, and root's of containers, talk to these.
SYSTEM_SOCKETS = ("/run/dbus", "/run/systemd/private", "/run/docker.sock", "/run/containerd", "/run/crio", "/run/podman", "/run/libvirt")
THREADS = 64  # for each process; Tornado's and asyncio's pools have 5 to 36


def _devices(paths: list[str]) -> list[str]:
    """The usual ones, like /dev/null, are there in any case."""
    return ["DevicePolicy=closed", *(f"DeviceAllow={path} rw" for path in paths)] if paths else ["PrivateDevices=yes"]


def properties(name: str, shared: str, nofile: int, processes: int, wanted: Mapping[str, Any]) -> list[str]:
    """The lines ``Property=value`` of an app; ``wanted`` is its setting ``sandbox``."""
    families = ["AF_UNIX", "AF_INET", "AF_INET6", *(["AF_NETLINK"] if wanted["netlink"] else [])]
    return [
        f"User={name}",
        f"Group={name}",
        "UMask=0027",
        f"LimitNOFILE={nofile}",
        "LimitCORE=0",
        f"TasksMax={256 + 2 * THREADS * processes}",
        # What one process of an app has used up is not the end of all others.
        "OOMPolicy=continue",
        # Of /srv it sees its own, and of that it writes what is shared between releases.
        "TemporaryFileSystem=/srv:ro",
        f"BindReadOnlyPaths=/srv/{name}",
        f"BindPaths={' '.join([shared, *wanted['writable']])}",
        f"InaccessiblePaths={' '.join(f'-{path}' for path in SYSTEM_SOCKETS)}",
        "CapabilityBoundingSet=",
        "KeyringMode=private",
        "LockPersonality=yes",
        "NoNewPrivileges=yes",
        *_devices(wanted["devices"]),
        "PrivateTmp=yes",
        # Without it, /proc/<pid>/root of a process outside the sandbox leads out of it.
        "PrivateUsers=yes",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHome=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectProc=invisible",
        "ProtectSystem=strict",
        "RemoveIPC=yes",
        f"RestrictAddressFamilies={' '.join(families)}",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallArchitectures=native",
        "SystemCallErrorNumber=EPERM",
        "SystemCallFilter=@system-service",
    ]
