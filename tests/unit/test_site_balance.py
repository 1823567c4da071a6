"""A client goes to one process for as long as that is there, by its address or by a cookie of nginx's; to another one when it is not."""

from __future__ import annotations

import http.cookies
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import held_ports, listens, make_plan, process, relocated, wait_until
from tests.unit.nginx_trees import nginx_test, nginx_tree
from tests.unit.rendering import API, SHOP, nginx_files
from tests.unit.running_site import OWN, PROGRAM, Site

COOKIE = {**SHOP, "balance": "cookie"}
NAMES = {"server_names": ["shop.example.com"]}


class Balanced(Site):
    """A running nginx with apps that choose processes by cookie, one of them below a prefix, one by address and one by neither."""

    def __init__(self, root: Path, nginx: Path, stack: ExitStack) -> None:
        held = stack.enter_context(held_ports(13))
        self.port = held[12]
        apps = {
            "shop": {**COOKIE, **NAMES, "port": held[0], "processes": 3},
            "chat-2": {**COOKIE, **NAMES, "path": "/chat/", "port": held[6], "processes": 2},
            "addr": {**API, "balance": "ip_hash", "port": held[3], "processes": 3},
            "plain": {**SHOP, **NAMES, "path": "/plain/", "port": held[9], "processes": 1},
        }
        planned = make_plan(apps, stride=100)
        # nginx_tree puts the logs below root.
        self.plan = {name: {**app, "access_log": planned[name]["access_log"]} for name, app in relocated(planned, root).items()}
        self.program = root / "program.py"
        self.program.write_text(PROGRAM)
        self.closing = root / "closing"
        self.running: dict[int, ExitStack] = {}
        for app in self.plan.values():
            for port in app["slots"]["blue"]["ports"]:
                self.start(port)
                stack.callback(self.stop, port)
        static = self.release("shop", "blue") / "static"
        static.mkdir()
        (static / "app.css").touch()
        files = {**nginx_files(self.plan, ipv6=False), "conf.d/own.conf": OWN}
        config = nginx_tree(root, files, self.port)
        stack.enter_context(process(nginx, "-e", "stderr", "-c", config, "-g", "daemon off;"))
        for port in (*self.running, self.port):
            wait_until(lambda port=port: listens(port), f"port {port}")  # type: ignore[misc]

    def start(self, port: int) -> None:
        """Start the process of this port."""
        self.running[port] = ExitStack()
        self.running[port].enter_context(process(sys.executable, self.program, str(port)))

    def stop(self, port: int) -> None:
        """End it."""
        self.running[port].close()

    def blue(self, app: str) -> set[int]:
        return set(self.plan[app]["slots"]["blue"]["ports"])

    def visit(self, path: str = "/", cookie: str = "", **arguments: Any) -> tuple[int, dict[str, http.cookies.Morsel[str]]]:
        """Which process got a request, and the cookies that came with its answer."""
        answer, body = self.ask(path, **arguments, Cookie=cookie or "other=1")
        found: dict[str, http.cookies.Morsel[str]] = {}
        for header in answer.headers.get_all("Set-Cookie") or []:
            found |= dict(http.cookies.SimpleCookie(header))
        return int(json.loads(body)["port"]), found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nginx: Path) -> Iterator[Balanced]:
    with ExitStack() as stack:
        yield Balanced(tmp_path_factory.mktemp("site"), nginx, stack)


def key(visited: Mapping[str, http.cookies.Morsel[str]], name: str = "tornado_app_shop") -> str:
    """The cookie of a first visit, as the client sends it back."""
    return f"{name}={visited[name].value}"


# Cookie


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize(("path", "app"), [("/", "shop"), ("/chat/", "chat-2"), ("/static/none.css", "shop")])
def test_a_client_stays_with_the_process_of_its_first_visit(site: Balanced, path: str, app: str, near: bool) -> None:
    name = f"tornado_app_{app.replace('-', '_')}"
    used = set()
    with site.near_reload() if near else nullcontext():
        for _ in range(30):
            first, cookies = site.visit(path)
            assert set(cookies) == {name}
            cookie = key(cookies, name)
            assert [site.visit(path, cookie, method=method) for method in ("GET", "POST", "GET")] == [(first, {})] * 3
            used.add(first)
    assert used == site.blue(app)


@pytest.mark.parametrize(("path", "name", "below"), [("/", "tornado_app_shop", "/"), ("/chat/", "tornado_app_chat_2", "/chat/")])
def test_the_cookie_is_the_apps_and_no_scripts(site: Balanced, path: str, name: str, below: str) -> None:
    cookie = site.visit(path)[1][name]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"], cookie["secure"]) == (below, True, "Lax", "")
    assert not any(cookie[key] for key in ("domain", "expires", "max-age"))
    assert len(cookie.value) == 32


@pytest.mark.parametrize("value", ["", "x", "0" * 31, "0" * 33, "A" * 32, "../" * 20])
def test_a_cookie_that_nginx_has_not_made_is_replaced(site: Balanced, value: str) -> None:
    port, cookies = site.visit("/", f"tornado_app_shop={value}")
    assert site.visit("/", key(cookies)) == (port, {})


def test_apps_do_not_take_each_others_cookies(site: Balanced) -> None:
    assert site.visit("/plain/", "tornado_app_shop=x")[1] == {}
    assert site.visit("/", host="api.example.com")[1] == {}
    assert set(site.visit("/chat/", key(site.visit()[1]))[1]) == {"tornado_app_chat_2"}


def test_what_the_app_has_not_answered_has_no_cookie(site: Balanced) -> None:
    assert site.ask("/static/app.css")[0].headers["Set-Cookie"] is None
    for path in ("/chat", "/.tornado_app/slot"):
        assert site.ask(path)[0].headers["Set-Cookie"] is None


def test_other_headers_of_all_sites_stay(site: Balanced) -> None:
    answer, _ = site.ask()
    assert (answer.headers["X-Operator"], "Set-Cookie" in answer.headers) == ("here", True)
    assert site.ask("/static/app.css")[0].headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" in site.ask("/?status=500")[0].headers


# Address


def test_an_address_stays_with_its_process_whatever_network_it_is_of(site: Balanced) -> None:
    """Addresses of one network go to all processes, which those of nginx's ip_hash would not."""
    found: dict[str, set[int]] = {}
    for address in [f"198.51.100.{number}" for number in range(1, 30)] * 3:
        found.setdefault(address, set()).add(site.visit(host="api.example.com", X_Told_By_Proxy=address)[0])
    assert all(len(ports) == 1 for ports in found.values())
    assert set().union(*found.values()) == site.blue("addr")


# A process that is away


@pytest.mark.parametrize("app", ["shop", "addr"])
def test_while_a_process_is_away_its_clients_go_to_another_and_come_back(site: Balanced, app: str) -> None:
    """No request fails, and nobody else moves."""

    def places() -> dict[str, int]:
        """Each client and its process."""
        if app == "shop":
            return {cookie: site.visit("/", cookie, method=method)[0] for cookie in clients for method in ("GET", "POST")}
        return {address: site.visit(host="api.example.com", X_Told_By_Proxy=address)[0] for address in clients}

    clients = [key(site.visit()[1]) if app == "shop" else f"198.51.100.{number}" for number in range(20)]
    before = places()
    away = before[clients[0]]
    site.stop(away)
    try:
        meanwhile = places()
        assert away not in meanwhile.values()
        assert places() == meanwhile
        assert all(meanwhile[client] == port for client, port in before.items() if port != away)
    finally:
        site.start(away)
    wait_until(lambda: listens(away), "the process that is back")
    assert places() == before


@pytest.mark.parametrize(("site_has", "slot_has"), list(itertools.permutations(["least_conn", "ip_hash", "cookie"], 2)))
def test_nginx_takes_a_site_and_a_slot_of_different_balances(tmp_path: Path, nginx: Path, site_has: str, slot_has: str) -> None:
    """A deploy without provisioning writes the one, a slot that is empty may have the other from before."""
    old, new = (nginx_files(make_plan({"shop": {**SHOP, "balance": balance}}), ipv6=False) for balance in (site_has, slot_has))
    passed, words = nginx_test(nginx, nginx_tree(tmp_path, {**old, "conf.d/shop.blue.conf": new["conf.d/shop.blue.conf"]}, 80))
    assert passed, words
