"""Traffic of the load generator to a server of a test, and a server that answers it over HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.traffic import Record, Target, clients
from tests.unit.conftest import PATIENCE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def generate(kind: str, server: contextlib.AbstractAsyncContextManager[int], enough: int, **settings: Any) -> list[Record]:
    """Send traffic of one kind to a server until there are at least so many records; all records."""
    records: list[Record] = []

    async def run() -> None:
        stop = asyncio.Event()

        def write(record: Record) -> None:
            records.append(record)
            if len(records) >= enough:
                stop.set()

        async with server as port, asyncio.timeout(PATIENCE):
            target = Target("web-1/shop", "127.0.0.1", "shop.test", port, **settings)
            await clients.generate([target], [kind], 0.01, write, stop)

    asyncio.run(run())
    return records


@contextlib.asynccontextmanager
async def http_server(handler: Handler) -> AsyncIterator[int]:
    """A server that answers everything by one handler; its port."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
