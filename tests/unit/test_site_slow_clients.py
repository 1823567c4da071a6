"""A client that sends a header byte by byte is cut, an upload that is only slow is not."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.conftest import PATIENCE
from tests.unit.running_site import Site

# Seconds: that a whole header, or the next part of a body, may take at this nginx; and between two bytes of a slow client.
LIMIT = 2
PAUSE = 0.3


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nginx: Path) -> Iterator[Site]:
    """The usual one, with less patience, on a host whose other sites have limits of their own."""
    usual = {"client_header_timeout": 15, "client_body_timeout": 30}
    limits = {f"{name} {seconds}s;": f"{name} {LIMIT}s;" for name, seconds in usual.items()}
    with ExitStack() as stack:
        yield Site(tmp_path_factory.mktemp("site"), nginx, stack, limits, own=OTHERS)


# The limits of an operator for other sites.
OTHERS = """
client_header_timeout 50s;
client_body_timeout 50s;
send_timeout 50s;
large_client_header_buffers 2 1k;
reset_timedout_connection off;
"""


def seconds_until_cut(site: Site, begin: bytes, *, bytewise: bool) -> float:
    """How long nginx bears a client that sends these bytes and then a byte now and then, or nothing."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=PAUSE) as connection:
        connection.sendall(begin)
        start = time.monotonic()
        while time.monotonic() < start + PATIENCE:
            try:
                if bytewise:
                    connection.sendall(b"A")
                if not connection.recv(1000).startswith(b"HTTP/1.1 408"):
                    break
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
        return time.monotonic() - start


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nHost: shop.example.com\r\nX-A: "], ids=["path", "header"])
def test_client_that_sends_a_header_byte_by_byte_is_cut(site: Site, begin: bytes) -> None:
    """Each byte comes in time; the whole does not."""
    assert LIMIT - PAUSE <= seconds_until_cut(site, begin, bytewise=True) < 10 * LIMIT


def test_client_that_connects_and_sends_nothing_is_cut(site: Site) -> None:
    assert LIMIT - PAUSE <= seconds_until_cut(site, b"", bytewise=False) < 10 * LIMIT


def test_upload_that_stands_still_is_cut(site: Site) -> None:
    begin = b"POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 100\r\n\r\na"
    assert LIMIT - PAUSE <= seconds_until_cut(site, begin, bytewise=False) < 10 * LIMIT


def test_slow_upload_passes(site: Site) -> None:
    """It takes longer than any limit, and never pauses for as long as one."""
    size = 10
    with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE) as connection:
        head = f"POST / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(size):
            time.sleep(PAUSE)
            connection.sendall(b"a")
        answer = b""
        while came := connection.recv(65536):
            answer += came
    assert size * PAUSE > LIMIT
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["size"] == size
