"""Tests of the load generator: what goes well is counted, and nothing that goes wrong is passed over."""

import asyncio
import contextlib
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve

import tests.traffic
from tests.unit.loading import ROOT
from tests.traffic import KINDS, LOST, Account, Record, Target, Traffic, clients
from tests.unit.conftest import PATIENCE, held_ports, listens, process, wait_until

GENERATOR = (sys.executable, "-m", "tests.traffic")
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


INFO = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"release": "r1"}'


# HTTP


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


# Websockets


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


# The account


def test_account() -> None:
    """Its questions, on a few records."""
    records = [
        Record("a", "new", 10.0, 10.5, 200, "r1", ""),
        Record("a", "new", 20.0, 20.1, 200, "r1", ""),
        Record("a", "slow", 19.0, 22.0, 200, "r1", ""),
        Record("a", "keep-alive", 20.0, 20.1, 200, "r2", ""),
        Record("b", "new", 30.0, 30.1, 200, "r1", ""),
        Record("b", "upload", 40.0, 40.0, 502, "", ""),
        Record("b", "websocket", 50.0, 50.002, 200, "", ""),
        Record("b", "websocket", 50.0, 51.0, 1001, "", ""),
        Record("b", "websocket", 50.0, 52.0, 1011, "", "closed with 1011"),
        Record("b", "websocket", 51.9, 52.0, 0, "", LOST),
    ]
    account = Account(records)
    assert account.failures() == [
        "1970-01-01T00:00:40.000+00:00 b upload: 502",
        "1970-01-01T00:00:50.000+00:00 b websocket: 1011 closed with 1011",
        "1970-01-01T00:00:51.900+00:00 b websocket: 0 never acknowledged",
    ]
    assert (account.lost(), account.reconnects()) == (1, 1)
    assert account.stale("a", 19.5, {"r1"}) == [records[1]]
    assert account.answers() == {"r1": 4, "r2": 1}
    assert account.answers("b") == {"r1": 1}
    assert [line.split() for line in account.summary().splitlines()] == [
        ["kind", "requests", "failed", "median", "ms", "max", "ms"],
        ["keep-alive", "1", "0", "100.0", "100.0"],
        ["new", "3", "0", "100.0", "500.0"],
        ["upload", "1", "1", "-", "-"],
        ["slow", "1", "0", "3000.0", "3000.0"],
        ["websocket", "2", "2", "2.0", "2.0"],
    ]


def test_a_line_that_is_not_complete_is_not_read(tmp_path: Path) -> None:
    """It may still be written."""
    record = Record("a", "new", 10.0, 10.5, 200, "r1", "")
    line = json.dumps(record._asdict())
    (tmp_path / "records").write_text(f"{line}\n{line[:20]}")
    assert Account.read(tmp_path / "records").records == [record]
    assert Account.read(tmp_path / "none").records == []


# The process


@contextlib.contextmanager
def example_app() -> Iterator[tuple["subprocess.Popen[bytes]", Target]]:
    """The example app as a process of its own, once it listens."""
    with held_ports() as (port,):
        environment = {**os.environ, "TORNADO_APP_RELEASE": "r1"}
        command = (sys.executable, "app.py", f"--port={port}")
        with process(*command, cwd=ROOT / "files/app", env=environment, stdout=subprocess.DEVNULL) as running:
            wait_until(lambda: listens(port), "the app to listen")
            yield running, Target("web-1/shop", "127.0.0.1", "shop.test", port)


@pytest.fixture(scope="module")
def shop() -> Iterator[Target]:
    """One example app for all tests that leave it alone."""
    with example_app() as (_, target):
        yield target


def end(running: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, and wait until it has."""
    running.terminate()
    running.wait(PATIENCE)


def runs(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    return False


def test_all_kinds(shop: Target, tmp_path: Path) -> None:
    """The example app answers all of it, from the first request to the last."""
    other = replace(shop, name="web-2/shop", socket_seconds=0.5, without=("upload",))
    with Traffic([shop, other], tmp_path) as traffic:
        pid = traffic._process.pid
        assert runs(pid)
    assert not runs(pid)
    account = traffic.account
    assert (account.failures(), account.lost(), account.reconnects()) == ([], 0, 0)
    assert {(record.target, record.kind) for record in account.records} == {(t.name, kind) for t in (shop, other) for kind in KINDS} - {
        (other.name, "upload")
    }
    assert set(account.answers("web-1/shop")) == {"r1"}
    assert sum(record.closes and record.target == other.name for record in account.records) > 1
    assert len(account.summary().splitlines()) == 1 + len(KINDS)


def test_what_fails_meanwhile_is_in_the_account(tmp_path: Path) -> None:
    """An app that ends while it is asked shows."""
    with example_app() as (app, target), Traffic([target], tmp_path, kinds=["new", "websocket"]) as traffic:
        app.kill()
        wait_until(lambda: len(Account.read(tmp_path / "traffic.jsonl").failures()) > 3, "failures")
    failed = {record.kind for record in traffic.account.records if record.failed}
    assert failed == {"new", "websocket"}


def test_an_error_in_the_block_goes_on(shop: Target, tmp_path: Path) -> None:
    """The process ends, and the records are read."""
    traffic = Traffic([shop], tmp_path, kinds=["new"])
    with pytest.raises(ZeroDivisionError), traffic:
        raise ZeroDivisionError
    assert not runs(traffic._process.pid)
    assert traffic.account.answers() == {"r1": len(traffic.account.records)}


def test_a_start_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names who did not answer what, and leaves no process behind."""
    monkeypatch.setattr(tests.traffic, "START", 5.0)
    with held_ports() as (port,):
        traffic = Traffic([Target("web-1/shop", "127.0.0.1", "shop.test", port)], tmp_path, kinds=["new"])
        with pytest.raises(RuntimeError, match=r"(?s)not every kind.*web-1/shop new: 0 .*Connect call failed"), traffic:
            raise AssertionError("not reached")
    assert not runs(traffic._process.pid)


def test_a_generator_that_breaks_says_why(shop: Target, tmp_path: Path) -> None:
    """Its own errors are neither failures of an app nor forgotten."""
    with pytest.raises(RuntimeError, match="KeyError: 'telnet'"), Traffic([shop], tmp_path, kinds=["telnet"]):
        raise AssertionError("not reached")


def test_a_generator_that_ends_early_proves_nothing(shop: Target, tmp_path: Path) -> None:
    """Who relies on it has to know."""
    traffic = Traffic([shop], tmp_path, kinds=["new"])
    with pytest.raises(RuntimeError, match="ended by itself"), traffic:
        end(traffic._process)


def test_it_ends_with_its_parent(shop: Target, tmp_path: Path) -> None:
    """Even one that is killed leaves nothing behind, and every line is whole."""
    script = (
        "import pathlib, sys, time\n"
        "from tests.traffic import Target, Traffic\n"
        "target = Target('web-1/shop', '127.0.0.1', 'shop.test', int(sys.argv[1]))\n"
        "with Traffic([target], pathlib.Path(sys.argv[2]), kinds=['new', 'websocket']) as traffic:\n"
        "    print(traffic._process.pid, flush=True)\n"
        "    time.sleep(3600)\n"
    )
    with process(sys.executable, "-c", script, str(shop.port), tmp_path, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.kill()
        wait_until(lambda: not runs(pid), "the generator's end")
    assert (tmp_path / "traffic.jsonl").read_text().endswith("}\n")
    assert not Account.read(tmp_path / "traffic.jsonl").failures()


@pytest.mark.parametrize("how", ["signal", "input", "limit"])
def test_it_ends_when_it_should(how: str, shop: Target, tmp_path: Path) -> None:
    """What is in flight is finished first, and written."""
    spec, path = tmp_path / "spec.json", tmp_path / "records.jsonl"
    target = {"name": shop.name, "address": shop.address, "host": shop.host, "port": shop.port}
    limit = 0.2 if how == "limit" else 3600
    spec.write_text(json.dumps({"targets": [target], "limit": limit, "interval": 0.1, "kinds": ["upload", "websocket"]}))
    with subprocess.Popen([*GENERATOR, spec, path], cwd=ROOT, stdin=subprocess.PIPE) as generator:
        try:
            wait_until(lambda: Account.read(path).records, "a record")
            if how == "signal":
                generator.send_signal(signal.SIGTERM)
            elif how == "input":
                assert generator.stdin
                generator.stdin.close()
            assert generator.wait(PATIENCE) == 0
        finally:
            generator.kill()
    account = Account.read(path)
    assert not account.failures()
    assert {record.kind for record in account.records} == {"upload", "websocket"}


def test_usage() -> None:
    """A wrong command line is told the right one."""
    done = subprocess.run(GENERATOR, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m tests.traffic SPEC.json RECORDS.jsonl")
