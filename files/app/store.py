"""Where the board is kept: in Redis, for all processes of the fleet, or in this process alone.

In Redis, events are in a stream of bounded length, and each is published at once. Who subscribes reads first what the stream has after
the last event that it knows: so nothing is missed, and an event that comes both ways is known by its id.
"""

import asyncio
import json
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from feed import LENGTH, START, Feed
from fleet import NAME, Event

TIMEOUT = 5.0
"""Seconds that a command may take; a visitor waits for it."""
PATIENCE = 15.0
"""Seconds in which what a visitor posts is tried again."""
SILENCE = 5.0
"""Seconds without any message after which a subscription counts as broken: this process hears its own signs of life, too."""
RETRY = 0.25, 10.0
"""Seconds until the first new attempt, and at most."""

# Adds an event once, however often it is asked for by one key; and with it the job that its link makes.
ADD = """
local known = redis.call('GET', KEYS[3])
if known then return known end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'event', ARGV[1])
redis.call('SET', KEYS[3], id, 'EX', 600)
if ARGV[3] ~= '' then
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[2], '*', 'message', id, 'url', ARGV[3])
end
redis.call('PUBLISH', KEYS[2], id .. ' ' .. ARGV[1])
return id
"""


class UnavailableError(Exception):
    """Redis is out of reach. What was asked for may have been done all the same: ask again with the same key."""


class Store(Protocol):
    """What the app needs of either."""

    async def add(self, event: Event, key: str, link: str = "") -> str:
        """Give an event its place, and return its id. The same key again adds nothing; a link is to be looked up by a worker."""

    async def tell(self, event: Event) -> None:
        """Pass on what is of the moment."""

    async def visited(self, who: str) -> None:
        """Count a visitor."""


class MemoryStore:
    """A board for one process; for development, and until there is a Redis."""

    def __init__(self, feed: Feed) -> None:
        """Keep nothing but what the feed keeps."""
        self.feed = feed
        self.added: deque[tuple[str, str]] = deque(maxlen=LENGTH)  # key and id

    async def add(self, event: Event, key: str, link: str = "") -> str:  # noqa: ARG002 - there is no worker
        """Give an event its place."""
        if known := dict(self.added).get(key):
            return known
        now, number = int(time.time() * 1000), 0
        if self.feed.last != START:
            last, before = map(int, self.feed.last.split("-"))
            now, number = (now, 0) if now > last else (last, before + 1)
        event_id = f"{now}-{number}"
        self.added.append((key, event_id))
        self.feed.take({**event, "id": event_id})
        return event_id

    async def tell(self, event: Event) -> None:
        """Pass it on."""
        self.feed.take(event)

    async def visited(self, who: str) -> None:
        """Count nobody: there is nobody to share the number with."""


class RedisStore:
    """A board for the fleet. `client` is for what else the app keeps there, by `key` and within `reaching`."""

    def __init__(self, url: str, feed: Feed) -> None:
        """Take the URL, such as redis://:password@host:6379/0; nothing is opened yet. ValueError when it is no such URL."""
        # A subscription that redis-py renews by itself would miss what is published meanwhile, and nobody would know.
        retry = Retry(NoBackoff(), 0)
        # redis-py's types are those of its two clients and of bytes as well as text, all at once.
        self.client: Any = Redis.from_url(url, decode_responses=True, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=retry)
        self.feed = feed
        feed.state = "away"
        self.ready = asyncio.Event()
        self._add = self.client.register_script(ADD)

    def key(self, *parts: str) -> str:
        """Return the name of a key of this app."""
        return ":".join((NAME, *parts))

    @asynccontextmanager
    async def reaching(self) -> AsyncIterator[None]:
        """Raise UnavailableError for whatever Redis or the way to it has."""
        try:
            yield
        except (RedisError, OSError) as error:
            raise UnavailableError(str(error)) from error

    async def add(self, event: Event, key: str, link: str = "") -> str:
        """Give an event its place in the stream, and publish it. The key makes it count once, so a hiccup is no reason to give up."""
        keys = [self.key("board"), self.key("live"), self.key("added", key), self.key("jobs")]
        arguments: list[str | int] = [json.dumps(event), LENGTH, link]
        failures = 0
        async with self.reaching(), asyncio.timeout(PATIENCE):
            while True:
                try:
                    return str(await self._add(keys=keys, args=arguments))
                except (RedisConnectionError, RedisTimeoutError):  # idle connections that a restart of Redis has ended, or a busy machine
                    failures += 1
                    if failures > 1 and self.feed.state == "away":
                        raise
                await asyncio.sleep(backoff(0))

    async def tell(self, event: Event) -> None:
        """Publish what is of the moment."""
        async with self.reaching():
            await self.client.publish(self.key("live"), f" {json.dumps(event)}")

    async def visited(self, who: str) -> None:
        """Count a visitor of this day; the number of bytes stays the same, however many there are."""
        today = self.key("visitors", time.strftime("%Y-%m-%d", time.gmtime()))
        async with self.reaching(), self.client.pipeline() as pipeline:
            await pipeline.pfadd(today, who).expire(today, 2 * 86400).execute()

    async def run(self) -> None:
        """Follow the board, for ever; after a failure again, later each time, and not at the same moment as all others."""
        failures = 0
        while True:
            try:
                async with self.reaching(), self.client.pubsub() as subscription:
                    await subscription.subscribe(self.key("live"))
                    await read(subscription)  # the answer: from here on nothing is missed
                    await self.catch_up()
                    failures = 0
                    logging.info("Redis is there")
                    await self.follow(subscription)
            except UnavailableError as problem:
                if not failures:
                    logging.warning("Redis is out of reach: %s", problem)
                self.feed.become("away")
                await asyncio.sleep(backoff(failures))
                failures += 1

    async def catch_up(self) -> None:
        """Read what this process has not seen."""
        first = "-" if self.feed.last == START else self.feed.last  # which is dropped: it was here before
        entries = await self.client.xrevrange(self.key("board"), "+", first, count=LENGTH)
        for event_id, fields in reversed(entries):
            self.hear(fields["event"], event_id)
        if tally := await self.client.get(self.key("tally")):
            self.hear(tally)
        self.feed.become("redis")
        self.ready.set()

    async def follow(self, subscription: PubSub) -> None:
        """Take what is published until the connection breaks."""
        while True:
            event_id, _, event = (await read(subscription))["data"].partition(" ")
            self.hear(event, event_id)

    def hear(self, text: str, event_id: str = "") -> None:
        """Take an event; another release may write what this one cannot read."""
        try:
            self.feed.take({**json.loads(text), **({"id": event_id} if event_id else {})})
        except (KeyError, TypeError, ValueError):
            logging.exception("an event of the board cannot be read")


async def read(subscription: PubSub) -> dict[str, Any]:
    """Read what comes next; a subscription on which nothing comes is broken."""
    message: dict[str, Any] | None = await subscription.get_message(timeout=SILENCE)
    if message is None:
        raise RedisConnectionError(f"nothing came for {SILENCE:.0f} s")
    return message


def backoff(failures: int) -> float:
    """Return how many seconds to wait after so many failures before this one."""
    first, longest = RETRY
    return random.uniform(0.5, 1) * min(longest, first * 2.0 ** min(failures, 10))
