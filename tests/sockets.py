"""A crowd of visitors of the example app's board, each with a websocket that comes back whenever it is closed.

What each has heard is known by the ids of messages, so a test sees what was lost, doubled or out of order.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

BACK_SECONDS = 2.0  # in which who was sent away comes back, so that not all come at the same moment; twice as many after each refusal
BACK_LIMIT = 16.0
TOGETHER = 100  # visitors who come at the same time, of those who come first
OPEN_SECONDS = 120.0  # in which a socket has to open; a bound, never a measure


class Place(NamedTuple):
    """Where visitors come in."""

    address: str
    port: int
    host: str
    """The name that they ask for."""


class Visitor:
    """One of the crowd."""

    def __init__(self, number: int, place: Place) -> None:
        self.number, self.place = number, place
        self.process: dict[str, Any] = {}
        """Who serves the socket, by its own word; empty while there is none."""
        self.last = ""
        """The last event that came."""
        self.heard: list[tuple[str, float]] = []
        """Ids of messages, and when they came, by the monotonic clock."""

    def hear(self, event: dict[str, Any]) -> None:
        """Take an event in."""
        if event["kind"] == "hello":
            self.process = event["process"]
        elif "id" in event:
            self.last = event["id"]
            if event["kind"] == "message":
                self.heard.append((event["id"], time.monotonic()))


class Crowd:
    """All of them, in a thread of their own."""

    def __init__(self, places: Sequence[Place], count: int) -> None:
        self.visitors = [Visitor(number, places[number % len(places)]) for number in range(count)]
        self.closed: Counter[int] = Counter()
        """How sockets were closed, by code; 1006 is none."""
        self.refused: list[str] = []
        """Why sockets did not open."""
        self.moved: list[tuple[float, str, str]] = []
        """When a socket opened, by the monotonic clock, to which host and which release."""
        self.problems: list[Exception] = []
        """What ended a visitor, and should not."""
        self.loop = asyncio.new_event_loop()
        self.stopping = asyncio.Event()
        self.gate = asyncio.Semaphore(TOGETHER)

    def open(self) -> int:
        """How many have a socket."""
        return sum(bool(visitor.process) for visitor in self.visitors)

    def releases(self) -> Counter[str]:
        """How many sockets each release serves."""
        served = [visitor.process for visitor in self.visitors]  # another thread empties them
        return Counter(str(process["release"]) for process in served if process)

    def have_heard(self, message: str) -> int:
        """How many have heard a message."""
        return sum(any(heard == message for heard, _ in reversed(visitor.heard)) for visitor in self.visitors)

    async def visit(self, visitor: Visitor) -> None:
        """Come, stay, and come back, until the end."""
        await self.gate.acquire()
        first, refusals = True, 0
        while not self.stopping.is_set():
            address = f"ws://{visitor.place.host}/board" + (f"?after={visitor.last}" if visitor.last else "")
            try:
                socket = await connect(
                    address,
                    host=visitor.place.address,
                    port=visitor.place.port,
                    proxy=None,
                    compression=None,
                    ping_interval=None,
                    open_timeout=OPEN_SECONDS,
                    max_size=None,
                )
            except (OSError, InvalidHandshake, TimeoutError) as problem:
                self.refused.append(str(problem))
                refusals += 1
            else:
                refusals = 0
                try:
                    async for text in socket:
                        before = visitor.process
                        for event in json.loads(text):
                            visitor.hear(event)
                        if visitor.process and not before:
                            self.moved.append((time.monotonic(), visitor.process["host"], visitor.process["release"]))
                            if first:
                                self.gate.release()
                                first = False
                except ConnectionClosed:  # with a code that is not 1000 or 1001
                    pass
                finally:
                    visitor.process = {}
                if not self.stopping.is_set():
                    self.closed[socket.close_code or 1006] += 1
                await socket.close()
            await asyncio.sleep(random.uniform(0, min(BACK_LIMIT, BACK_SECONDS * 2**refusals)))

    async def come(self) -> None:
        """Be there until the end."""
        visits = [asyncio.create_task(self.visit(visitor)) for visitor in self.visitors]
        await self.stopping.wait()
        for visit in visits:
            visit.cancel()
        for outcome in await asyncio.gather(*visits, return_exceptions=True):
            if isinstance(outcome, Exception):
                self.problems.append(outcome)

    @contextmanager
    def there(self) -> Iterator[Crowd]:
        """Let them come, and leave at the end of the block."""
        thread = threading.Thread(target=self.loop.run_until_complete, args=(self.come(),), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.loop.call_soon_threadsafe(self.stopping.set)
            thread.join()
            self.loop.close()
        assert self.problems == []
