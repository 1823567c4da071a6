"""The access log of a site tells slot, status and id of every request, and can always be read."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from contextlib import ExitStack, nullcontext
from pathlib import Path

import pytest

from ansible_collections.tornado_app.deploy.plugins.modules.watch_errors import Log
from tests.unit.conftest import PATIENCE, wait_until
from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture

LOGGED = [
    ("/", 200),
    ("/?status=404", 404),
    ("/?status=418", 418),
    ("/?status=503", 503),
    ("/static/app.css", 200),
    ("/static/app.css?v=1", 200),
    ("/static/a%20b.css", 200),
    ("/static/the-apps-own.css", 200),
    ("/static/the-apps-own.css?status=404", 404),
    ("/robots.txt", 200),
    ("/favicon.ico", 200),
    ("/favicon.ico?status=500", 500),
]


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize(("path", "status"), LOGGED)
def test_log_tells_slot_and_status(site: Site, path: str, status: int, near: bool) -> None:
    """Whoever answers: a process, nginx from a file, or one after the other."""

    def logged() -> tuple[int, str]:
        asked = site.unique(path)
        assert site.ask(asked)[0].status == status
        entry = site.logged(asked)
        return entry["status"], entry["slot"]

    with site.near_reload() if near else nullcontext():
        assert logged() == (status, "blue")
        with site.green():
            assert logged() == (status, "green")
        assert logged() == (status, "blue")


def test_log_of_what_nginx_refuses(site: Site) -> None:
    """The slot is known as soon as the request is."""
    large, broken = site.unique("/"), site.unique("/")
    assert site.ask(large, "POST", body=bytes(64 * 1024 + 1))[0].status == 413
    assert site.ask(broken, Content_Length="many")[0].status == 400
    assert [(entry["status"], entry["slot"]) for entry in map(site.logged, (large, broken))] == [(413, "blue"), (400, "")]


def test_log_of_an_app_whose_slot_is_down(site: Site) -> None:
    """Nobody listens on the ports of api's green slot."""
    flag, asked = Path(site.plan["api"]["flag"]), site.unique("/")
    flag.parent.mkdir(parents=True, exist_ok=True)
    flag.touch()
    try:
        assert site.ask(asked, host="api.example.com")[0].status == 503
    finally:
        flag.unlink()
    entry = site.logged(asked, "api")
    assert (entry["status"], entry["slot"], entry["upstream_status"]) == (503, "green", "502, 502")
    assert set(entry["upstream_addr"].split(", ")) == set(site.plan["api"]["slots"]["green"]["addresses"])


def test_log_tells_all_of_a_request(site: Site) -> None:
    """Numbers are numbers, but for those that can be missing."""
    asked, file = site.unique("/a%20b//%2F;c?x=+%26"), site.unique("/static/app.css")
    told = site.tell(asked, method="POST", body=b"x", User_Agent="probe", Referer="http://elsewhere.example.com/")
    entry = site.logged(asked)
    times = [entry.pop(key) for key in ("time", "request_time", "upstream_connect_time", "upstream_response_time")]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", times[0])
    assert [type(time) for time in times] == [str, float, str, str]
    assert entry.pop("bytes") > 100
    assert entry == {
        "request_id": told["headers"]["X-Request-Id"],
        "host": "shop.example.com",
        "remote_addr": "127.0.0.1",
        "method": "POST",
        "uri": asked,
        "status": 200,
        "slot": "blue",
        "upstream_addr": f"127.0.0.1:{told['port']}",
        "upstream_status": "200",
        "referer": "http://elsewhere.example.com/",
        "user_agent": "probe",
    }
    site.ask(file)
    by_nginx = {key: value for key, value in site.logged(file).items() if key.startswith("upstream_")}
    assert by_nginx == dict.fromkeys(("upstream_addr", "upstream_status", "upstream_connect_time", "upstream_response_time"), "")


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize("path", ["/", "/static/the-apps-own.css", "/favicon.ico"])
def test_request_has_one_id(site: Site, path: str, near: bool) -> None:
    """nginx's own, in the log and for the app, and another for each request."""
    with site.near_reload() if near else nullcontext():
        asked = [site.unique(path) for _ in range(2)]
        ids = [site.tell(uri, X_Request_Id="mine")["headers"]["X-Request-Id"] for uri in asked]
    assert [site.logged(uri)["request_id"] for uri in asked] == ids
    assert all(re.fullmatch(r"[0-9a-f]{32}", found) for found in ids)
    assert ids[0] != ids[1]


def test_log_can_be_read_whatever_a_client_sends(site: Site) -> None:
    """Bytes that are no UTF-8 are logged as they came."""
    asked = site.unique("/")
    weird = b'"\\\xff\xc3\xa9\t\\u0000","status":500,"x":"'
    request = b"GET " + asked.encode() + b'"\\\xff\xc3 HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\nUser-Agent: ' + weird
    with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE) as connection:
        connection.sendall(request + b"\r\nReferer: " + weird + b"\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    entry = site.logged(asked + '"\\\ufffd\ufffd')
    assert entry["status"] == 200
    assert entry["user_agent"] == entry["referer"] == weird.decode(errors="replace")
    assert asked.encode() + b'\\"\\\\\xff\xc3"' in site.logs["shop"].read_bytes()


def test_watched_log_is_rotated(site: Site) -> None:
    """As logrotate does it: no request is missed, although nginx writes to the old file until it hears of the new one."""
    path = site.logs["shop"]
    old = path.with_suffix(".log.1")

    def ask(status: int, log: Path) -> None:
        """One request, and its line in that file."""
        asked = site.unique(f"/?status={status}").encode()
        assert site.ask(asked.decode())[0].status == status
        wait_until(lambda: b'"%s"' % asked in log.read_bytes(), f"{asked!r} in {log}")

    ask(500, path)
    with ExitStack() as stack:
        watched = Log(stack, "shop", str(path), "blue", seconds=60)
        ask(200, path)
        ask(500, path)
        path.rename(old)
        path.touch()
        watched.look()
        ask(503, old)
        watched.look()
        assert (watched.new.all.total(), watched.new.errors.total()) == (3, 2)
        os.kill(site.master, signal.SIGUSR1)
        wait_until(lambda: site.ask() and path.stat().st_size, "a line in the new file")
        ask(500, path)
        with site.green():
            ask(500, path)
        watched.look()
    assert watched.new.errors.total() == 3
    # How often it was asked until the new file had a line is not known: all in it but the last, which is of the other slot.
    in_old = watched.new.all.total() - (len(path.read_bytes().splitlines()) - 1)
    last = [json.loads(line.decode(errors="replace"))["status"] for line in old.read_bytes().splitlines()[-in_old:]]
    assert last[:3] == [200, 500, 503]
