"""A worker: looks up the links that visitors post. Start it with ``python worker.py``; it needs REDIS_URL.

SIGTERM lets it finish its job. A job of a worker that dies without that is done by another one.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket

from tornado.options import options

from background import Background
from feed import Feed
from fleet import BEAT, identity, sign_of_life
from jobs import TRIES, Jobs
from logs import log_to_stdout
from preview import preview
from store import RedisStore, UnavailableError, backoff


async def work(jobs: Jobs, stop: asyncio.Event) -> None:
    """Do one job after the other until it is time to stop."""
    failures = 0
    while not stop.is_set():
        try:
            if job := await jobs.next():
                title = await preview(job.url) if job.tries <= TRIES else "This page could not be looked at."
                await jobs.finish(job, {"kind": "preview", "of": job.message, "title": title})
                logging.info({"job": job.id, "url": job.url, "title": title, "tries": job.tries})
            failures = 0
        except UnavailableError as problem:
            if not failures:
                logging.warning("Redis is out of reach: %s", problem)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff(failures)):
                    await stop.wait()
            failures += 1


async def show(store: RedisStore, me: dict[str, object]) -> None:
    """Be on the map of the fleet."""
    while True:
        with contextlib.suppress(UnavailableError):
            await store.tell(sign_of_life(me, "worker"))
        await asyncio.sleep(BEAT)


async def main() -> None:
    """Work until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    url = os.environ.get("REDIS_URL")
    if not url:
        logging.warning("REDIS_URL is not set: there are no jobs; waiting for the end")
        await stop.wait()
        return
    store, background, me = RedisStore(url, Feed()), Background(), identity(socket.gethostname(), port=0)
    background.begin(show(store, me))
    logging.info("waiting for jobs, process %d", os.getpid())
    await work(Jobs(store), stop)
    await background.end()
    with contextlib.suppress(UnavailableError):
        await store.tell(sign_of_life(me, "worker", gone=True))
    await store.client.aclose()
    logging.info("stopped")


if __name__ == "__main__":
    log_to_stdout()
    options.parse_command_line()
    asyncio.run(main())
