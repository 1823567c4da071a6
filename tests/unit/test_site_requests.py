"""A request to a site reaches the right process, and request and answer pass as they should."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import sys
from contextlib import nullcontext

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.unit.conftest import PATIENCE, listens, process, wait_until
from tests.unit.rendering import LONG
from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture


# Which process gets it


def test_a_process_that_is_gone_costs_no_request(site: Site) -> None:
    """Its neighbour gets them, and it has its share again as soon as it is back."""
    for _ in range(10):
        assert site.tell(host="api.example.com")["port"] == site.api
        assert site.tell(host="api.example.com", method="POST", body=b"x")["port"] == site.api
    with process(sys.executable, site.program, str(site.gone)):
        wait_until(lambda: listens(site.gone), "the process that is back")
        assert {site.tell(host="api.example.com")["port"] for _ in range(4)} == {site.api, site.gone}
    assert {site.tell(host="api.example.com")["port"] for _ in range(4)} == {site.api}


def test_each_process_gets_requests(site: Site) -> None:
    assert {site.tell()["port"] for _ in range(20)} == set(site.shop["slots"]["blue"]["ports"])


def test_apps_by_host(site: Site) -> None:
    assert site.tell(host="api.example.com")["port"] == site.api
    for host in (
        "shop.example.com",
        "SHOP.example.com",
        "www.shop.example.com",
        "192.0.2.1",
        "[2001:db8::1]",
        "shop.example.com:8080",
        LONG,
    ):
        assert site.tell(host=host)["port"] in site.shop["slots"]["blue"]["ports"]


@pytest.mark.parametrize("host", ["other.example.com", "127.0.0.1", "example.com"])
def test_unknown_host_gets_no_answer(site: Site, host: str) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            connection.recv(1000)


# How it passes


def test_connections_to_processes_are_kept(site: Site) -> None:
    """Several requests of different clients come over one connection of nginx."""
    seen = [site.tell(host="api.example.com", Connection="close") for _ in range(5)]
    assert len({found["peer"] for found in seen}) == 1
    assert all("Connection" not in found["headers"] for found in seen)


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
def test_websockets_pass(site: Site, near: bool) -> None:
    async def talk() -> str | bytes | None:
        request = HTTPRequest(f"ws://127.0.0.1:{site.port}/ws", headers={"Host": "api.example.com"}, connect_timeout=PATIENCE)
        connection = await websocket_connect(request)
        try:
            await connection.write_message("hello")
            return await connection.read_message()
        finally:
            connection.close()

    with site.near_reload() if near else nullcontext():
        assert asyncio.run(talk()) == f"{site.api} hello"


def test_compression(site: Site) -> None:
    for path in ("/?padding=5000", "/static/large.css"):
        answer, body = site.ask(path, Accept_Encoding="gzip")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert gzip.decompress(body)
        plain, _ = site.ask(path)
        assert "Content-Encoding" not in plain.headers
    for path in ("/", "/?padding=5000&type=image/png"):  # too short; compressed already
        assert "Content-Encoding" not in site.ask(path, Accept_Encoding="gzip")[0].headers


def test_largest_body(site: Site) -> None:
    """What is larger than the setting allows does not reach the app."""
    found = site.tell("/", method="POST", body=bytes(64 * 1024))
    assert (found["method"], found["size"]) == ("POST", 64 * 1024)
    assert site.ask("/", method="POST", body=bytes(64 * 1024 + 1))[0].status == 413
    assert site.tell("/", method="POST", body=bytes(64 * 1024 + 1), host="api.example.com")["size"] == 64 * 1024 + 1


def test_answers_pass_unchanged(site: Site) -> None:
    assert site.ask("/?status=302")[0].headers["Location"] == "http://elsewhere.example.com/there"
    for status in (404, 500, 503):
        answer, body = site.ask(f"/?status={status}")
        assert (answer.status, json.loads(body)["uri"]) == (status, f"/?status={status}")
    assert site.tell("/a%20b//%2F;c?x=%20+%26&y")["uri"] == "/a%20b//%2F;c?x=%20+%26&y"


def test_version_of_nginx_is_nobodys_business(site: Site) -> None:
    assert site.ask("/static/app.css")[0].headers["Server"] == "nginx"
