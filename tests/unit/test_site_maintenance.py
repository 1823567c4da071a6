"""While an app is in maintenance nginx answers for it, to all but those who are let in; what is under way ends in peace."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from tests.unit.conftest import OWN, PATIENCE, utils, wait_until
from tests.unit.running_site import Site, there

NOT_HERE: dict[str, Any] = {"source": "127.0.0.2"}  # another machine, for nginx
OF_ROLE = b"We will be back soon"
SETTINGS: dict[str, dict[str, Any]] = {
    "shop": {
        "maintenance": {"page": "errors/down.html", "retry_after": 120, "allow": ["198.51.100.0/24", "127.0.0.9", "127.0.0.9"]},
        "response_headers": {"X-Frame-Options": "DENY"},
        "basic_auth": {},
    },
    "admin-2": {"nginx_server": "location = /admin/v2.0/own { return 204; }"},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nginx: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        made = Site(tmp_path_factory.mktemp("site"), nginx, stack, settings=SETTINGS)
        for slot in ("blue", "green"):
            page = Path(made.shop["slots"][slot]["cwd"]) / "static/errors/down.html"
            page.parent.mkdir()
            page.write_text(f"down {slot}\n")
        yield made


def maintenance(site: Site, app: str = "shop") -> AbstractContextManager[None]:
    return there(site.plan[app]["maintenance_flag"])


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/", None),
        ("GET", "/a%20b?c=d", None),
        ("HEAD", "/", None),
        ("POST", "/", b"x" * 1000),
        ("POST", "/", bytes(64 * 1024 + 1)),
        ("PUT", "/x", b"x"),
        ("OPTIONS", "/x", None),
        ("GET", "/static/app.css", None),
        ("GET", "/static/app.css?v=1", None),
        ("GET", "/static/none.css", None),
        ("GET", "/robots.txt", None),
    ],
)
def test_every_request_gets_the_page(site: Site, method: str, path: str, body: bytes | None, near: bool) -> None:
    with maintenance(site), site.near_reload() if near else nullcontext():
        asked = site.unique(path)
        answer, text = site.ask(asked, method, body=body, **NOT_HERE)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "120")
    assert answer.headers.get_all("Cache-Control") == ["no-store"]
    assert text == (b"" if method == "HEAD" else b"down blue\n")
    assert answer.headers["Connection"] == "close"
    assert answer.headers["X-Frame-Options"] == "DENY"
    entry = site.logged(asked)
    assert (entry["method"], entry["status"], entry["slot"], entry["upstream_addr"]) == (method, 503, "", "")


def test_the_page_is_that_of_the_live_release(site: Site) -> None:
    with maintenance(site), site.green():
        assert site.ask("/", **NOT_HERE)[1] == b"down green\n"


def test_the_page_is_whole_whatever_a_client_has_of_it(site: Site) -> None:
    """It is an answer to another URL than that of the page."""
    with maintenance(site):
        first, _ = site.ask("/", **NOT_HERE)
        known: list[dict[str, Any]] = [
            {"If_None_Match": first.headers["ETag"] or "*"},
            {"Range": "bytes=0-1"},
            {"If_Modified_Since": "Thu, 01 Jan 2099 00:00:00 GMT"},
        ]
        for headers in known:
            answer, text = site.ask("/", **NOT_HERE, **headers)
            assert (answer.status, text) == (503, b"down blue\n")


@pytest.mark.parametrize("missing", [False, True], ids=["none is given", "it is not there"])
def test_the_role_has_a_page(site: Site, missing: bool) -> None:
    page = Path(site.shop["slots"]["blue"]["cwd"]) / "static/errors/down.html"
    app, path = ("shop", "/x.css") if missing else ("admin-2", "/admin/v2.0/x.css")
    kept = page.read_bytes()
    page.unlink()
    try:
        with maintenance(site, app):
            answer, text = site.ask(path, "POST", body=b"x", **NOT_HERE)
    finally:
        page.write_bytes(kept)
    assert (answer.status, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert answer.headers["Retry-After"] == ("120" if missing else "300")
    assert answer.headers.get_all("Cache-Control") == ["no-store"]
    assert OF_ROLE in text
    for outside in (b"src=", b"href=", b"url("):
        assert outside not in text


@pytest.mark.parametrize(
    ("source", "told", "status"),
    [
        ("127.0.0.1", "", 200),
        ("127.0.0.9", "", 200),
        ("127.0.0.2", "198.51.100.7", 200),
        ("127.0.0.2", "", 503),
        ("127.0.0.2", "203.0.113.7", 503),
        ("127.0.0.1", "203.0.113.7", 503),
    ],
    ids=[
        "this machine",
        "an address",
        "one of a network, through a proxy",
        "another one",
        "another one through a proxy",
        "through one here",
    ],
)
def test_who_is_let_in(site: Site, source: str, told: str, status: int) -> None:
    """`told` is what a trusted proxy says of its client."""
    with maintenance(site):
        for path in ("/", "/static/app.css"):
            assert site.ask(path, source=source, X_Told_By_Proxy=told)[0].status == status


@pytest.mark.parametrize("header", [{"X_Forwarded_For": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"}, {"Via": "1.1 varnish"}])
def test_a_proxy_on_this_machine_lets_nobody_in(site: Site, header: dict[str, Any]) -> None:
    """One of which real_ip knows nothing: its requests come from this machine, for others."""
    with maintenance(site):
        assert site.ask("/", **header)[0].status == 503


def test_other_apps_go_on(site: Site) -> None:
    with maintenance(site):
        for path, host in (
            ("/admin/v2.0/", "shop.example.com"),
            ("/admin/v2.0/static/app.css", "shop.example.com"),
            ("/", "api.example.com"),
        ):
            assert site.ask(path, host=host, **NOT_HERE)[0].status == 200
    with maintenance(site, "admin-2"):
        for path, status in (
            ("/", 200),
            ("/admin/v2.0x", 200),
            ("/admin/v2.0", 503),
            ("/admin/v2.0/", 503),
            ("/admin/v2.0/static/app.css", 503),
        ):
            assert site.ask(path, **NOT_HERE)[0].status == status


def test_lines_of_an_operators_own_belong_to_the_app(site: Site) -> None:
    assert site.ask("/admin/v2.0/own", **NOT_HERE)[0].status == 204
    with maintenance(site, "admin-2"):
        assert site.ask("/admin/v2.0/own", **NOT_HERE)[0].status == 503


def test_certificates_are_renewed_and_the_role_has_its_paths(site: Site) -> None:
    with maintenance(site), maintenance(site, "admin-2"):
        assert site.ask("/.well-known/acme-challenge/token", **NOT_HERE)[0].status == 200
        assert site.ask("/.well-known/other", **NOT_HERE)[0].status == 503
        assert site.ask("/x/.tornado_app/slot", **NOT_HERE)[0].status == 503
        for prefix in ("", "/admin/v2.0"):
            assert site.ask(f"{prefix}/.tornado_app/slot")[1] == b"blue"
            assert site.ask(f"{prefix}/.tornado_app/slot", **NOT_HERE)[0].status == 404


def test_nobody_else_reads_the_page(site: Site) -> None:
    for path in ("/.tornado_app/maintenance", "/.tornado_app/maintenance/page"):
        answer, text = site.ask(path, **NOT_HERE)
        assert (answer.status, answer.headers["Retry-After"], b"down" in text) == (404, None, False)


# What is under way


def test_an_upload_that_has_begun_ends_in_peace(site: Site) -> None:
    blue = site.shop["slots"]["blue"]["ports"]
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE, source_address=("127.0.0.2", 0))) as client:
        client.putrequest("POST", "/", skip_host=True)
        client.putheader("Host", "shop.example.com")
        client.putheader("Content-Length", "2")
        client.endheaders(b"a")
        wait_until(
            lambda: sum(utils("proc").connections({f"127.0.0.1:{port}": os.getuid() for port in blue}).values()), "the upload's connection"
        )
        with maintenance(site):
            assert site.ask("/", **NOT_HERE)[0].status == 503
            client.send(b"b")
            answer = client.getresponse()
            assert (answer.status, json.loads(answer.read())["size"]) == (200, 2)
            client.request("GET", "/", headers={"Host": "shop.example.com"})
            assert client.getresponse().status == 503


def test_a_websocket_that_is_open_stays_and_no_new_one_begins(site: Site) -> None:
    request = HTTPRequest(
        f"ws://127.0.0.1:{site.port}/ws",
        headers={"Host": "shop.example.com", "X-Told-By-Proxy": "203.0.113.7"},
        connect_timeout=PATIENCE,
    )

    async def talk() -> None:
        connection = await websocket_connect(request)
        try:
            with maintenance(site):
                for word in ("one", "two"):
                    await connection.write_message(word)
                    assert str(await connection.read_message()).endswith(word)
                with pytest.raises(HTTPClientError) as refused:
                    await websocket_connect(request)
                assert refused.value.code == 503
            await connection.write_message("three")
            assert str(await connection.read_message()).endswith("three")
        finally:
            connection.close()

    asyncio.run(talk())


def test_it_ends_with_its_flag(site: Site) -> None:
    """For the next request, on a connection that was open before too."""
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE, source_address=("127.0.0.2", 0))) as client:

        def status() -> int:
            client.request("GET", "/", headers={"Host": "shop.example.com"})
            answer = client.getresponse()
            answer.read()
            return answer.status

        assert status() == 200
        with maintenance(site):
            assert status() == 503
        assert status() == 200


def test_the_other_slot_can_be_made_live_meanwhile(site: Site) -> None:
    with maintenance(site):
        slot = {**site.shop["slots"]["green"], "user": OWN["user"]}
        with site.green():
            assert site.tell()["port"] in slot["ports"]
