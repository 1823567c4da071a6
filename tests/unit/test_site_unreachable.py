"""What a site answers when no process of the slot can be reached, and when one breaks the connection."""

from __future__ import annotations

import socket
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.unit.running_site import Site, site, there

__all__ = ["site"]  # a fixture


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize(
    ("method", "size"), [("GET", 0), ("HEAD", 0), ("POST", 10), ("POST", 60_000)], ids=["GET", "HEAD", "POST", "large POST"]
)
@pytest.mark.parametrize(
    ("app", "host", "path"),
    [("api", "api.example.com", "/"), ("admin-2", "shop.example.com", "/admin/v2.0/x")],
    ids=["app", "below a prefix"],
)
def test_a_client_may_ask_again_for_what_no_process_got(
    site: Site, app: str, host: str, path: str, method: str, size: int, near: bool
) -> None:
    with there(site.plan[app]["flag"]), site.near_reload() if near else nullcontext():
        asked = site.unique(path)
        answer, _ = site.ask(asked, method, host=host, body=b"x" * size if size else None)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert answer.headers["Connection"] == "close" or not near
    entry = site.logged(asked, app)
    assert (entry["status"], entry["slot"], set(entry["upstream_status"].split(", "))) == (503, "green", {"502"})


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
def test_so_it_may_for_a_file_that_the_app_would_have_answered_for(site: Site, near: bool) -> None:
    with there(site.plan["admin-2"]["flag"]), site.near_reload() if near else nullcontext():
        answer, _ = site.ask("/admin/v2.0/static/none.css", host="shop.example.com")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


def test_sockets_that_are_missing_or_nobodys_are_none_to_reach(site: Site) -> None:
    missing, left = (Path(address.removeprefix("unix:")) for address in site.plan["sock"]["slots"]["blue"]["addresses"])
    left.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(left))
    assert left.exists()
    assert not missing.exists()
    asked = site.unique("/")
    answer, _ = site.ask(asked, host="sock.example.com")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert site.logged(asked, "sock")["upstream_status"] == "502, 502"


@pytest.mark.parametrize(
    ("host", "tried"), [("shop.example.com", 2), ("api.example.com", 2)], ids=["by all processes", "by one, and the other does not run"]
)
def test_what_a_process_has_broken_off_may_have_been_done(site: Site, host: str, tried: int) -> None:
    """Whichever process nginx asks first."""
    for _ in range(4):
        asked = site.unique("/?cut=1")
        answer, _ = site.ask(asked, host=host)
        assert (answer.status, answer.headers["Retry-After"]) == (502, None)
        entry = site.logged(asked, host.partition(".")[0])
        assert (entry["status"], len(entry["upstream_addr"].split(", "))) == (502, tried)


@pytest.mark.parametrize("status", [502, 503])
def test_the_apps_own_answer_passes_as_it_is(site: Site, status: int) -> None:
    answer, body = site.ask(f"/?status={status}")
    assert (answer.status, answer.headers["Retry-After"], body[:1]) == (status, None, b"{")
