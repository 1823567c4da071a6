"""The load generator's websockets: what does not come back is lost, and any other end is a failure."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve

from tests.traffic import LOST, Account, clients
from tests.unit.traffic_server import generate, http_server


@contextlib.asynccontextmanager
async def websocket_server(*handlers: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[int]:
    """A server that treats each websocket by the next of `handlers`, and all after them by the last; its port."""
    rest = itertools.chain(handlers, itertools.repeat(handlers[-1]))

    async def handle(connection: ServerConnection) -> None:
        await next(rest)(connection)

    async with serve(handle, "127.0.0.1", 0) as server:
        yield next(iter(server.sockets)).getsockname()[1]


def echo(number: float = float("inf"), code: int = 1000) -> Callable[[ServerConnection], Awaitable[None]]:
    """A handler that returns so many messages, swallows one, and closes."""

    async def handle(connection: ServerConnection) -> None:
        count = 0
        async for message in connection:
            if count == number:
                return await connection.close(code)
            count += 1
            await connection.send(message)
        return None

    return handle


def test_messages_come_back() -> None:
    """Each is counted, and so is the end of the socket."""
    records = generate("websocket", websocket_server(echo()), 5)
    assert [record.status for record in records] == [200] * (len(records) - 1) + [1000]
    account = Account(records)
    assert (account.failures(), account.lost(), account.reconnects()) == ([], 0, 0)


def test_a_websocket_that_is_sent_away_returns() -> None:
    """What was not acknowledged is sent again, and nothing is lost."""
    records = generate("websocket", websocket_server(echo(2, 1001), echo(0, 1001), echo()), 8)
    assert [record.status for record in records[:5]] == [200, 200, 1001, 1001, 200]
    account = Account(records)
    assert (account.failures(), account.lost(), account.reconnects()) == ([], 0, 2)


@pytest.mark.parametrize("code", [1000, 1011])
def test_a_websocket_that_is_closed_otherwise_is_a_failure(code: int) -> None:
    """The code is named, and what was under way is lost."""
    records = generate("websocket", websocket_server(echo(2, code), echo()), 6)
    assert [record.status for record in records[:4]] == [200, 200, code, 0]
    closed, *lost = Account(records).failures()
    assert f"closed with {code}" in closed
    assert all(LOST in failure for failure in lost)
    assert (Account(records).lost(), Account(records).reconnects()) == (len(lost), 0)
    assert not records[-1].failed  # another socket goes on


def test_a_websocket_that_is_cut_is_a_failure() -> None:
    """Without a word it is 1006."""

    async def cut(connection: ServerConnection) -> None:
        await connection.recv()
        connection.transport.abort()

    records = generate("websocket", websocket_server(cut, echo()), 4)
    assert [record.status for record in records[:2]] == [1006, 0]
    assert "closed with 1006" in Account(records).failures()[0]


def test_an_echo_that_never_comes_is_lost() -> None:
    """Later ones tell that it will not."""

    async def swallow(connection: ServerConnection) -> None:
        async for message in connection:
            if message != "web-1/shop 3":
                await connection.send(message)

    records = generate("websocket", websocket_server(swallow), 5)
    assert [record.status for record in records[:4]] == [200, 200, 0, 200]
    assert [record.error for record in records if record.failed] == [LOST]
    assert Account(records).lost() == 1


def test_silence_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that returns nothing is given up, and all that was sent is lost."""
    monkeypatch.setattr(clients, "PATIENCE", 1.0)

    async def swallow(connection: ServerConnection) -> None:
        async for _ in connection:
            pass

    account = Account(generate("websocket", websocket_server(swallow), 3))
    assert account.lost() == len(account.failures()) == sum(not record.closes for record in account.records) > 0


def test_what_was_never_sent_is_a_failure() -> None:
    """So is a message that comes twice."""

    async def twice(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)
            await connection.send(message)

    account = Account(generate("websocket", websocket_server(twice), 4))
    assert account.failures()
    assert all("unexpected message" in failure for failure in account.failures())
    assert account.lost() == 0


@pytest.mark.parametrize("status", [503, 302])
def test_a_refused_handshake_is_a_failure(status: int) -> None:
    """Its status is named; a redirect is not followed."""

    async def refuse(request: web.Request) -> web.Response:
        assert request.path == "/ws"
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    records = generate("websocket", http_server(refuse), 2)
    assert {record.status for record in records} == {status}
    assert all("handshake" in failure for failure in Account(records).failures())


def test_a_client_that_changes_its_socket() -> None:
    """With `socket_seconds` it closes by itself, with nothing under way."""
    opened = 0

    async def count(connection: ServerConnection) -> None:
        nonlocal opened
        opened += 1
        await echo()(connection)

    records = generate("websocket", websocket_server(count), 8, socket_seconds=0.02)
    assert opened == sum(record.status == 1000 for record in records) > 1
    assert not Account(records).failures()
