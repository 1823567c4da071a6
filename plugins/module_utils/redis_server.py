"""The Redis of a host: its configuration, and the running server, entered as the role's own user."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

from ansible_collections.tornado_app.deploy.plugins.module_utils.redis import Redis, RefusedError, UnreachableError, connected
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_users import ADMIN, Rules, password

CONFIG_DIRECTORY = "/etc/tornado_app/redis"
FULL = "max number of clients"
LIVE = ("maxmemory", "maxmemory-policy")  # what a running server takes


def settings_of(config: str) -> dict[str, str]:
    """The settings of a configuration of the role's."""
    lines = [line.partition(" ") for line in config.splitlines() if line and not line.startswith("#")]
    return {name: value.strip('"') for name, _, value in lines}


def socket_of(config: str) -> str:
    """By which socket root enters. A port of loopback would be anybody's while Redis is down."""
    return settings_of(config)["unixsocket"]


@contextmanager
def entered(path: Path, secrets: Iterable[str]) -> Iterator[Optional[Redis]]:  # noqa: UP045  Python 3.9
    """The server with this socket, by the first of the secrets that it knows; None when it is not there, or knows none."""
    try:
        connection = connected(path)
    except (FileNotFoundError, ConnectionRefusedError):
        yield None
        return
    except OSError as problem:
        raise UnreachableError(str(problem)) from None
    with connection:
        server = Redis(connection)
        yield server if any(_knows(server, secret) for secret in secrets) else None


def _knows(server: Redis, secret: str) -> bool:
    try:
        server.ask("AUTH", ADMIN, password(secret, ADMIN))
    except RefusedError as refused:
        if str(refused).startswith(("WRONGPASS", "ERR")) and FULL not in str(refused):  # ERR where it has no users at all
            return False
        raise
    return True


def differing(server: Redis, config: str) -> dict[str, str]:
    """The settings that the running server has otherwise."""
    found = {}
    for name, value in settings_of(config).items():
        answer = server.ask("CONFIG", "GET", name)
        same = os.path.realpath if name == "dir" else str  # Redis says where a symbolic link leads to
        if len(answer) > 1 and same(answer[1]) != same(value):
            found[name] = value
    return found


def is_older(server: Redis, path: Path) -> bool:
    """Whether the server was started before a file was written. It counts whole seconds."""
    return path.stat().st_mtime > time.time() - int(server.info()["uptime_in_seconds"]) + 1


def bring_users(server: Redis, wanted: Rules, absent: Iterable[str]) -> bool:
    """Bring the users of a running server to what is wanted; whether that changed one.

    One by one, since `ACL LOAD` ends the connections of all users, whether or not they differ (7.0).
    """
    before = server.ask("ACL", "LIST")
    for name, own in wanted.items():
        server.ask("ACL", "SETUSER", name, *own)
    for name in absent:
        server.ask("ACL", "DELUSER", name)
    return bool(server.ask("ACL", "LIST") != before)
