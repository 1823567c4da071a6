"""Tests of the app: its answers, in this process, and its end, in a real one."""

import asyncio
import hashlib
import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.testing import AsyncHTTPTestCase, bind_unused_port, gen_test
from tornado.websocket import WebSocketClientConnection, websocket_connect

import app

HERE = Path(__file__).resolve().parents[1]
PATIENCE = 30.0
"""Seconds after which a test gives up; a bound, never a measure."""


class AnswersTest(AsyncHTTPTestCase):
    """What the app answers."""

    def get_app(self) -> app.App:
        """Build the app under test."""
        return app.App(port=8000)

    def get_httpserver_options(self) -> dict[str, object]:
        """Serve as `main` does."""
        return {"xheaders": True, "max_body_size": app.BODY_LIMIT}

    def websocket_url(self) -> str:
        """Return the address of the websocket."""
        return self.get_url("/ws").replace("http", "ws")

    def test_home_shows_process_release_and_visitor(self) -> None:
        """The page tells what the proxy said of the visitor, without a line that the policy would forbid."""
        response = self.fetch("/", headers={"X-Real-IP": "203.0.113.7"})
        page = response.body.decode()
        assert response.code == 200
        for shown in (socket.gethostname(), "8000", str(os.getpid()), "development", "203.0.113.7"):
            assert f">{shown}<" in page
        assert response.headers["Content-Security-Policy"] == app.CONTENT_SECURITY_POLICY
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\s(style|on\w+)=|https?://", page)

    def test_home_escapes_what_comes_from_outside(self) -> None:
        """A name from the environment cannot become markup."""
        application = self._app
        assert isinstance(application, app.App)
        application.identity["app"] = "<script>"
        assert b"<script>" not in self.fetch("/").body

    def test_every_file_of_the_page_is_there(self) -> None:
        """What the page links to exists, has its right type, and may be cached when it is versioned."""
        links = re.findall(r'(?:href|src)="(/[^"]+)"', self.fetch("/").body.decode())
        assert {link.partition("?")[0] for link in links} >= {"/static/app.css", "/static/app.js", "/favicon.ico"}
        for link in links:
            response = self.fetch(link)
            assert response.code == 200, link
            assert response.headers["X-Content-Type-Options"] == "nosniff", link
            assert "max-age" in response.headers.get("Cache-Control", "") or "?v=" not in link, link

    def test_files_at_the_root(self) -> None:
        """Browsers and robots ask for these by name; they are what they are called."""
        assert self.fetch("/favicon.ico").body.startswith(b"\x00\x00\x01\x00")
        assert self.fetch("/robots.txt").body.startswith(b"User-agent")
        assert self.fetch("/static/apple-touch-icon.png").body.startswith(b"\x89PNG")

    def test_info(self) -> None:
        """Programs get the same facts."""
        response = self.fetch("/api/info", headers={"X-Real-IP": "203.0.113.7", "X-Forwarded-Proto": "https"})
        info = json.loads(response.body)
        facts = {"app", "host", "port", "pid", "release", "slot", "started", "python", "tornado"}
        assert set(info) == facts | {"remote_ip", "scheme"}
        assert (info["port"], info["pid"], info["slot"]) == (8000, os.getpid(), "")
        assert (info["remote_ip"], info["scheme"]) == ("203.0.113.7", "https")
        started = datetime.fromisoformat(info["started"])
        assert started.utcoffset() == timedelta(0)
        assert started <= datetime.now(UTC)
        assert response.headers["Content-Type"].startswith("application/json")
        assert response.headers["Cache-Control"] == "no-store"

    def test_wait(self) -> None:
        """The same facts, later."""
        for seconds in ("0", "0.01"):
            response = self.fetch(f"/api/wait?seconds={seconds}")
            assert response.code == 200
            assert json.loads(response.body) == json.loads(self.fetch("/api/info").body)

    def test_wait_is_bounded(self) -> None:
        """No client can keep a process for long, or with nonsense."""
        for query in ("", "?seconds=", "?seconds=soon", "?seconds=-1", "?seconds=60.1", "?seconds=inf", "?seconds=nan"):
            assert self.fetch(f"/api/wait{query}").code == 400, query

    def test_health(self) -> None:
        """A process that serves says so; one that stops says 503, and asks for the connection to be closed."""
        response = self.fetch("/healthz")
        assert (response.code, json.loads(response.body)) == (200, {"status": "ok"})
        assert isinstance(self._app, app.App)
        self._app.stopping = True
        response = self.fetch("/healthz")
        assert (response.code, json.loads(response.body)) == (503, {"status": "stopping"})
        assert response.headers["Connection"] == "close"

    def test_upload(self) -> None:
        """An upload may be larger than what is held in memory; anything else may not."""
        body = os.urandom(app.BODY_LIMIT + 1)
        response = self.fetch("/upload", method="POST", body=body)
        assert json.loads(response.body) == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        assert self.fetch("/api/info", method="POST", body=body).code != 200

    def test_upload_of_nothing(self) -> None:
        """An empty body is a body."""
        response = self.fetch("/upload", method="POST", body=b"")
        assert json.loads(response.body) == {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}

    def test_what_is_not_there(self) -> None:
        """Unknown pages and methods are refused."""
        assert self.fetch("/nothing").code == 404
        assert self.fetch("/upload").code == 405

    @gen_test(timeout=PATIENCE)
    async def test_websocket_returns_text_and_bytes(self) -> None:
        """A message comes back as what it was."""
        websocket = await websocket_connect(self.websocket_url())
        for message in ("grüße", b"\x00\xff"):
            await websocket.write_message(message, binary=isinstance(message, bytes))
            assert await websocket.read_message() == message
        websocket.close()
        assert await websocket.read_message() is None

    @gen_test(timeout=PATIENCE)
    async def test_websocket_is_for_this_site_only(self) -> None:
        """A page of another site cannot open one."""
        headers = {"Origin": "https://elsewhere.example"}
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(HTTPRequest(self.websocket_url(), headers=headers))
        assert refused.value.code == 403

    @gen_test(timeout=PATIENCE)
    async def test_no_websocket_opens_on_the_way_out(self) -> None:
        """A stopping process sends them to another one."""
        assert isinstance(self._app, app.App)
        self._app.stopping = True
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(self.websocket_url())
        assert refused.value.code == 503

    def test_log_lines(self) -> None:
        """A request is one JSON object on one line, whatever is in it; so is a traceback."""
        with logged() as out:
            self.fetch("/api/info?a=%0A", headers={"X-Request-Id": 'a"b', "X-Real-IP": "203.0.113.7"})
            self.fetch("/nothing")
            try:
                raise ValueError("two\nlines")
            except ValueError:
                logging.getLogger("tornado.application").exception("failed")
        info, missing, failed = map(json.loads, out.getvalue().splitlines())
        assert info.pop("ms") >= 0
        assert datetime.fromisoformat(info.pop("time")).utcoffset() == timedelta(0)
        request = {"method": "GET", "uri": "/api/info?a=%0A", "status": 200}
        assert info == {**request, "remote_ip": "203.0.113.7", "request_id": 'a"b'}
        assert missing["status"] == 404
        assert "request_id" not in missing
        assert (failed["level"], failed["message"]) == ("error", "failed")
        assert failed["traceback"].endswith("ValueError: two\nlines")


class Large(app.Base):
    """An answer that no socket buffer holds."""

    SIZE = 32 * 1024**2

    async def get(self) -> None:
        """Answer at once."""
        self.write(bytes(self.SIZE))


class DrainTest(AsyncHTTPTestCase):
    """What the end waits for, and what it does not."""

    def get_app(self) -> app.App:
        """Build the app under test."""
        return app.App(port=8000)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a plain connection."""
        return await asyncio.open_connection("127.0.0.1", self.get_http_port())

    @gen_test(timeout=PATIENCE)
    async def test_idle_connections_do_not_hold_it(self) -> None:
        """Neither one that was used, nor one that never was, nor one whose client left within its upload."""
        await self.open()
        reader, writer = await self.open()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b'"ok"}')
        _, leaver = await self.open()
        leaver.write(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        application, server = self.parts()
        while not application.busy():
            await asyncio.sleep(0.01)
        leaver.close()
        await application.drain(server)
        assert await reader.read() == b""

    @gen_test(timeout=PATIENCE)
    async def test_a_body_on_its_way_is_awaited(self) -> None:
        """A request counts from its headers on, in handlers that take the whole body at once too."""
        application, server = self.parts()
        reader, writer = await self.open()
        writer.write(b"POST /api/info HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
        while not application.busy():
            await asyncio.sleep(0.01)
        drain = asyncio.ensure_future(application.drain(server))
        await asyncio.sleep(0.3)
        assert not drain.done()
        writer.write(b"half")
        assert (await reader.read()).startswith(b"HTTP/1.1 405")
        await drain

    @gen_test(timeout=PATIENCE)
    async def test_a_slow_answer_is_awaited(self) -> None:
        """A request counts for as long as its handler takes, and still gets its answer."""
        application, server = self.parts()
        reader, writer = await self.open()
        writer.write(b"GET /api/wait?seconds=0.5 HTTP/1.1\r\nHost: a\r\n\r\n")
        while not application.busy():
            await asyncio.sleep(0.01)
        await application.drain(server)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in answer

    @gen_test(timeout=PATIENCE)
    async def test_an_answer_is_sent_to_its_last_byte(self) -> None:
        """A request counts until a slow client has all of the answer, long after the handler is done with it."""
        application, server = self.parts()
        application.add_handlers(".*", [("/large", Large)])
        reader, writer = await self.open()
        writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        drain = asyncio.ensure_future(application.drain(server))
        await asyncio.sleep(0.3)
        assert len(await reader.read()) == Large.SIZE
        await drain

    @gen_test(timeout=PATIENCE)
    async def test_websockets_are_sent_away(self) -> None:
        """An open one is closed with the code for it, and awaited."""
        application, server = self.parts()
        websocket = await websocket_connect(self.get_url("/ws").replace("http", "ws"))
        drain = asyncio.ensure_future(application.drain(server))
        assert await websocket.read_message() is None
        assert websocket.close_code == 1001
        await drain
        assert not application.websockets

    def parts(self) -> tuple[app.App, HTTPServer]:
        """Return the app and its server."""
        assert isinstance(self._app, app.App)
        return self._app, self.http_server


def test_sigterm_finishes_what_is_in_flight() -> None:
    """The real process leaves as it should: nothing that began is broken, and nothing new begins."""
    asyncio.run(asyncio.wait_for(sigterm(), PATIENCE))


async def sigterm() -> None:
    """Have a websocket, an upload and an idle connection open; send SIGTERM; look at each."""
    async with process() as (child, port):
        websocket: WebSocketClientConnection = await websocket_connect(f"ws://127.0.0.1:{port}/ws")
        await websocket.write_message("here")
        assert await websocket.read_message() == "here"
        body = os.urandom(300_000)
        reader, upload = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        upload.write(head.encode())
        await reader.readuntil(b"\r\n\r\n")  # `100 (Continue)`: the request is in flight
        upload.write(body[:100_000])
        idle_reader, idle = await asyncio.open_connection("127.0.0.1", port)
        idle.write(b"GET /api/info HTTP/1.1\r\nHost: a\r\nX-Real-IP: 203.0.113.7\r\n\r\n")
        await idle_reader.readuntil(b'"203.0.113.7"')

        child.send_signal(signal.SIGTERM)
        assert await websocket.read_message() is None
        assert websocket.close_code == 1001
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert child.poll() is None

        idle.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        late = await idle_reader.read()
        assert b"HTTP/1.1 503" in late
        assert b"Connection: close" in late

        for start in range(100_000, len(body), 50_000):
            upload.write(body[start : start + 50_000])
            await upload.drain()
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in answer
        assert hashlib.sha256(body).hexdigest().encode() in answer

        assert await asyncio.to_thread(child.wait) == 0
        assert child.stdout is not None
        messages = [json.loads(line).get("message") for line in child.stdout]
        assert messages[-1] == "stopped"


@asynccontextmanager
async def process() -> AsyncIterator[tuple["subprocess.Popen[str]", int]]:
    """Run the app as a host does, on a free port, until it answers; end it whatever happens."""
    unused, port = bind_unused_port()
    unused.close()
    command = [sys.executable, "app.py", f"--port={port}"]
    with subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert "listening" in await asyncio.to_thread(child.stdout.readline)
            response = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/healthz")
            assert response.code == 200
            yield child, port
        finally:
            child.kill()


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Collect what is logged, in the app's format."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(app.JSONFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield out
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
