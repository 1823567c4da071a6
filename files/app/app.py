"""A small Tornado app, made to be copied: a board that all processes of a fleet share, and a graceful end.

Start it with ``python app.py --port=8000``; in development add ``--debug``, which reloads it when a file changes.
One process serves one port, and a reverse proxy in front spreads the requests over the processes. What visitors share is in
the Redis of REDIS_URL; without one, a process has a board of its own. COOKIE_SECRET signs cookies, the same for all processes.
"""

import asyncio
import contextlib
import logging
import os
import random
import secrets
import signal
import socket
from pathlib import Path
from weakref import WeakKeyDictionary

from tornado import web
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream
from tornado.options import define, options
from tornado.websocket import WebSocketHandler

from background import Background
from base import CONTENT_SECURITY_POLICY, Base, NotFound, connection
from board import BoardSocket, Home, Message, Messages, Name, Poll, Reactions
from feed import Feed
from fleet import BEAT, Event, identity, sign_of_life
from logs import JSONFormatter, log_request, log_to_stdout
from store import MemoryStore, RedisStore, Store, UnavailableError
from streams import Echo, Upload
from tally import keep_tally

__all__ = ["BODY_LIMIT", "CONTENT_SECURITY_POLICY", "App", "Base", "JSONFormatter", "main"]

HERE = Path(__file__).resolve().parent
BODY_LIMIT = 1024**2
"""Largest body of an ordinary request, which is held in memory, in bytes."""
WEBSOCKET_CLOSE_WINDOW = 2.0
"""Seconds over which a stopping process says goodbye to its websockets, so that they do not all return at once."""
WAIT_LIMIT = 60.0
"""Longest wait that a client may ask for, in seconds."""
FIRST_LOOK = 1.0
"""Seconds that a process waits for Redis before it listens, so that its first page has the board; it starts without, too."""

define("port", default=8888, help="port to listen on")
define("address", default="127.0.0.1", help="address to listen on; X-Real-IP and the like are believed from there")
define("debug", default=False, help="reload on changes and show tracebacks")


class App(web.Application):
    """The application of one process. It knows what is in flight, and so can leave without breaking anything."""

    def __init__(self, port: int, debug: bool = False) -> None:
        """Take the `port` (shown, not opened) the process listens on; `debug` is Tornado's debug mode."""
        self.stopping = False
        self.websockets: set[WebSocketHandler] = set()
        # A connection is True from the headers of a request until its answer is complete, and False when idle.
        self.connections: WeakKeyDictionary[IOStream, bool] = WeakKeyDictionary()
        self.identity = identity(socket.gethostname(), port)
        self.feed = Feed()
        url = os.environ.get("REDIS_URL")
        self.redis = RedisStore(url, self.feed) if url else None
        self.store: Store = self.redis or MemoryStore(self.feed)
        self.changed = asyncio.Event()
        self.background = Background()
        super().__init__(
            [
                ("/", Home),
                ("/board", BoardSocket),
                ("/api/board", Messages),
                ("/api/reactions", Reactions),
                ("/api/name", Name),
                ("/api/poll", Poll),
                ("/api/info", Info),
                ("/api/wait", Wait),
                ("/healthz", Health),
                ("/ws", Echo),
                ("/upload", Upload),
            ],
            default_handler_class=NotFound,
            template_path=HERE / "templates",
            static_path=HERE / "static",
            static_handler_class=Static,
            ui_modules={"Message": Message},
            log_function=log_request,
            # In development each start has its own: cookies from before it are not believed.
            cookie_secret=os.environ.get("COOKIE_SECRET") or secrets.token_hex(32),
            xsrf_cookies=True,
            xsrf_cookie_kwargs={"httponly": True, "samesite": "Lax"},
            websocket_ping_interval=20,  # seconds; proxies cut connections that are silent for long
            websocket_max_message_size=BODY_LIMIT,
            debug=debug,
        )

    async def start(self) -> None:
        """Join the fleet, and follow the board where processes share one."""
        self.background.begin(self.announce())
        if self.redis:
            self.background.begin(self.redis.run())
            self.background.begin(keep_tally(self.redis, f"{self.identity['host']}:{self.identity['port']}"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_LOOK):
                    await self.redis.ready.wait()

    async def announce(self) -> None:
        """Be on the map of the fleet, and take off who is silent."""
        while True:
            self.feed.take(self.sign())
            with contextlib.suppress(UnavailableError):
                await self.store.tell(self.sign())
            self.feed.take(self.sign())  # one that hangs takes longer to answer than a process may be silent
            self.feed.show_fleet()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self.changed.wait()
            self.changed.clear()
            await asyncio.sleep(BEAT / 10)  # many sockets may come and go in a moment

    def sign(self, gone: bool = False) -> Event:
        """Say what this process does now."""
        return sign_of_life(self.identity, "web", len(self.websockets), stopping=self.stopping, gone=gone)

    def fleet(self) -> list[Event]:
        """Return the processes of the fleet, this one as it is now."""
        self.feed.take(self.sign())
        return self.feed.fleet.processes()

    def hello(self) -> Event:
        """Say to a browser which process it has to do with."""
        return {"kind": "hello", "process": self.identity, "store": self.feed.state}

    def join(self, websocket: WebSocketHandler) -> None:
        """Count a websocket in."""
        self.websockets.add(websocket)
        self.changed.set()

    def leave(self, websocket: WebSocketHandler) -> None:
        """Count a websocket out."""
        self.websockets.discard(websocket)
        self.changed.set()

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
        self.changed.set()
        self.feed.wake()  # polls are answered at once, and asked again elsewhere
        server.conn_params.no_keep_alive = True  # whatever still arrives is answered with `Connection: close`
        server.stop()
        for websocket in self.websockets:
            delay = random.uniform(0, WEBSOCKET_CLOSE_WINDOW)
            asyncio.get_running_loop().call_later(delay, websocket.close, 1001, "going away")
        await asyncio.sleep(0.1)  # a request may have arrived, and not have been read yet
        while self.busy():
            await asyncio.sleep(0.05)
        await server.close_all_connections()  # idle ones only are left
        await self.part()

    async def part(self) -> None:
        """Leave the fleet."""
        await self.background.end()
        with contextlib.suppress(UnavailableError):
            await self.store.tell(self.sign(gone=True))
        if self.redis:
            await self.redis.client.aclose()


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
        """Answer 200, or 503 on the way out. A Redis that is away is said, and no reason to send requests elsewhere: it is away for all."""
        self.set_status(503 if self.application.stopping else 200)
        answer: dict[str, object] = {"status": "stopping" if self.application.stopping else "ok"}
        if self.application.redis:
            answer["redis"] = {"redis": "connected", "away": "out of reach"}[self.application.feed.state]
        await self.finish(answer)


class Static(web.StaticFileHandler):
    """Static files, for development: in production the proxy serves them from disk."""

    def set_default_headers(self) -> None:
        """Make browsers trust the content type."""
        self.set_header("X-Content-Type-Options", "nosniff")


async def main() -> None:
    """Serve until SIGTERM or Ctrl-C, then leave gracefully."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = App(options.port, options.debug)
    await app.start()
    server = HTTPServer(app, xheaders=True, max_body_size=BODY_LIMIT)
    server.listen(options.port, options.address)
    logging.info("listening on %s:%d, process %d", options.address, options.port, os.getpid())
    await stop.wait()
    logging.info("stopping")
    await app.drain(server)
    logging.info("stopped")


if __name__ == "__main__":
    log_to_stdout()
    options.parse_command_line()
    asyncio.run(main())
