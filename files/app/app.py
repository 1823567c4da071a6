"""A small Tornado app, made to be copied: pages, JSON, slow answers, websockets, streamed uploads, and a graceful end.

Start it with ``python app.py --port=8000``; in development add ``--debug``, which reloads it when a file changes.
One process serves one port, and a reverse proxy in front spreads the requests over the processes.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import platform
import random
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from weakref import WeakKeyDictionary

import tornado
from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream
from tornado.log import access_log
from tornado.options import define, options
from tornado.websocket import WebSocketClosedError, WebSocketHandler

HERE = Path(__file__).resolve().parent
BODY_LIMIT = 1024**2
"""Largest body of an ordinary request, which is held in memory, in bytes."""
UPLOAD_LIMIT = 1024**3
"""Largest upload, which is streamed, in bytes. A proxy in front may well allow less."""
WEBSOCKET_CLOSE_WINDOW = 2.0
"""Seconds over which a stopping process says goodbye to its websockets, so that they do not all return at once."""
WAIT_LIMIT = 60.0
"""Longest wait that a client may ask for, in seconds."""
CONTENT_SECURITY_POLICY = "default-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

define("port", default=8888, help="port to listen on")
define("address", default="127.0.0.1", help="address to listen on; X-Real-IP and the like are believed from there")
define("debug", default=False, help="reload on changes and show tracebacks")


class App(web.Application):
    """The application of one process. It knows what is in flight, and so can leave without breaking anything."""

    def __init__(self, port: int, debug: bool = False) -> None:
        """Take the `port` (shown, not opened) the process listens on; `debug` is Tornado's debug mode."""
        self.stopping = False
        self.websockets: set[Echo] = set()
        # A connection is True from the headers of a request until its answer is complete, and False when idle.
        self.connections: WeakKeyDictionary[IOStream, bool] = WeakKeyDictionary()
        self.identity = {
            "app": os.environ.get("TORNADO_APP_NAME", "app"),
            "host": socket.gethostname(),
            "port": port,
            "pid": os.getpid(),
            "release": os.environ.get("TORNADO_APP_RELEASE", "development"),
            "slot": os.environ.get("TORNADO_APP_SLOT", ""),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "tornado": tornado.version,
        }
        super().__init__(
            [("/", Home), ("/api/info", Info), ("/api/wait", Wait), ("/healthz", Health), ("/ws", Echo), ("/upload", Upload)],
            template_path=HERE / "templates",
            static_path=HERE / "static",
            static_handler_class=Static,
            log_function=log_request,
            websocket_ping_interval=20,  # seconds; proxies cut connections that are silent for long
            websocket_max_message_size=BODY_LIMIT,
            debug=debug,
        )

    def find_handler(self, request: HTTPServerRequest, **kwargs: object) -> "web._HandlerDelegate":
        """Count a request in: its headers are here, its body may still be on the way."""
        self.connections[connection(request).stream] = True
        return super().find_handler(request, **kwargs)

    def log_request(self, handler: web.RequestHandler) -> None:
        """Count a request out, and log it."""
        self.connections[connection(handler.request).stream] = False
        super().log_request(handler)

    def busy(self) -> bool:
        """Tell whether a websocket is open, a request is being handled or an answer is still being sent."""
        streams = self.connections.items()
        return bool(self.websockets) or any(not s.closed() and (active or s.writing()) for s, active in streams)

    async def drain(self, server: HTTPServer) -> None:
        """Stop accepting, send the websockets away, finish what is in flight. Who asks for this sets the deadline."""
        self.stopping = True
        server.conn_params.no_keep_alive = True  # whatever still arrives is answered with `Connection: close`
        server.stop()
        for websocket in self.websockets:
            delay = random.uniform(0, WEBSOCKET_CLOSE_WINDOW)
            asyncio.get_running_loop().call_later(delay, websocket.close, 1001, "going away")
        await asyncio.sleep(0.1)  # a request may have arrived, and not have been read yet
        while self.busy():
            await asyncio.sleep(0.05)
        await server.close_all_connections()  # idle ones only are left


class Base(web.RequestHandler):
    """What the pages have in common."""

    application: App

    def set_default_headers(self) -> None:
        """Allow a page nothing but this site's own files, and caches nothing."""
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    def finish(self, chunk: str | bytes | dict[str, object] | None = None) -> "asyncio.Future[None]":
        """Answer; while stopping, ask the client not to use this connection again."""
        if self.application.stopping:
            self.set_header("Connection", "close")
        return super().finish(chunk)

    def info(self) -> dict[str, object]:
        """Describe this process, and the visitor as it sees them."""
        return {**self.application.identity, "remote_ip": self.request.remote_ip, "scheme": self.request.protocol}


class Home(Base):
    """The home page."""

    async def get(self) -> None:
        """Render it."""
        await self.render("index.html", info=self.info())


class Info(Base):
    """The same facts for programs."""

    async def get(self) -> None:
        """Answer as JSON."""
        await self.finish(self.info())


class Wait(Base):
    """The same facts, after `?seconds=3`: an answer that takes its time, and nobody else's."""

    async def get(self) -> None:
        """Wait, then answer as JSON; 400 for what is not a number of seconds from 0 to `WAIT_LIMIT`."""
        try:
            seconds = float(self.get_query_argument("seconds"))
        except ValueError:
            raise web.HTTPError(400) from None
        if not 0 <= seconds <= WAIT_LIMIT:  # nor is NaN
            raise web.HTTPError(400)
        await asyncio.sleep(seconds)
        await self.finish(self.info())


class Health(Base):
    """Whether this process wants requests."""

    async def get(self) -> None:
        """Answer 200, or 503 on the way out."""
        self.set_status(503 if self.application.stopping else 200)
        await self.finish({"status": "stopping" if self.application.stopping else "ok"})


@web.stream_request_body
class Upload(Base):
    """An upload of any size in a few kilobytes of memory: each piece is used as it comes, and forgotten."""

    def prepare(self) -> None:
        """Get ready, before the body comes."""
        connection(self.request).set_max_body_size(UPLOAD_LIMIT)
        self.bytes = 0
        self.sha256 = hashlib.sha256()

    def data_received(self, chunk: bytes) -> None:
        """Take one piece."""
        self.bytes += len(chunk)
        self.sha256.update(chunk)

    async def post(self) -> None:
        """Answer when all has arrived."""
        await self.finish({"bytes": self.bytes, "sha256": self.sha256.hexdigest()})


class Echo(WebSocketHandler):
    """A websocket that returns what it gets: text as text, bytes as bytes."""

    application: App

    def prepare(self) -> None:
        """Refuse to open on the way out."""
        if self.application.stopping:
            raise web.HTTPError(503)

    def open(self) -> None:
        """Join the open websockets."""
        self.application.websockets.add(self)

    async def on_message(self, message: str | bytes) -> None:
        """Return the message; wait until it is sent, so that a slow reader slows down only itself."""
        with contextlib.suppress(WebSocketClosedError):
            await self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        """Leave."""
        self.application.websockets.discard(self)


class Static(web.StaticFileHandler):
    """Static files, for development: in production the proxy serves them from disk."""

    def set_default_headers(self) -> None:
        """Make browsers trust the content type."""
        self.set_header("X-Content-Type-Options", "nosniff")


class JSONFormatter(logging.Formatter):
    """One JSON object a line, tracebacks included; a record whose message is a dict is taken as it is."""

    def format(self, record: logging.LogRecord) -> str:
        """Format `record`, with its time in UTC."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        if isinstance(record.msg, dict):
            return json.dumps({"time": time, **record.msg})
        line = {"time": time, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_request(handler: web.RequestHandler) -> None:
    """Log one answered request; `ms` is from its headers to its answer."""
    request = handler.request
    line = {"method": request.method, "uri": request.uri, "status": handler.get_status()}
    line |= {"ms": round(request.request_time() * 1000, 1), "remote_ip": request.remote_ip}
    if request_id := request.headers.get("X-Request-Id"):
        line["request_id"] = request_id
    access_log.info(line)


def connection(request: HTTPServerRequest) -> HTTP1Connection:
    """Return the connection of `request` with its type."""
    return cast(HTTP1Connection, request.connection)


async def main() -> None:
    """Serve until SIGTERM or Ctrl-C, then leave gracefully."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = App(options.port, options.debug)
    server = HTTPServer(app, xheaders=True, max_body_size=BODY_LIMIT)
    server.listen(options.port, options.address)
    logging.info("listening on %s:%d, process %d", options.address, options.port, os.getpid())
    await stop.wait()
    logging.info("stopping")
    await app.drain(server)
    logging.info("stopped")


if __name__ == "__main__":
    to_stdout = logging.StreamHandler(sys.stdout)
    to_stdout.setFormatter(JSONFormatter())
    logging.basicConfig(handlers=[to_stdout])
    options.parse_command_line()
    asyncio.run(main())
