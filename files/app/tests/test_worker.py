"""What is done beside the requests: jobs that workers take, and what is done once for the fleet."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise

import pytest

import fleet
import jobs
from background import Background
from feed import Feed
from running import PATIENCE, Visitor, get, program, redis_url, wait_until, web
from store import RedisStore
from tally import once, tally
from worker import work

NAME = {"TORNADO_APP_NAME": fleet.NAME}
# Takes a job, says so, and does nothing more.
TAKE = """
import asyncio, os
from feed import Feed
from jobs import Jobs
from store import RedisStore

async def main():
    jobs = Jobs(RedisStore(os.environ["REDIS_URL"], Feed()))
    while not await jobs.next():
        pass
    print("taken", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""
# From a signal on, does what is to be done once a period as often as it may, until it was done four times; notes when.
ONCE = """
import asyncio, os, time
from feed import Feed
from store import RedisStore
from tally import once

async def main():
    store = RedisStore(os.environ["REDIS_URL"], Feed())
    print("ready", flush=True)
    while not await store.client.exists(store.key("go")):
        pass
    while await store.client.llen(store.key("times")) < 4:
        await once(store, "test", 0.5, lambda: store.client.rpush(store.key("times"), time.monotonic()))

asyncio.run(main())
"""


@pytest.fixture
def port(redis_port: int) -> Iterator[int]:
    """A web process."""
    with web(REDIS_URL=redis_url(redis_port), **NAME) as (_, port):
        yield port


def preview_of(port: int, event_id: str) -> str | None:
    """Return what a page shows of a link."""
    (found,) = [message["preview"] for message in get(port, "/api/board")["messages"] if message["id"] == event_id]
    return str(found) if found else None


def run(redis_port: int, test: Callable[[RedisStore], Awaitable[None]]) -> None:
    """Run a test with a store of its own."""

    async def bounded() -> None:
        store = RedisStore(redis_url(redis_port), Feed())
        async with asyncio.timeout(PATIENCE):
            await test(store)
        await store.client.aclose()

    asyncio.run(bounded())


def test_a_job_waits_for_a_worker(port: int, redis_port: int) -> None:
    """The page has the message at once, and the result when there is one; a worker is on the map while it runs."""

    def workers() -> list[str]:
        return [process["role"] for process in get(port, "/api/board")["processes"] if process["role"] == "worker"]

    event_id = Visitor(port).say("see http://127.0.0.1:9/.")
    assert workers() == []
    assert preview_of(port, event_id) is None
    with program("worker.py", says="waiting for jobs", REDIS_URL=redis_url(redis_port), **NAME) as worker:
        assert wait_until(lambda: preview_of(port, event_id)) == "This address is not public."
        wait_until(lambda: workers() == ["worker"])
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0
        wait_until(lambda: workers() == [])


def test_a_job_of_a_killed_worker_is_done_by_another_one(port: int, redis_port: int) -> None:
    """Once: whoever comes back from the dead with the same job has nothing more to say."""
    event_id = Visitor(port).say("http://127.0.0.1:9/")
    with program("-c", TAKE, says="taken", REDIS_URL=redis_url(redis_port), **NAME) as worker:
        worker.kill()
        worker.wait()

    async def test(store: RedisStore) -> None:
        taken = None
        while taken is None:
            taken = await jobs.Jobs(store, abandoned=0.2).next()
        assert (taken.message, taken.tries) == (event_id, 2)
        stop = asyncio.Event()
        working = asyncio.create_task(work(jobs.Jobs(store, abandoned=0.2), stop))
        while await store.client.xlen(store.key("jobs")):
            await asyncio.sleep(0.05)
        await jobs.Jobs(store).finish(taken, {"kind": "preview", "of": event_id, "title": "late"})
        stop.set()
        await working

    run(redis_port, test)
    assert wait_until(lambda: preview_of(port, event_id)) == "This address is not public."


def test_a_job_that_no_worker_survives_is_given_up(port: int, redis_port: int) -> None:
    """Else it would take one worker after the other."""
    event_id = Visitor(port).say("http://127.0.0.1:9/")

    async def test(store: RedisStore) -> None:
        queue = jobs.Jobs(store, abandoned=0)
        while (taken := await queue.next()) is None or taken.tries < jobs.TRIES:
            pass
        stop = asyncio.Event()
        working = asyncio.create_task(work(queue, stop))
        while await store.client.xlen(store.key("jobs")):
            await asyncio.sleep(0.05)
        stop.set()
        await working

    run(redis_port, test)
    assert wait_until(lambda: preview_of(port, event_id)) == "This page could not be looked at."


def test_a_worker_without_redis_waits_for_its_end() -> None:
    """It does not end at once, to be started again and again."""
    with program("worker.py", says="REDIS_URL is not set") as worker:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0
        assert worker.stdout
        assert worker.stdout.read() == ""


def test_one_process_of_two_does_it_in_each_period(redis_port: int) -> None:
    """However they come: not more often than once a period, and the lock is nobody's afterwards."""
    variables = {"REDIS_URL": redis_url(redis_port), **NAME}

    async def go(store: RedisStore) -> None:
        await store.client.set(store.key("go"), 1)

    async def test(store: RedisStore) -> None:
        times = [float(text) for text in await store.client.lrange(store.key("times"), 0, -1)]
        assert len(times) >= 4
        assert all(after - before > 0.49 for before, after in pairwise(times))
        assert not await store.client.exists(store.key("lock", "test"))

    with program("-c", ONCE, says="ready", **variables) as first, program("-c", ONCE, says="ready", **variables) as second:
        run(redis_port, go)
        for child in (first, second):
            assert child.wait(PATIENCE) == 0
    run(redis_port, test)


def test_what_a_dead_process_has_locked_is_free_when_its_lease_is_over(redis_port: int) -> None:
    """Until then nobody does it."""

    async def test(store: RedisStore) -> None:
        done: list[int] = []

        async def job() -> None:
            done.append(os.getpid())

        await store.client.set(store.key("lock", "leased"), "somebody", nx=True, px=300)
        assert not await once(store, "leased", 60, job)
        while not await once(store, "leased", 60, job):
            await asyncio.sleep(0.05)
        assert not await once(store, "leased", 60, job)
        assert done == [os.getpid()]

    run(redis_port, test)


def test_the_tally_counts_visitors_and_takes_off_what_is_old(redis_port: int) -> None:
    """All processes hear of it."""

    async def test(store: RedisStore) -> None:
        await store.client.flushall()
        for who in ("a", "b", "a"):
            await store.visited(who)
        await store.client.xadd(store.key("board"), {"event": json.dumps({"kind": "message"})}, id="1-1")
        await store.add({"kind": "message", "text": "new"}, "k")
        await tally(store, "web-1:8000")
        background = Background()
        background.begin(store.run())
        await store.ready.wait()
        await background.end()
        assert (store.feed.tally["visitors"], store.feed.tally["by"]) == (2, "web-1:8000")
        assert [event["text"] for event in store.feed.events] == ["new"]

    run(redis_port, test)
