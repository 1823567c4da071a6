"""One HTTP request, as the modules that ask for a status need it."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterable
from typing import TypedDict


class Answer(TypedDict):
    """An answer: ``status`` is 0 when there was none, ``error`` is empty for a status of 200 to 399."""

    status: int
    latency_ms: float
    error: str
    headers: dict[str, str]
    body: str


class UnixConnection(http.client.HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of the host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(address: str, path: str, host: str, timeout: float, headers: Iterable[str] = (), size: int = 0) -> Answer:
    """Ask once, on a new connection, without following redirects; ``address`` is host:port or unix:path, as in nginx.

    ``headers`` has those of the answer that are asked for, empty where it has none; ``body`` its first ``size`` bytes as text.
    """
    start = time.monotonic()
    place, _, rest = address.rpartition(":")
    connection = UnixConnection(rest, timeout) if place == "unix" else http.client.HTTPConnection(place, int(rest), timeout=timeout)
    status, error, body, found = 0, "", "", dict.fromkeys(headers, "")
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        answer = connection.getresponse()
        status = answer.status
        found = {name: answer.getheader(name, "") for name in found}
        body = answer.read(size).decode("utf-8", "replace")  # a body that never ends is not waited for
        if not 200 <= status < 400:
            error = f"{path} answered {status}"
    except (OSError, http.client.HTTPException) as problem:
        error = f"{path}: {problem or type(problem).__name__}"
    finally:
        connection.close()
    return {"status": status, "latency_ms": round((time.monotonic() - start) * 1000, 1), "error": error, "headers": found, "body": body}
