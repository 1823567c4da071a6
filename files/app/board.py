"""The board: its page, the same for programs, what visitors post, and the two ways to hear of news at once."""

import asyncio
import contextlib
import hashlib
import json
import re
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from base import Base, known_visitor
from feed import START, Reader, messages, order
from store import UnavailableError

if TYPE_CHECKING:
    from app import App

SYMBOLS = {"♥": "Love it", "★": "Great", "☺": "Funny"}
"""What visitors may react with, and how it is read aloud."""
BLANK = {"id": "", "name": "", "text": "", "link": "", "at": "", "via": {"host": "", "port": 0, "slot": ""}, "reactions": {}, "preview": ""}
"""A message for the script to fill in."""
TEXT_LIMIT, NAME_LIMIT = 500, 40
"""Most characters of a message, and of a name."""
POLL_SECONDS = 25.0
"""Seconds that a poll waits for news."""
PAUSE = 0.05
"""Seconds between two messages to a socket, each with all that came meanwhile."""
RATE = 4000
"""Messages a second to all sockets of a process: the more there are, the more each message brings."""
CURSOR_PAUSE = 0.1
"""Seconds between two positions of a visitor's cursor; what comes faster is left out."""
LINK = re.compile(r"https?://[^\s<>\"']+")
CLOSE_TOO_SLOW = 1013  # try again later


class Board(Base):
    """All of it."""

    def board(self) -> dict[str, Any]:
        """Return what a page shows."""
        feed = self.application.feed
        return {
            "messages": messages(list(feed.events)),
            "last": feed.last,
            "processes": self.application.fleet(),
            "store": feed.state,
            "tally": feed.tally,
        }

    def after(self) -> str:
        """Return the last event that the client has; 400 for what is none."""
        try:
            order(event_id := self.get_query_argument("after", START))
        except ValueError:
            raise web.HTTPError(400, "after is the id of an event.") from None
        return event_id

    def key(self, who: str, text: str = "") -> str:
        """Return what a form of a visitor is known by. The same again, as after an answer that got lost, adds nothing."""
        own = (self.get_body_argument("key", "") or secrets.token_hex(8))[:64]
        return f"{who}:{own}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"  # a text that was changed since is another one

    async def done(self, **answer: object) -> None:
        """Answer a form: with JSON to a program, with the page to a browser."""
        if self.wants_json():
            await self.finish(answer)
        else:
            self.redirect("/", status=303)


class Home(Board):
    """The page."""

    async def get(self) -> None:
        """Render it. The key lets a form count once that is sent twice."""
        page = {"info": self.info(), "visitor": self.visitor(), "key": secrets.token_hex(8), "blank": BLANK}
        await self.render("index.html", **page, **self.board())


class Messages(Board):
    """The messages, for programs; and where they are posted."""

    async def get(self) -> None:
        """Answer as JSON."""
        await self.finish(self.board())

    async def post(self) -> None:
        """Take `text`, once for each `key`."""
        text = self.get_body_argument("text")
        if not 0 < len(text) <= TEXT_LIMIT:
            raise web.HTTPError(400, f"A message has 1 to {TEXT_LIMIT} characters.")
        visitor, me = self.visitor(), self.application.identity
        link = LINK.search(text)
        url = link[0].rstrip(".,;:!?)]") if link else ""
        at, via = datetime.now(UTC).isoformat(timespec="seconds"), {key: me[key] for key in ("host", "port", "slot")}
        event = {"kind": "message", **visitor, "text": text, "link": url, "at": at, "via": via}
        await self.done(id=await self.application.store.add(event, self.key(visitor["who"], text), url))


class Reactions(Board):
    """Where a reaction is posted."""

    async def post(self) -> None:
        """Take `reaction`, the id of a message and a symbol, once for each `key`; the same by another key takes it back."""
        event_id, _, symbol = self.get_body_argument("reaction").partition(" ")
        message = next((one for one in messages(list(self.application.feed.events)) if one["id"] == event_id), None)
        if message is None or symbol not in SYMBOLS:
            raise web.HTTPError(400, "There is no such message or reaction any more.")
        who = self.visitor()["who"]
        event = {"kind": "reaction", "of": event_id, "symbol": symbol, "who": who, "on": who not in message["reactions"].get(symbol, [])}
        await self.done(id=await self.application.store.add(event, self.key(who)))


class Name(Board):
    """Where a visitor says what to be called."""

    async def post(self) -> None:
        """Take `name`."""
        name = " ".join(self.get_body_argument("name").split())
        if not 0 < len(name) <= NAME_LIMIT:
            raise web.HTTPError(400, f"A name has 1 to {NAME_LIMIT} characters.")
        await self.done(**self.remember(self.visitor()["who"], name))


class Poll(Board):
    """News for who has no websocket: an answer that comes when there is some."""

    async def get(self) -> None:
        """Answer with the events after `after`, at once or as soon as there are some; with none after a while, or on the way out."""
        feed, after = self.application.feed, self.after()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                while not (feed.after(after) or self.application.stopping):
                    await feed.changed.wait()
        fleet = {"kind": "fleet", "processes": self.application.fleet()}
        news = [self.application.hello(), *feed.after(after), fleet, *([feed.tally] if feed.tally else [])]
        await self.finish({"events": news, "last": feed.last})


class BoardSocket(WebSocketHandler):
    """News over a websocket: lists of events, in their order, none twice. Cursors come the other way."""

    application: "App"
    reader: Reader

    def prepare(self) -> None:
        """Refuse to open on the way out."""
        if self.application.stopping:
            raise web.HTTPError(503)

    async def open(self) -> None:
        """Begin after the event `after`, the last one that the client has from an earlier socket, to this or another process."""
        feed, after = self.application.feed, self.get_query_argument("after", START)
        try:
            events = feed.after(after)
        except ValueError:
            self.close(1008, "after is not the id of an event")
            return
        self.visitor, self.pointed, self.points = known_visitor(self), 0.0, False
        self.reader = Reader(events, after, self.too_slow)
        for moment in (self.application.hello(), {"kind": "fleet", "processes": self.application.fleet()}, feed.tally):
            if moment:
                self.reader.take(moment)
        feed.readers.add(self.reader)
        self.application.join(self)
        self.sending = asyncio.create_task(self.send())
        if self.visitor:
            with contextlib.suppress(UnavailableError):
                await self.application.store.visited(self.visitor["who"])

    async def send(self) -> None:
        """Send what waits, and wait until it is sent."""
        with contextlib.suppress(WebSocketClosedError):
            while True:
                await self.write_message(json.dumps(await self.reader.batch()))
                await asyncio.sleep(max(PAUSE, len(self.application.feed.readers) / RATE))

    def too_slow(self) -> None:
        """Leave a reader behind for whom too much waits; it comes back with the last event that it has got."""
        self.application.feed.readers.discard(self.reader)
        self.close(CLOSE_TOO_SLOW, "too slow")

    async def on_message(self, message: str | bytes) -> None:
        """Take the place of the visitor's cursor, from 0 to 1 of the board's width and height; null when it has left."""
        try:
            place = json.loads(message)
            valid = place is None or (len(place) == 2 and all(0 <= number <= 1 for number in place))
        except (ValueError, TypeError, RecursionError):  # the last one of lists in lists
            valid = False
        if not valid:
            self.close(1008, "a list of two numbers from 0 to 1, or null, is what this takes")
        elif self.visitor and (self.points if place is None else time.monotonic() > self.pointed + CURSOR_PAUSE):
            self.pointed, self.points = time.monotonic(), place is not None
            with contextlib.suppress(UnavailableError):
                await self.application.store.tell({"kind": "cursor", **self.visitor, "place": place})

    def on_close(self) -> None:
        """Leave."""
        if hasattr(self, "reader"):
            self.sending.cancel()
            self.application.feed.readers.discard(self.reader)
            self.application.leave(self)


class Message(web.UIModule):
    """One message of the page."""

    def render(self, message: dict[str, Any], who: str) -> str:
        """Render it for a visitor."""
        return self.render_string("message.html", message=message, who=who, symbols=SYMBOLS).decode()
