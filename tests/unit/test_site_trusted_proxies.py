"""Who may say for whom it asks: the proxies that are trusted, and nobody else."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture

SAID = {"X_Forwarded_For": "203.0.113.1, 198.51.100.7", "X_Forwarded_Proto": "https", "X_Request_Id": "balancer-1.7"}
PROXY, STRANGER = "127.0.0.9", "127.0.0.1"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, nginx: Any) -> Iterator[Site]:
    """A site behind a balancer."""
    with ExitStack() as stack:
        inputs = {"tornado_app_trusted_proxies": [f"{PROXY}/32", "2001:db8::/64"]}
        yield Site(tmp_path_factory.mktemp("behind"), nginx, stack, inputs=inputs, own="")


@pytest.fixture(scope="module")
def passed_on(tmp_path_factory: pytest.TempPathFactory, nginx: Any) -> Iterator[Site]:
    """A site behind a balancer that passes connections on."""
    with ExitStack() as stack:
        inputs = {"tornado_app_trusted_proxies": PROXY, "tornado_app_proxy_port": "{proxy_port}"}
        yield Site(tmp_path_factory.mktemp("passed_on"), nginx, stack, inputs=inputs, own="")


def told(found: dict[str, Any]) -> tuple[str, str, str]:
    headers = found["headers"]
    assert headers["X-Real-Ip"] == headers["X-Forwarded-For"]
    assert headers["X-Scheme"] == headers["X-Forwarded-Proto"]
    return headers["X-Real-Ip"], headers["X-Scheme"], headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/", "/static/none.css", "/admin/v2.0/"])
def test_a_trusted_proxy_says_client_scheme_and_request(behind: Site, path: str) -> None:
    asked = behind.unique(path)
    found = behind.tell(asked, source=PROXY, **SAID)
    assert told(found) == ("198.51.100.7", "https", "balancer-1.7")
    entry = behind.logged(asked, "admin-2" if path.startswith("/admin") else "shop")
    assert (entry["remote_addr"], entry["request_id"]) == ("198.51.100.7", "balancer-1.7")


def test_of_several_proxies_the_last_that_is_not_trusted_is_the_client(behind: Site) -> None:
    found = behind.tell(source=PROXY, X_Forwarded_For="203.0.113.1, 198.51.100.7, 2001:db8::5")
    assert found["headers"]["X-Real-Ip"] == "198.51.100.7"


def test_nobody_else_is_believed(behind: Site) -> None:
    address, scheme, request = told(behind.tell(source=STRANGER, **SAID))
    assert (address, scheme) == (STRANGER, "http")
    assert request != SAID["X_Request_Id"]


def test_a_proxy_that_says_nothing_is_the_client(behind: Site) -> None:
    address, scheme, request = told(behind.tell(source=PROXY))
    assert (address, scheme, len(request)) == (PROXY, "http", 32)


@pytest.mark.parametrize(
    ("header", "value"),
    [("X_Forwarded_Proto", "javascript"), ("X_Forwarded_Proto", "https, http"), ("X_Request_Id", "a b"), ("X_Request_Id", "x" * 129)],
)
def test_what_a_proxy_passes_on_of_its_clients_is_looked_at(behind: Site, header: str, value: str) -> None:
    _, scheme, request = told(behind.tell(source=PROXY, **{header: value}))
    assert scheme == "http"
    assert request != value


def test_without_a_trusted_proxy_none_is_believed(site: Site) -> None:
    _, scheme, request = told(site.tell(source=PROXY, **SAID))
    assert scheme == "http"
    assert request != SAID["X_Request_Id"]


def test_the_slot_is_told_to_nobody_behind_a_proxy(behind: Site) -> None:
    """Not to a client that calls itself this machine, either."""
    assert behind.ask("/.tornado_app/slot", source="127.0.0.1")[0].status == 200
    assert behind.ask("/.tornado_app/slot", source=PROXY, X_Forwarded_For="127.0.0.1")[0].status == 404


def asked(port: int, source: str, before: str, said: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What the app gets of a request with these headers, and with a line before it."""
    with socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0)) as connection:
        headers = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in said)
        connection.sendall(f"{before}GET / HTTP/1.1\r\nHost: shop.example.com\r\n{headers}Connection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    return dict(json.loads(answer.partition(b"\r\n\r\n")[2]))


def by_proxy_protocol(site: Site, source: str, client: str) -> dict[str, Any]:
    """What the app gets of a connection that a balancer passes on."""
    return asked(site.proxy_port, source, f"PROXY TCP4 {client} 192.0.2.1 4711 80\r\n", [*SAID.items()])


def test_a_proxy_may_add_a_header_instead_of_a_value(behind: Site) -> None:
    """As HAProxy does."""
    said = [("X_Forwarded_For", address) for address in ("203.0.113.1", "198.51.100.7", "2001:db8::5")]
    assert told(asked(behind.port, PROXY, "", said))[0] == "198.51.100.7"


def test_a_connection_that_is_passed_on_says_its_client(passed_on: Site) -> None:
    """And nothing else: the headers are of the client."""
    for source, client in ((PROXY, "198.51.100.9"), (STRANGER, STRANGER)):
        address, scheme, request = told(by_proxy_protocol(passed_on, source, "198.51.100.9"))
        assert (address, scheme) == (client, "http")
        assert request != SAID["X_Request_Id"]


def test_beside_it_port_80_takes_requests_as_they_are(passed_on: Site) -> None:
    assert told(passed_on.tell(source=PROXY, **SAID))[0] == PROXY
