"""What one process knows of the board, and who in it wants to hear more. Nobody is waited for: who is slow is left behind.

An event with an `id` stays: it has its place in the order of all events, and nobody gets it twice. One without is of the moment.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from fleet import Event, Fleet

LENGTH = 500
"""Events that the board keeps."""
QUEUE = 200
"""Events that may wait for one reader. Who lets more wait is too slow."""
MOMENTS = 50
"""Cursors of so many visitors at a time; what more there is, nobody could look at."""
SHOWN = 500
"""Readers a second to whom a process shows the map of the fleet: each who comes changes it for all others."""
START = "0-0"
"""Before the first event."""


def order(event_id: str) -> tuple[int, int]:
    """Return what to compare ids by; ValueError for what is none."""
    if not re.fullmatch(r"[0-9]{1,20}-[0-9]{1,20}", event_id):
        raise ValueError(f"not the id of an event: {event_id!r}")
    time, number = event_id.split("-")
    return int(time), int(number)


class Reader:
    """What waits for one reader."""

    def __init__(self, events: list[Event], after: str, too_slow: Callable[[], None]) -> None:
        """Begin with what is there; `too_slow` is called once, when too much waits."""
        self.last = events[-1]["id"] if events else after
        self.events = events
        self.room = QUEUE + len(events)
        self.moments: dict[tuple[str, str], Event] = {}
        self.too_slow = too_slow
        self.waiting = asyncio.Event()

    def take(self, event: Event) -> None:
        """Put an event behind the others; of what is of the moment, the latest replaces the one before."""
        if "id" in event:
            if order(event["id"]) <= order(self.last):
                return
            self.last = event["id"]
            self.events.append(event)
            if len(self.events) > self.room:
                self.too_slow()
        else:
            key = event["kind"], event.get("who", "")
            if key in self.moments or event["kind"] != "cursor" or len(self.moments) < MOMENTS:
                self.moments[key] = event
        self.waiting.set()

    async def batch(self) -> list[Event]:
        """Wait until something is there, and return all of it."""
        await self.waiting.wait()
        self.waiting.clear()
        found = [*self.events, *self.moments.values()]
        self.events, self.moments = [], {}
        return found


class Feed:
    """The latest events, and those who read them."""

    def __init__(self) -> None:
        """Begin with an empty board."""
        self.events: deque[Event] = deque(maxlen=LENGTH)
        self.last = START
        self.fleet = Fleet()
        self.shown: list[Event] = []  # of the fleet, to readers
        self.quiet_until = 0.0
        self.state = "process"  # or redis; or away, while it is out of reach
        self.tally: Event = {}
        self.readers: set[Reader] = set()
        self.changed = asyncio.Event()

    def take(self, event: Event) -> None:
        """Pass an event on, unless it was here before."""
        kind = event["kind"]
        if kind == "process":
            if self.fleet.take(event):
                self.show_fleet()
            return
        if kind == "tally":
            self.tally = event
            while self.events and order(self.events[0]["id"]) < order(event["oldest"]):
                self.events.popleft()
        if "id" in event:
            if order(event["id"]) <= order(self.last):
                return
            self.last = event["id"]
            self.events.append(event)
            self.wake()
        for reader in tuple(self.readers):
            reader.take(event)

    def show_fleet(self) -> None:
        """Show readers who is there, if that has changed; a crowd is shown it less often, and what is left out comes next time."""
        now = time.monotonic()
        if now >= self.quiet_until and (processes := self.fleet.processes()) != self.shown:
            self.shown, self.quiet_until = processes, now + len(self.readers) / SHOWN
            self.take({"kind": "fleet", "processes": processes})

    def become(self, state: str) -> None:
        """Tell readers where the board is kept now, if that has changed."""
        if state != self.state:
            self.state = state
            self.take({"kind": "store", "state": state})

    def after(self, event_id: str) -> list[Event]:
        """Return the events after one of them, oldest first."""
        bound = order(event_id)
        return [event for event in self.events if order(event["id"]) > bound]

    def wake(self) -> None:
        """Let those look again who wait for `changed`."""
        self.changed.set()
        self.changed = asyncio.Event()


def messages(events: list[Event]) -> list[dict[str, Any]]:
    """Make of events what a page shows: each message with its reactions (symbol -> who) and what its link leads to."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        if event["kind"] == "message":
            found[event["id"]] = {**event, "reactions": {}, "preview": None}
        elif message := found.get(event.get("of", "")):
            if event["kind"] == "preview":
                message["preview"] = event["title"]
            elif event["kind"] == "reaction":
                whose = [who for who in message["reactions"].get(event["symbol"], []) if who != event["who"]]
                message["reactions"][event["symbol"]] = [*whose, event["who"]] if event["on"] else whose
    return list(found.values())
