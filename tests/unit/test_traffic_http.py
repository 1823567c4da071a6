"""The load generator over HTTP: every request is sent once, and whatever goes wrong is a failure."""

import asyncio
import contextlib
import hashlib
import itertools
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.traffic import Account, clients
from tests.unit.conftest import held_ports
from tests.unit.traffic_server import generate, http_server

INFO = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"release": "r1"}'


@contextlib.asynccontextmanager
async def raw_server(answers: list[bytes], seen: list[int]) -> AsyncIterator[int]:
    """A server that sends one of `answers` for each request of a connection, then closes it; its port.

    `seen` gets the number of the request on its connection, for each that comes, those without an answer included.
    """

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for number in itertools.count():
                await reader.readuntil(b"\r\n\r\n")
                seen.append(number)
                if number == len(answers):
                    break
                writer.write(answers[number])
        writer.close()

    async with await asyncio.start_server(serve_one, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("kind", ["keep-alive", "static", "post", "new"])
def test_kept_and_new_connections(kind: str) -> None:
    """A kept connection serves all requests of its client; a new one serves one, and says that it will."""
    connections: set[object] = set()
    requests: list[tuple[str, str, bool]] = []

    async def handle(request: web.Request) -> web.Response:
        content = await request.read()
        connections.add(request.transport)
        requests.append((request.method, request.host, request.keep_alive))
        return web.json_response({"release": "r1", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})

    records = generate(kind, http_server(handle), 5)
    assert {(record.kind, record.status, record.error) for record in records} == {(kind, 200, "")}
    assert {record.release for record in records} == {"" if kind == "static" else "r1"}
    assert len(connections) == (len(records) if kind == "new" else 1)
    assert requests == [("POST" if kind == "post" else "GET", "shop.test", kind != "new")] * len(records)


def test_an_upload_arrives_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how long it is, and its answer is compared with what was sent."""
    monkeypatch.setattr(clients, "PIECE_PAUSE", 0.01)
    lengths: list[int | None] = []
    arrived: list[int] = []

    async def handle(request: web.Request) -> web.Response:
        lengths.append(request.content_length)
        digest, size = hashlib.sha256(), 0
        async for piece in request.content.iter_any():
            arrived.append(len(piece))
            digest.update(piece)
            size += len(piece)
        return web.json_response({"bytes": size, "sha256": digest.hexdigest()})

    records = generate("upload", http_server(handle), 2)
    assert not Account(records).failures()
    assert set(lengths) == {2**20}
    assert sum(arrived) == len(records) * 2**20
    assert max(arrived) < 2**20


@pytest.mark.parametrize("status", [500, 502, 404, 204, 302])
def test_any_other_status_is_a_failure(status: int) -> None:
    """A redirect too: it is not followed."""

    async def handle(request: web.Request) -> web.Response:
        assert request.path == "/api/info"
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    records = generate("keep-alive", http_server(handle), 2)
    assert {record.status for record in records} == {status}
    assert len(Account(records).failures()) == len(records)


@pytest.mark.parametrize(("kind", "body"), [("keep-alive", "<html>"), ("keep-alive", "[]"), ("post", '{"bytes": 1000, "sha256": ""}')])
def test_a_wrong_body_is_a_failure(kind: str, body: str) -> None:
    """A status alone proves nothing."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text=body)

    records = generate(kind, http_server(handle), 2)
    assert all(record.failed and record.status == 200 and "Error(" in record.error for record in records)


def test_a_kept_connection_that_breaks_is_a_failure() -> None:
    """The client library would send such a request again, and keep silent. Each is sent once, and each break is seen."""
    seen: list[int] = []
    records = generate("keep-alive", raw_server([INFO], seen), 6)
    assert len(seen) == len(records)
    assert seen[:4] == [0, 1, 0, 1]
    assert [record.failed for record in records] == [number == 1 for number in seen]
    assert {(record.status, record.release) for record in records if record.failed} == {(0, "")}
    assert all("ServerDisconnectedError" in failure for failure in Account(records).failures())


def test_a_connection_that_breaks_at_once_is_a_failure() -> None:
    """A new one is not tried twice either."""
    seen: list[int] = []
    records = generate("new", raw_server([], seen), 3)
    assert len(seen) == len(records) == len(Account(records).failures())


def test_half_an_answer_is_a_failure() -> None:
    """An answer whose end never came is none, whatever its status was."""

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"half")
        assert request.transport
        request.transport.close()
        return answer

    records = generate("static", http_server(handle), 2)
    assert all(record.failed and record.status == 200 for record in records)


def test_a_refused_connection_is_a_failure() -> None:
    """Nobody listens there."""
    for kind in ("keep-alive", "websocket"):
        with held_ports() as (port,):
            records = generate(kind, contextlib.nullcontext(port), 2)
        assert {(record.kind, record.status) for record in records} == {(kind, 0)}
        assert all("Connect call failed" in failure for failure in Account(records).failures())


def test_no_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request has its time; what is in flight at the end has too."""
    monkeypatch.setattr(clients, "PATIENCE", 0.2)

    async def handle(_: web.Request) -> web.Response:
        await asyncio.sleep(2)
        return web.Response()

    records = generate("keep-alive", http_server(handle), 2)
    assert all("Timeout" in failure for failure in Account(records).failures())
    assert len(records) == len(Account(records).failures())
