"""What the processes of apps, and builds of their environments, may do: properties of systemd, each a line ``Property=value``."""

from __future__ import annotations

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Sandbox

# How clients of system services, and root's of containers, talk to these.
SYSTEM_SOCKETS = ("/run/dbus", "/run/systemd/private", "/run/docker.sock", "/run/containerd", "/run/crio", "/run/podman", "/run/libvirt")
MOST = 1800  # seconds of a build's step
THREADS = 64  # for each process; Tornado's and asyncio's pools have 5 to 36
NETWORK = ("AF_UNIX", "AF_INET", "AF_INET6")
COMMON = [
    "LimitCORE=0",
    # Of /srv nothing is seen but what is bound; memory is shared among the processes of one app.
    "TemporaryFileSystem=/srv:ro /dev/shm:mode=1777,nosuid,nodev",
    f"InaccessiblePaths={' '.join(f'-{path}' for path in SYSTEM_SOCKETS)}",
    "CapabilityBoundingSet=",
    "KeyringMode=private",
    "LockPersonality=yes",
    "NoNewPrivileges=yes",
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
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "SystemCallErrorNumber=EPERM",
    "SystemCallFilter=@system-service",
    # Its operations pass these filters.
    "SystemCallFilter=~io_uring_setup io_uring_enter io_uring_register",
]


def _devices(paths: list[str]) -> list[str]:
    """The usual ones, like /dev/null, are there in any case."""
    return ["DevicePolicy=closed", *(f"DeviceAllow={path} rw" for path in paths)] if paths else ["PrivateDevices=yes"]


def of_app(name: str, shared: str, sockets: str, nofile: int, processes: int, wanted: Sandbox) -> list[str]:
    """Of every process of an app's user; ``wanted`` is the app's setting."""
    families = [*NETWORK, *(["AF_NETLINK"] if wanted["netlink"] else [])]
    return [
        f"User={name}",
        f"Group={name}",
        "UMask=0027",
        f"LimitNOFILE={nofile}",
        f"TasksMax={256 + 2 * THREADS * processes}",
        # What one process of an app has used up is not the end of all others.
        "OOMPolicy=continue",
        f"BindReadOnlyPaths=/srv/{name}",
        f"BindPaths={' '.join([shared, *wanted['writable']])}",
        # Whichever way the app listens: a later release may listen on sockets. An app that does not starts without the directory, too.
        f"ReadWritePaths=-{sockets}",
        *_devices(wanted["devices"]),
        f"RestrictAddressFamilies={' '.join(families)}",
        *COMMON,
    ]


def of_rotation() -> list[str]:
    """Of what rotates the logs of an app, in the template of its unit: the app's user, who writes where its logs are."""
    return ["User=%i", "Group=%i", "UMask=0027", "PrivateDevices=yes", "RestrictAddressFamilies=AF_UNIX", *COMMON]


def of_redis(name: str) -> list[str]:
    """Of Redis, added to the distribution's unit; ``name`` is that of its server. What adds up there begins anew."""
    return [
        "UMask=0077",
        "ReadWritePaths=",
        f"ReadWritePaths=/var/lib/{name}",
        "MemoryDenyWriteExecute=yes",
        "PrivateDevices=yes",
        "RestrictAddressFamilies=",
        f"RestrictAddressFamilies={' '.join(NETWORK)}",
        "SystemCallFilter=",
        *COMMON,
        "SystemCallFilter=~@privileged @resources",
    ]


def of_build(path: str, place: str, source: str, app: str) -> list[str]:
    """Of code that comes with what pip installs: a user that exists as long as the build, and writes at ``path`` alone.

    ``place`` is where that is outside, ``source`` what it may read besides; of the group of ``app``, when that is given.
    """
    return [
        "DynamicUser=yes",
        "User=tornado_app-build",
        *([f"SupplementaryGroups={app}", f"InaccessiblePaths=-/etc/{app} -/var/log/{app} -/run/{app}"] if app else []),
        "UMask=0022",
        "TasksMax=1024",
        f"RuntimeMaxSec={MOST}",
        f"BindPaths={place}:{path}",
        f"BindReadOnlyPaths={source}",
        "PrivateDevices=yes",
        f"RestrictAddressFamilies={' '.join(NETWORK)}",
        "Environment=HOME=/tmp PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 LANG=C.UTF-8",
        *COMMON,
    ]
