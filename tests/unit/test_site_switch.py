"""A site is switched by its flag, asks clients to close before a reload, and loses no request."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import OWN, PATIENCE, run_module, utils, wait_until
from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture


def test_flag_switches_each_request(site: Site) -> None:
    """Also on a connection that was open before; nothing is reloaded."""
    blue, green = (set(site.shop["slots"][slot]["ports"]) for slot in ("blue", "green"))
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)) as connection:

        def port() -> int:
            connection.request("GET", "/", headers={"Host": "shop.example.com"})
            answered: int = json.loads(connection.getresponse().read())["port"]
            return answered

        port()
        opened = connection.sock
        for _ in range(10):
            assert port() in blue
            with site.green():
                assert port() in green
        assert connection.sock is opened


def test_flag_switches_static_files(site: Site) -> None:
    for path in ("/static/app.css", "/static/app.css?v=1", "/robots.txt"):
        assert b"blue" in site.ask(path)[1]
        with site.green():
            assert b"green" in site.ask(path)[1]
        assert b"blue" in site.ask(path)[1]


def test_the_site_names_the_slot_that_gets_requests(site: Site) -> None:
    """And gives for long what has the version of its content."""

    def said(name: str) -> Any:
        slot = site.shop["slots"][name]
        content = (Path(slot["cwd"]) / "static/a b.css").read_bytes()
        file = {"path": "a b.css", "version": hashlib.sha512(content).hexdigest()}
        return run_module("probe_nginx", port=site.port, slots=[slot], static_files={"shop": file})

    assert "has Cache-Control 'no-cache', too short" in said("blue")["msg"]  # nothing is in the store yet
    site.store()
    assert [(answer["slot"], answer["error"]) for answer in said("blue")["answers"]] == [("blue", ""), ("", ""), ("", "")]
    assert "the slot blue instead of green" in said("green")["msg"]
    with site.green():
        assert [answer["error"] for answer in said("green")["answers"]] == ["", "", ""]


@pytest.mark.parametrize("prefix", ["", "/admin/v2.0"])
@pytest.mark.parametrize(
    ("source", "told", "status"),
    [
        ("127.0.0.1", "", 200),
        ("127.0.0.2", "", 404),
        ("127.0.0.1", "198.51.100.7", 404),
        ("127.0.0.2", "127.0.0.1", 404),
    ],
    ids=["this machine", "another one", "another one through a proxy on this machine", "another one that claims to be this"],
)
def test_the_site_names_the_slot_to_its_own_machine_alone(site: Site, prefix: str, source: str, told: str, status: int) -> None:
    """`told` is what a trusted proxy says of its client."""
    answer, body = site.ask(f"{prefix}/.tornado_app/slot", source=source, X_Told_By_Proxy=told)
    assert (answer.status, body == b"blue") == (status, status == 200)


def test_drained_slot_has_no_connection(site: Site) -> None:
    """nginx itself closes what it kept open to the slot that is not live any more."""
    blue = site.shop["slots"]["blue"]["ports"]
    for _ in range(4):
        site.tell()

    def drained(timeout: int) -> bool:
        blue = {**site.shop["slots"]["blue"], "drain": {"timeout": timeout, "signal": ""}, "user": OWN["user"]}
        (shop,) = run_module("wait_for_drain", slots=[blue])["apps"]
        return bool(shop["drained"])

    assert not drained(0)
    with site.green():
        assert drained(int(PATIENCE))
        assert site.tell()["port"] not in blue


def test_a_slow_upload_belongs_to_the_slot_that_was_live_as_it_began(site: Site) -> None:
    """It is seen by the drain from its first byte on, so nobody stops the process that will answer it."""
    blue = site.shop["slots"]["blue"]["ports"]
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)) as client:
        client.putrequest("POST", "/", skip_host=True)
        client.putheader("Host", "shop.example.com")
        client.putheader("Content-Length", "2")
        client.endheaders(b"a")
        wait_until(
            lambda: sum(utils("proc").connections({f"127.0.0.1:{port}": os.getuid() for port in blue}).values()), "the upload's connection"
        )
        with site.green():
            assert site.tell()["port"] not in blue
            client.send(b"b")
            assert json.loads(client.getresponse().read())["port"] in blue


# Before a reload


def essence(body: bytes) -> object:
    """What an answer says, but for the process that gave it."""
    if not body.startswith(b"{"):
        return body
    told = json.loads(body)
    return told["method"], told["uri"], told["size"], told["headers"].get("X-Real-Ip")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/a%2fb?c=d"),
        ("POST", "/"),
        ("GET", "/static/app.css?v=1"),
        ("GET", "/static/app.css"),
        ("GET", "/static/deep/x.css?v=1"),
        ("GET", "/static/the-apps-own.css"),
    ],
)
def test_before_a_reload_clients_are_asked_to_close(site: Site, method: str, path: str) -> None:
    """Every answer says so, and is the same otherwise."""
    sent = b"x" * 1000 if method == "POST" else None
    usual, body = site.ask(path, method, body=sent)
    with site.near_reload():
        last, last_body = site.ask(path, method, body=sent)
    assert (usual.headers["Connection"], last.headers["Connection"]) == ("keep-alive", "close")
    assert essence(last_body) == essence(body)
    for header in ("Cache-Control", "Content-Type", "Content-Length"):
        assert last.headers[header] == usual.headers[header]
    assert last.status == usual.status == 200


def test_before_a_reload_all_else_goes_on(site: Site) -> None:
    """Statuses of the app pass, bodies have their limit, names with spaces are found, and the flag switches."""
    with site.near_reload():
        for status in (404, 418, 503):
            assert site.ask(f"/?status={status}")[0].status == status
        assert site.ask("/", "POST", body=bytes(64 * 1024 + 1))[0].status == 413
        assert site.ask("/static/a%20b.css?v=1")[1] == b"a { color: blue }\n"
        with site.green():
            assert site.tell()["port"] in site.shop["slots"]["green"]["ports"]
            assert site.ask("/static/app.css")[1] == b"a { color: green }\n"
