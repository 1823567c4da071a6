"""One HTTP request, as the modules that ask for a status need it."""

from __future__ import annotations

import hashlib
import http.client
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TypedDict

from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown
from ansible_collections.tornado_app.deploy.plugins.module_utils.untrusted import Bounded, connection, over_tls

HEAD = 65536  # bytes of an answer without what is asked for of its body
# What reading raises of an answer that is none of HTTP's; for a chunk of a negative size that is a ValueError.
MALFORMED = (ValueError, http.client.HTTPException)


class Answer(TypedDict):
    """An answer: ``status`` is 0 when there was none, ``error`` is empty for a status of 200 to 399.

    ``certificate`` is the digest of the one that came with it, over TLS.
    """

    status: int
    latency_ms: float
    error: str
    headers: dict[str, str]
    body: str
    certificate: str


@contextmanager
def connected(address: str, timeout: float, size: int, owner: int) -> Iterator[Bounded]:
    """A connection to host:port or unix:path; the socket at a path has to be the owner's."""
    place, _, rest = address.rpartition(":")
    if place == "unix":
        with connection(rest, owner, timeout, size) as found:
            yield found
    else:
        with Bounded(socket.AF_INET6 if ":" in place else socket.AF_INET, timeout, size) as made:
            made.connect((place, int(rest)))
            yield made


def exchange(
    over: socket.socket, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> http.client.HTTPResponse:
    """Ask once; the answer, of which the body is not read yet."""
    asking = http.client.HTTPConnection("localhost")
    asking.sock = over
    asking.request(method, path, body, {**headers, "Connection": "close"})
    return asking.getresponse()


def get(
    address: str, path: str, host: str, timeout: float, headers: Iterable[str] = (), size: int = 0, owner: int = -1, tls: bool = False
) -> Answer:
    """Ask once, on a new connection, without following redirects; ``address`` is host:port or unix:path, as in nginx.

    ``timeout`` is for all of it. ``headers`` has those of the answer that are asked for, empty where it has none; ``body`` its first
    ``size`` bytes as text; ``owner`` is the user whose a unix socket has to be.
    """
    start = time.monotonic()
    status, error, body, certificate, found = 0, "", "", "", dict.fromkeys(headers, "")
    try:
        with ExitStack() as stack:
            plain = stack.enter_context(connected(address, timeout, HEAD + size, owner))
            over: socket.socket = plain
            if tls:
                secure = stack.enter_context(over_tls(plain, host))
                certificate = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
                over = secure
            answer = stack.enter_context(exchange(over, "GET", path, {"Host": host}))
            status = answer.status
            found = {name: shown(answer.getheader(name, "")) for name in found}
            body = answer.read(size).decode("utf-8", "replace")  # a body that never ends is not waited for
        if not 200 <= status < 400:
            error = f"{path} answered {status}"
    except (OSError, *MALFORMED) as problem:
        error = f"{path}: {shown(str(problem)) or type(problem).__name__}"
    return {
        "status": status,
        "latency_ms": round((time.monotonic() - start) * 1000, 1),
        "error": error,
        "headers": found,
        "body": body,
        "certificate": certificate,
    }
