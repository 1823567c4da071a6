"""The clients. Each asks one target in one way, one request after the other, and writes what became of each."""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence

from aiohttp import (
    ClientError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ServerDisconnectedError,
    TCPConnector,
)
from websockets import CloseCode
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from yarl import URL

from tests.traffic import LOST, PATIENCE, Record, Target

Write = Callable[[Record], None]

REQUESTS = {
    "keep-alive": ("GET", "/api/info"),
    "new": ("GET", "/api/info"),
    "post": ("POST", "/upload"),
    "upload": ("POST", "/upload"),
    "slow": ("GET", "/api/wait?seconds=3"),
    "static": ("GET", "/static/app.css"),
}
POST_SIZE = 1000
"""Bytes of a small body."""
PIECE_SIZE, PIECES, PIECE_PAUSE = 2**16, 16, 0.05
"""An upload: bytes of a piece, number of pieces, seconds between two of them, so that it is under way for most of a second."""
CUT = "cut off by the end of the generator"


async def generate(targets: Sequence[Target], kinds: Sequence[str], interval: float, write: Write, stop: asyncio.Event) -> None:
    """Run one client of each kind for each target until `stop`; then what is in flight has `PATIENCE` seconds to finish.

    `interval` is the seconds that each client waits between two requests. `write` is called once for each record.
    """
    asked = [(target, kind) for target in targets for kind in kinds if kind not in target.without]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client(target, kind, interval, write, stop)) for target, kind in asked]
        await stop.wait()
        _, late = await asyncio.wait(tasks, timeout=PATIENCE)
        for task in late:
            task.cancel()


async def client(target: Target, kind: str, interval: float, write: Write, stop: asyncio.Event) -> None:
    """Ask one target in one way until `stop`."""
    if kind == "websocket":
        await Messages(target, interval, write, stop).run()
        return
    async with ClientSession(
        URL.build(scheme="http", host=target.address, port=target.port),
        headers={"Host": target.host},
        connector=TCPConnector(limit=1, force_close=kind == "new"),
        timeout=ClientTimeout(total=PATIENCE),
        middlewares=[once],
    ) as session:
        while not stop.is_set():
            await ask(session, target, kind, write)
            await asyncio.sleep(interval)


# HTTP


async def once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send a request one time only.

    aiohttp repeats a GET by itself when the connection breaks before the answer, and says nothing: just the failures that these
    clients are there to see. It does so for two errors alone, and middlewares run within its loop: another error ends it.
    """
    try:
        return await handler(request)
    except (ClientOSError, ServerDisconnectedError) as error:
        raise ClientError(f"{type(error).__name__}: {error}") from error


async def ask(session: ClientSession, target: Target, kind: str, write: Write) -> None:
    """Make one request and write its record, whatever becomes of it."""
    method, path = REQUESTS[kind]
    body: bytes | AsyncIterator[bytes] | None = None
    headers: dict[str, str] = {}
    expected: dict[str, object] = {}
    if method == "POST":
        content = os.urandom(POST_SIZE) if kind == "post" else os.urandom(PIECE_SIZE) * PIECES
        body = content if kind == "post" else pieces(content)
        headers = {"Content-Length": str(len(content))}  # else what is streamed is sent in chunks, which browsers do not do
        expected = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    start, status, release, error = time.time(), 0, "", CUT
    try:
        async with session.request(method, target.prefix + path, data=body, headers=headers, allow_redirects=False) as answer:
            status = answer.status
            text = await answer.read()
        if status == 200 and kind != "static":
            release = check(text, expected)
        error = ""
    except Exception as failure:  # of whatever kind: the request did not get its answer
        error = repr(failure)
    finally:
        write(Record(target.name, kind, start, time.time(), status, release, error))


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    """Yield the pieces of an upload, slowly."""
    for start in range(0, len(content), PIECE_SIZE):
        yield content[start : start + PIECE_SIZE]
        await asyncio.sleep(PIECE_PAUSE)


def check(text: bytes, expected: dict[str, object]) -> str:
    """Return the release that an answer names, or "". Raises ValueError unless it is a JSON object with what is `expected`."""
    answer = json.loads(text)
    if not isinstance(answer, dict) or any(answer.get(key) != value for key, value in expected.items()):
        raise ValueError(f"wrong answer: {text[:200]!r}")
    return str(answer.get("release", ""))


# Websockets


class Connect(connect):
    """A handshake whose redirects are answers like any other: not followed."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Refuse all."""
        return exc


class Messages:
    """Numbered messages over a websocket, each of which has to come back, in order.

    A socket that the server closes with 1001 is replaced at once, and what was not acknowledged is sent again. After any other end
    that the client did not ask for, it is lost.
    """

    def __init__(self, target: Target, interval: float, write: Write, stop: asyncio.Event) -> None:
        self.target = target
        self.interval = interval
        self.write = write
        self.stop = stop
        self.number = 0
        self.pending: dict[str, float] = {}  # message -> when it was first sent; in the order in which they were

    async def run(self) -> None:
        """Exchange messages until `stop`, and then until all are acknowledged."""
        loop = asyncio.get_running_loop()
        try:
            while not self.stop.is_set() or self.pending:
                began = loop.time()
                if socket := await self.open():
                    await self.use(socket)
                elif self.overdue():
                    self.lose()
                # A socket that lived is replaced at once; a server that refuses or ends each is not asked without a pause.
                await asyncio.sleep(max(0.0, began + self.interval - loop.time()))
        finally:
            self.lose()

    async def open(self) -> ClientConnection | None:
        """Open a websocket; a refusal is written, and None."""
        start = time.time()
        try:
            return await Connect(
                f"ws://{self.target.host}{self.target.prefix}/ws",
                host=self.target.address,
                port=self.target.port,
                proxy=None,  # not even one that the environment names
                ping_interval=None,  # the messages themselves tell whether the other end is there
                open_timeout=PATIENCE,
            )
        except Exception as failure:  # of whatever kind: there is no websocket
            status = failure.response.status_code if isinstance(failure, InvalidStatus) else 0
            self.record(start, status, f"handshake: {failure!r}")
            return None

    async def use(self, socket: ClientConnection) -> None:
        """Exchange messages over `socket` until either side closes it, and write how it ended."""
        opened = time.time()
        good: tuple[int, ...] = (CloseCode.GOING_AWAY,)
        try:
            await self.exchange(socket)
            good = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY)
            await socket.close()
        except ConnectionClosed:
            pass  # the code tells
        code = socket.close_code or CloseCode.ABNORMAL_CLOSURE
        self.record(opened, code, "" if code in good else f"closed with {code} {socket.close_reason or ''}".rstrip())
        if code != CloseCode.GOING_AWAY:
            self.lose()

    async def exchange(self, socket: ClientConnection) -> None:
        """Send and receive until it is time to close `socket` and all is acknowledged, or an echo is overdue."""
        loop = asyncio.get_running_loop()
        closing = loop.time() + self.target.socket_seconds if self.target.socket_seconds is not None else None
        for message in self.pending:
            await socket.send(message)
        while not self.overdue():
            if not self.stop.is_set() and (closing is None or loop.time() < closing):
                self.number += 1
                message = f"{self.target.name} {self.number}"
                self.pending[message] = time.time()
                await socket.send(message)
            elif not self.pending:
                return
            try:
                async with asyncio.timeout(self.interval):
                    while True:
                        self.acknowledge(await socket.recv())
            except TimeoutError:
                pass

    def acknowledge(self, message: str | bytes) -> None:
        """Take an echo. What was sent before it and has not come back never will."""
        if not isinstance(message, str) or message not in self.pending:
            return self.record(time.time(), 0, f"unexpected message: {message[:200]!r}")
        self.lose(before=message)
        return self.record(self.pending.pop(message), 200)

    def overdue(self) -> bool:
        """Tell whether the oldest message waits for longer than anybody would."""
        return any(time.time() - sent > PATIENCE for sent in self.pending.values())

    def lose(self, before: str = "") -> None:
        """Give up what is not acknowledged: all, or what was sent before a message."""
        for message in list(self.pending):
            if message == before:
                break
            self.record(self.pending.pop(message), 0, LOST)

    def record(self, start: float, status: int, error: str = "") -> None:
        """Write one record that ends now."""
        self.write(Record(self.target.name, "websocket", start, time.time(), status, "", error))
