"""A Redis server, asked in its own protocol: hosts have no client for it. What it answers is data, of a limited size."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown

PORT = 6379
TIMEOUT = 5.0  # seconds for each answer
MOST = 4_000_000  # bytes of an answer, or elements


class RefusedError(Exception):
    """Redis answers with an error; it begins with a word for what it is, such as WRONGPASS."""


class UnreachableError(Exception):
    """Redis does not answer, or not as Redis does."""


class Redis:
    """A connection to a server."""

    def __init__(self, connection: socket.socket) -> None:
        self.stream = connection.makefile("rwb")

    def ask(self, *words: str) -> Any:
        """What it answers to a command: text, a number, None, or a list of these."""
        parts = [word.encode() for word in words]
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # why it has closed is there to be read
                self.stream.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
                self.stream.flush()
            return self._answer()
        except (OSError, ValueError) as problem:
            raise UnreachableError(shown(str(problem))) from None

    def _answer(self) -> Any:
        line = self.stream.readline(MOST)
        kind, said = line[:1], line[1:].rstrip(b"\r\n").decode("utf-8", "replace")
        if kind == b"-":
            raise RefusedError(shown(said))
        if kind == b"+":
            return said
        if kind not in (b":", b"$", b"*"):
            raise ValueError("it is not Redis that answers" if line else "the connection is closed without an answer")
        number = int(said)
        if kind == b":":
            return number
        if not -1 <= number <= MOST:
            raise ValueError("the answer is too long")
        if number == -1:
            return None
        if kind == b"*":
            return [self._answer() for _ in range(number)]
        return self.stream.read(number + 2)[:-2].decode("utf-8", "replace")

    def info(self) -> dict[str, str]:
        """What it says of itself."""
        lines = [line.partition(":") for line in self.ask("INFO").splitlines()]
        return {name: value for name, colon, value in lines if colon}


def connected(path: Path) -> socket.socket:
    """A connection to the server with this socket; an OSError where there is none."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TIMEOUT)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


@contextmanager
def at_url(url: str) -> Iterator[Redis]:
    """The server of a URL as apps get it, which knows by then who asks."""
    parts = urlsplit(url)
    try:
        connection = socket.create_connection((parts.hostname or "", parts.port or PORT), TIMEOUT)
        if parts.scheme == "rediss":
            context = ssl.create_default_context(cafile=next(iter(parse_qs(parts.query).get("ssl_ca_certs", [])), None))
            connection = context.wrap_socket(connection, server_hostname=parts.hostname)
    except OSError as problem:
        raise UnreachableError(shown(str(problem))) from None
    with connection:
        server = Redis(connection)
        server.ask("AUTH", parts.username or "", parts.password or "")
        yield server
