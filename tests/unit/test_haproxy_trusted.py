"""Who may say for whom it asks, of those in front of the balancer: the proxies that hosts trust, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.unit.haproxy_host import Balancer, config, given, haproxy, host, made, pair

__all__ = ["haproxy"]  # a fixture

APPS = {
    "shop": given("shop.example.com", balance="ip_hash"),
    "bank": given("bank.example.com", tls={"certificate": "c.pem", "key": "k.pem", "hsts": 600}),
}
SAID = {"X_Forwarded_For": "203.0.113.1, 198.51.100.7", "X_Forwarded_Proto": "https", "X_Request_Id": "cdn-1.7"}
PROXY, OTHER, STRANGER = "127.0.0.9", "127.0.0.10", "127.0.0.11"


@pytest.fixture(scope="module")
def balancer(tmp_path_factory: pytest.TempPathFactory, haproxy: Path) -> Iterator[Balancer]:
    """Two hosts, of which each trusts a proxy of its own."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        found = made(tmp_path_factory.mktemp("b"), haproxy, stack, patch)
        found.start_hosts(1, 2)
        path = found.directory / "bank.0123456789ab.pem"
        hosts = [host(1, APPS, trusted=[f"{PROXY}/32", "2001:db8::/64"]), host(2, APPS, trusted=[OTHER])]
        found.start(config(*hosts, certificates=[path]), secrets={path: pair("bank.example.com")})
        for app in APPS:
            found.wait_for(1, 2, backend=app)
        yield found


def told(balancer: Balancer, source: str, **said: str) -> tuple[str, str, str]:
    """Client, scheme and id of a request as a host gets them."""
    headers: dict[str, Any] = balancer.tell(source=source, **said)["headers"]
    return headers["X-Forwarded-For"].replace(", ", ","), headers["X-Forwarded-Proto"], headers["X-Request-Id"]


@pytest.mark.parametrize("source", [PROXY, OTHER])
def test_a_trusted_proxy_says_client_scheme_and_request(balancer: Balancer, source: str) -> None:
    assert told(balancer, source, **SAID) == (f"203.0.113.1,198.51.100.7,{source}", "https", "cdn-1.7")


def test_nobody_else_is_believed(balancer: Balancer) -> None:
    address, scheme, request = told(balancer, STRANGER, **SAID)
    assert (address, scheme, len(request)) == (STRANGER, "http", 32)


def test_a_proxy_that_says_nothing_is_the_client(balancer: Balancer) -> None:
    address, scheme, request = told(balancer, PROXY)
    assert (address, scheme, len(request)) == (PROXY, "http", 32)


@pytest.mark.parametrize("said", ["javascript", "https, http"])
def test_a_proxy_says_one_of_two_schemes(balancer: Balancer, said: str) -> None:
    assert told(balancer, PROXY, X_Forwarded_Proto=said)[1] == "http"


@pytest.mark.parametrize(
    ("source", "scheme", "status", "hsts"),
    [(PROXY, "https", 200, "max-age=600"), (PROXY, "http", 308, None), (STRANGER, "https", 308, None)],
)
def test_who_has_come_by_tls_to_the_proxy_is_not_sent_to_it_again(
    balancer: Balancer, source: str, scheme: str, status: int, hsts: str | None
) -> None:
    answer, _ = balancer.ask(host="bank.example.com", source=source, X_Forwarded_Proto=scheme)
    assert (answer.status, answer.headers["Strict-Transport-Security"]) == (status, hsts)


def test_behind_a_proxy_too_a_client_meets_its_host_again(balancer: Balancer) -> None:
    def met(client: str, first: str) -> str:
        return str(balancer.tell(source=PROXY, X_Forwarded_For=f"{first}, {client}")["address"])

    hosts = [{met(f"198.51.100.{number}", first) for first in ("192.0.2.1", "192.0.2.2", "192.0.2.3")} for number in range(1, 21)]
    assert {len(each) for each in hosts} == {1}
    assert set.union(*hosts) == {"127.0.0.2", "127.0.0.3"}
    # Nobody chooses a host by what it says of itself.
    assert len({balancer.tell(source=STRANGER, X_Forwarded_For=f"198.51.100.{number}")["address"] for number in range(1, 21)}) == 1
