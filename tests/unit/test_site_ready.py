"""What a site and a host answer to a balancer that asks whether they want requests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.unit.builders import planned
from tests.unit.conftest import PATIENCE
from tests.unit.rendering import SHOP
from tests.unit.running_site import Site, site, there

__all__ = ["site"]  # a fixture

READY = "/.tornado_app/ready"
STRANGER = "127.0.0.2"
WANTED, UNWANTED = (200, b"ready\n"), (503, b"not ready\n")


def ready(site: Site, path: str = READY, host: str = "shop.example.com", source: str = STRANGER) -> tuple[int, bytes]:
    """The status, and what nginx says: nothing of an app's own answer, which may be for users with a password."""
    answer, body = site.ask(path, host=host, source=source)
    return answer.status, body


@contextmanager
def with_health(folder: Path, nginx: Path, path: str, **others: str) -> Iterator[Site]:
    """A site where shop's health path, as nginx's files have it, is another one; `others` are upstreams that stand for other ones."""
    changed = {f"http://{name}_$slot_{name}/;": f"http://{other}_$slot_{other}/;" for name, other in others.items()}
    with ExitStack() as stack:
        yield Site(folder, nginx, stack, {"http://shop_$slot_shop/;": f"http://shop_$slot_shop{path};", **changed})


def test_an_app_that_is_well_wants_requests_by_its_name_and_below_its_prefix(site: Site) -> None:
    assert ready(site) == WANTED
    assert ready(site, f"/admin/v2.0{READY}") == WANTED
    assert ready(site, host="api.example.com") == WANTED  # one of its two processes has died


def test_an_app_that_nothing_runs_of_wants_none(site: Site) -> None:
    assert ready(site, host="sock.example.com") == UNWANTED


def test_a_slot_without_processes_wants_none_once_it_is_live(site: Site) -> None:
    with there(site.plan["api"]["flag"]):
        assert ready(site, host="api.example.com") == UNWANTED


def test_an_app_in_maintenance_wants_requests_though_it_is_not_well(site: Site) -> None:
    """Its page is for them."""
    with there(site.plan["sock"]["maintenance_flag"]):
        assert ready(site, host="sock.example.com") == WANTED
    assert ready(site, host="sock.example.com") == UNWANTED


def test_a_host_that_is_drained_wants_none_and_goes_on_to_serve(site: Site) -> None:
    site.drained.touch()
    try:
        for path, host in ((READY, "shop.example.com"), (f"/admin/v2.0{READY}", "shop.example.com"), (READY, "192.0.2.99")):
            assert ready(site, path, host) == UNWANTED
        assert site.ask("/")[0].status == 200
    finally:
        site.drained.unlink()
    assert ready(site) == WANTED


def test_the_health_path_is_asked_as_the_gate_asks_it(site: Site) -> None:
    before = len(site.seen())
    site.ask(READY, "HEAD", host="api.example.com", Cookie="a=b", Authorization="Basic x")
    assert site.seen()[before:] == ["/"]


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (200, WANTED),
        (201, WANTED),
        (204, WANTED),
        (206, WANTED),
        (302, WANTED),
        (304, WANTED),
        (310, WANTED),
        (404, UNWANTED),
        (429, UNWANTED),
        (500, UNWANTED),
        (503, UNWANTED),
    ],
)
def test_what_passes_the_gate_is_ready(
    tmp_path_factory: pytest.TempPathFactory, nginx: Path, status: int, wanted: tuple[int, bytes]
) -> None:
    """By name and by address, where a host answers for all of its apps."""
    with with_health(tmp_path_factory.mktemp("r"), nginx, f"/?status={status}", sock="api") as site:
        assert ready(site) == wanted
        assert ready(site, host="192.0.2.99") == wanted
        assert ready(site, host="192.0.2.1") == wanted  # one of shop's names


def test_a_host_that_is_well_wants_no_requests_for_a_name_that_it_does_not_have(
    tmp_path_factory: pytest.TempPathFactory, nginx: Path
) -> None:
    """The app of that name may be gone from this host alone, which a balancer hears of later."""
    with with_health(tmp_path_factory.mktemp("r"), nginx, "/", sock="api") as site:
        for address in ("192.0.2.99:80", "[2001:db8::a]", "[2001:db8::a]:80"):
            assert ready(site, host=address) == WANTED
        for name in ("gone.example.com", "localhost", "GONE.example.com:80"):
            assert ready(site, host=name) == UNWANTED
        with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as client:
            client.sendall(f"GET {READY} HTTP/1.0\r\n\r\n".encode())  # of a balancer that names none
            assert b"".join(iter(lambda: client.recv(65536), b"")).endswith(b"\r\n\r\nready\n")


def test_an_answer_with_large_headers_is_one(tmp_path_factory: pytest.TempPathFactory, nginx: Path) -> None:
    """As the app's own are."""
    with with_health(tmp_path_factory.mktemp("r"), nginx, "/?large=15500", sock="api") as site:
        assert ready(site) == ready(site, host="192.0.2.99") == WANTED


def test_an_app_that_keeps_its_prefix_is_asked_below_it(site: Site) -> None:
    before = len(site.seen(site.lab))
    assert ready(site, f"/lab{READY}") == WANTED
    assert site.seen(site.lab)[before:] == ["/lab/api/status"]


def test_by_address_a_host_is_not_ready_where_one_of_its_apps_is_not(site: Site) -> None:
    assert ready(site, host="192.0.2.99") == UNWANTED  # sock


@pytest.mark.parametrize("address", ["192.0.2.1", "[2001:db8::1]"])
def test_by_an_address_that_is_a_name_of_an_app_too(site: Site, address: str) -> None:
    """But not by the other names of the app, below paths, or for the host itself, which asks for one app after the other."""
    assert ready(site, host=address) == UNWANTED
    assert ready(site, host="a.shop.example.com") == ready(site, f"/lab{READY}", address) == WANTED
    assert ready(site, host=address, source="127.0.0.1") == WANTED


def test_a_name_without_an_app_at_its_root_wants_requests_where_all_of_its_apps_do(
    tmp_path_factory: pytest.TempPathFactory, nginx: Path
) -> None:
    with ExitStack() as stack:
        site = Site(tmp_path_factory.mktemp("r"), nginx, stack, settings={"shop": {"path": "/shop/"}})
        assert [ready(site, f"{prefix}{READY}") for prefix in ("", "/shop", "/lab")] == [WANTED] * 3
        assert ready(site, host="192.0.2.1") == UNWANTED  # sock
        with there(site.plan["lab"]["flag"]):
            assert [ready(site, f"{prefix}{READY}") for prefix in ("", "/shop", "/lab")] == [UNWANTED, WANTED, UNWANTED]
        with there(site.drained):
            assert ready(site) == UNWANTED
        assert site.ask(f"{READY}/host")[0].status == site.ask(f"{READY}/0")[0].status == site.ask("/")[0].status == 404


def test_nobody_asks_for_one_app_of_the_chain_from_outside(site: Site) -> None:
    assert site.ask(f"{READY}/1", host="192.0.2.99")[0].status == 404


def test_no_question_of_a_balancer_is_in_the_log_where_errors_are_counted(site: Site) -> None:
    asked = site.unique(READY)
    site.drained.touch()
    try:
        assert ready(site, asked) == UNWANTED
    finally:
        site.drained.unlink()
    later = site.unique("/")
    site.ask(later)
    site.logged(later)
    assert asked not in site.logs["shop"].read_text()


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/healthz", "/healthz"),
        ("/health/?full=1&x=%20y", "/health/?full=1&x=%20y"),
        ("/a$uri;b{c}d\"e'f\\g#h", "/a%24uri%3Bb%7Bc%7Dd%22e%27f%5Cg%23h"),
    ],
)
def test_a_health_path_says_nothing_to_nginx(path: str, written: str) -> None:
    assert planned({"shop": {**SHOP, "health": {"path": path}}})["shop"]["ready_path"] == written
