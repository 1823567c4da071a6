"""Who answers in the place of a supervisord or of an app, and how: on a unix socket or a port of loopback."""

from __future__ import annotations

import socket
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Behaviour = Callable[[socket.socket], None]
PROCESS = {"group": "shop-blue", "name": "8000", "statename": "RUNNING", "pid": 0, "spawnerr": "", "description": "pid 0, uptime 0:00:01"}


def request(connection: socket.socket) -> bytes:
    """A whole request."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.partition(b":")[2]):
                body += connection.recv(65536)
    return body


def says(answer: bytes) -> Behaviour:
    """Answers these bytes."""

    def behave(connection: socket.socket) -> None:
        request(connection)
        connection.sendall(answer)

    return behave


def is_silent(connection: socket.socket) -> None:
    """Never answers; ends when the other end hangs up."""
    while connection.recv(65536):
        pass


def drips(start: bytes) -> Behaviour:
    """Goes on after this, a byte at a time; not for ever, so that a test that hangs ends."""

    def behave(connection: socket.socket) -> None:
        request(connection)
        connection.sendall(start)
        for _ in range(600):
            connection.sendall(b"x")
            time.sleep(0.05)

    return behave


def http(body: bytes, status: str = "200 OK") -> bytes:
    """A body as an answer of HTTP's."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def xml(value: Any) -> bytes:
    """A value as an answer of supervisord's."""
    return http(xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True).encode())


def is_supervisord(answers: Mapping[str, Any]) -> Behaviour:
    """Answers each method with its value."""

    def behave(connection: socket.socket) -> None:
        _, method = xmlrpc.client.loads(request(connection))
        assert method
        connection.sendall(xml(answers[method.removeprefix("supervisor.")]))

    return behave


def lists(*processes: Mapping[str, Any]) -> Behaviour:
    """A supervisord that says this of its processes; what is left out is that of one that is well."""
    return is_supervisord({"getAllProcessInfo": [{**PROCESS, **process} for process in processes]})


@contextmanager
def impostor(where: Path | int, behave: Behaviour) -> Iterator[None]:
    """Behave like this, to each connection in a thread of its own, at the path of a socket or at a port."""
    with socket.socket(socket.AF_UNIX if isinstance(where, Path) else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(str(where) if isinstance(where, Path) else ("127.0.0.1", where))
        listener.listen(64)

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):  # the other end may hang up at any time
                behave(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
