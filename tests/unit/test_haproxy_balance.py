"""A client goes to one host for as long as that is there, by a cookie or by its address, where its app wants that."""

from __future__ import annotations

import http.cookies
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.haproxy_host import Balancer, config, given, haproxy, host, made

__all__ = ["haproxy"]  # a fixture

APPS = {
    "shop": given("shop.example.com", balance="cookie"),
    "chat-2": given("shop.example.com", path="/chat/", balance="cookie"),
    "addr": given("addr.example.com", balance="ip_hash"),
}


@pytest.fixture
def balancer(tmp_path_factory: pytest.TempPathFactory, haproxy: Path) -> Iterator[Balancer]:
    """Two hosts with apps that choose a host by cookie, one of them below a prefix, and by address."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        found = made(tmp_path_factory.mktemp("b"), haproxy, stack, patch)
        found.start_hosts(1, 2)
        found.start(config(host(1, APPS), host(2, APPS)))
        for app in APPS:
            found.wait_for(1, 2, backend=app)
        yield found


def visit(balancer: Balancer, cookie: str = "", path: str = "/") -> tuple[str, http.cookies.SimpleCookie, str]:
    """Which host got a request, the cookies that came with its answer, and those that the host has seen."""
    answer, body = balancer.ask(path, Cookie=f"other=1; {cookie}")
    told = json.loads(body)
    return told["address"], http.cookies.SimpleCookie(answer.headers["Set-Cookie"]), told["headers"]["Cookie"]


def kept(cookies: http.cookies.SimpleCookie) -> str:
    """The cookie as a browser sends it."""
    (morsel,) = cookies.values()
    return f"{morsel.key}={morsel.value}"


def test_a_browser_meets_its_host_again_and_the_cookie_tells_nobody_which_it_is(balancer: Balancer) -> None:
    clients = {}
    for _ in range(4):
        address, cookies, _ = visit(balancer)
        clients[address] = kept(cookies)
    assert set(clients) == {"127.0.0.2", "127.0.0.3"}
    assert not any(part in cookie for cookie in clients.values() for part in ("web", "127"))
    for address, cookie in clients.items():
        assert {visit(balancer, cookie) == (address, {}, "other=1") for _ in range(6)} == {True}


def test_each_app_has_a_cookie_of_its_own_below_its_prefix(balancer: Balancer) -> None:
    for path, name, prefix in (("/", "tornado_host_shop", "/"), ("/chat/", "tornado_host_chat-2", "/chat/")):
        _, cookies, _ = visit(balancer, path=path)
        (morsel,) = cookies.values()
        assert (morsel.key, morsel["path"], morsel["samesite"], morsel["httponly"], morsel["secure"]) == (name, prefix, "Lax", True, "")


def test_clients_of_a_drained_host_stay_with_the_one_to_which_they_have_gone(balancer: Balancer) -> None:
    first, cookies, _ = visit(balancer)
    number = int(first[-1]) - 1
    balancer.mark(number, "drained")
    balancer.wait_for(3 - number)
    other, later, _ = visit(balancer, kept(cookies))
    assert other != first
    balancer.mark(number, "drained", there=False)
    balancer.wait_for(1, 2)
    assert {visit(balancer, kept(later))[0] for _ in range(4)} == {other}


def test_clients_of_a_host_that_dies_get_an_answer_at_once(balancer: Balancer) -> None:
    dying = balancer.start_hosts(3)
    balancer.install(config(host(1, APPS), host(3, APPS)))
    balancer.wait_for(1, 3)
    cookie = next(kept(cookies) for address, cookies, _ in iter(lambda: visit(balancer), None) if address == "127.0.0.4")
    dying.kill()
    dying.wait()
    assert visit(balancer, cookie)[0] == "127.0.0.2"


def test_an_address_meets_its_host_again(balancer: Balancer) -> None:
    met = [{balancer.tell(host="addr.example.com", source=f"127.0.1.{client}")["address"] for _ in range(3)} for client in range(1, 21)]
    assert {len(hosts) for hosts in met} == {1}
    assert set.union(*met) == {"127.0.0.2", "127.0.0.3"}
