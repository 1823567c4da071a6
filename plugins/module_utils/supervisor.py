"""supervisord's own XML-RPC interface, over its unix socket."""

from __future__ import annotations

import http.client
import xmlrpc.client
from typing import Any, TypedDict, cast

from ansible_collections.tornado_app.deploy.plugins.module_utils.http import UnixConnection

# An answer of supervisord (supervisor/xmlrpc.py): there is no such group.
BAD_NAME = 10
# What a call raises when there is no supervisord that answers it: nobody listens, it is ending, it is something else.
UNANSWERED = (OSError, http.client.HTTPException, xmlrpc.client.Error)


class ProcessInfo(TypedDict):
    """What supervisord says of a process (its own names)."""

    group: str
    name: str
    statename: str
    pid: int
    spawnerr: str
    description: str
    stdout_logfile: str


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002  the name is the base class's
        connection: http.client.HTTPConnection = UnixConnection(self._path, self._timeout)
        return connection


def connect(path: str, timeout: float = 10.0) -> Any:
    """The ``supervisor`` namespace of the supervisord that listens on a unix socket.

    Its calls raise OSError when supervisord is not there, and xmlrpc.client.Fault when it refuses.
    """
    return xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(path, timeout)).supervisor


def processes(supervisor: Any, group: str = "") -> list[ProcessInfo]:
    """The processes that supervisord knows, those of one group when it is named, by port."""
    infos = [info for info in cast("list[ProcessInfo]", supervisor.getAllProcessInfo()) if not group or info["group"] == group]
    return sorted(infos, key=lambda info: (info["group"], info["name"]))
