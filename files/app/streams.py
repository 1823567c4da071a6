"""What comes piece by piece: an upload of any size, and a websocket that returns what it gets."""

import contextlib
import hashlib
from typing import TYPE_CHECKING

from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from base import Base, connection

if TYPE_CHECKING:
    from app import App

UPLOAD_LIMIT = 1024**3
"""Largest upload, which is streamed, in bytes. A proxy in front may well allow less."""


@web.stream_request_body
class Upload(Base):
    """An upload of any size in a few kilobytes of memory: each piece is used as it comes, and forgotten."""

    def check_xsrf_cookie(self) -> None:
        """Ask for no token: this knows no visitor and keeps nothing, so no other site can do anything here in a visitor's name."""

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

    application: "App"

    def prepare(self) -> None:
        """Refuse to open on the way out."""
        if self.application.stopping:
            raise web.HTTPError(503)

    def open(self) -> None:
        """Join the open websockets."""
        self.application.join(self)

    async def on_message(self, message: str | bytes) -> None:
        """Return the message; wait until it is sent, so that a slow reader slows down only itself."""
        with contextlib.suppress(WebSocketClosedError):
            await self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        """Leave."""
        self.application.leave(self)
