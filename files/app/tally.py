"""What is done once for the whole fleet, by whichever process comes first: a lock in Redis with a lease, and a mark that it was done."""

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from redis.exceptions import LockError

from feed import LENGTH
from store import RedisStore, UnavailableError

PERIOD = 30.0
"""Seconds between two times."""
LEASE = 10.0
"""Seconds for which a lock is held at most, when its process dies; the job has to end sooner."""
DAY = 86400


async def once(store: RedisStore, name: str, period: float, job: Callable[[], Awaitable[None]]) -> bool:
    """Do a job unless another process does it, or did it within the period; tell whether it was done."""
    done = store.key("done", name)
    async with store.reaching():
        # SET NX PX with a token of its own; at the end it is deleted if the token is still there.
        lock = store.client.lock(store.key("lock", name), timeout=LEASE, blocking=False)
        if await store.client.exists(done) or not await lock.acquire():
            return False
        try:
            if await store.client.exists(done):  # in the moment before this one had the lock
                return False
            async with asyncio.timeout(LEASE / 2):
                await job()
            await store.client.set(done, 1, px=int(period * 1000))
        finally:
            with contextlib.suppress(LockError):  # the lease is over: it is not this one's any more
                await lock.release()
    return True


async def tally(store: RedisStore, by: str) -> None:
    """Take what is older than a day off the board, count the visitors of the day, and tell all of it."""
    oldest = f"{int((time.time() - DAY) * 1000)}-0"
    if old := await store.client.xrange(store.key("board"), "-", oldest, count=2 * LENGTH):
        await store.client.xdel(store.key("board"), *(event_id for event_id, _ in old))
    visitors = await store.client.pfcount(store.key("visitors", time.strftime("%Y-%m-%d", time.gmtime())))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    event = {"kind": "tally", "visitors": visitors, "oldest": oldest, "by": by, "at": at}
    await store.client.set(store.key("tally"), json.dumps(event))
    await store.tell(event)


async def keep_tally(store: RedisStore, by: str) -> None:
    """Take part in it, for ever."""
    while True:
        await asyncio.sleep(random.uniform(1, 5))
        with contextlib.suppress(UnavailableError):
            if await once(store, "tally", PERIOD, lambda: tally(store, by)):
                logging.info("tally done")
