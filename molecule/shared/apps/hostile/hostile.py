"""An app that serves, and means harm: `hostile.py --port=8000`.

`GET /do?trick=NAME&with=TEXT` turns a trick on, in the process that answers and in all that start later; `GET /undo` turns all off, of
which a process that has begun them knows nothing. `GET /attempts` says what it can get (attempts.py).
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import tricks
from attempts import carry_out

TRICKS = Path(os.environ["HOME"]) / "tricks"
GIANT = 64  # megabytes of an answer
SLOW = 600  # bytes of another, one every four seconds


class Handler(BaseHTTPRequestHandler):
    """Answers as any app does, and turns tricks on."""

    health = ""

    def do_GET(self) -> None:
        """Answer."""
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        if url.path == "/healthz" and self.health:
            self.be_ill(self.health)
            return
        if url.path == "/do":
            TRICKS.mkdir(exist_ok=True)
            (TRICKS / query["trick"]).write_text(query.get("with", ""))
            begin(query["trick"], query.get("with", ""))
        elif url.path == "/undo":
            for trick in TRICKS.glob("*"):
                trick.unlink()
        own = {"release": os.environ.get("TORNADO_APP_RELEASE", ""), "pid": os.getpid()}
        self.answer(carry_out() if url.path == "/attempts" else own)

    def answer(self, value: object, status: int = 200) -> None:
        """Answer with JSON."""
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def be_ill(self, how: str) -> None:
        """Answer a question for the health: with a status, too much, or too slowly."""
        if how.isdigit():
            self.answer({}, int(how))
            return
        self.send_response(200)
        self.flush_headers()
        with suppress(OSError):
            for piece in PIECES[how]():
                self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        """Print nothing: what it prints is a trick."""


class Server(ThreadingHTTPServer):
    """Lets others wait while it is busy."""

    request_queue_size = 128


def drip() -> Iterator[bytes]:
    """A header that never ends."""
    for _ in range(SLOW):
        time.sleep(4)
        yield b"x"


def giant() -> Iterator[bytes]:
    """A body as large as one can be."""
    yield b"\r\n\r\n"
    for _ in range(GIANT):
        yield b"\x1b[2J" * (1024 * 1024 // 4)


PIECES: dict[str, Callable[[], Iterator[bytes]]] = {"drip": drip, "giant": giant}


def begin(trick: str, text: str) -> None:
    """Begin one; `health` is for processes that start later."""
    if trick in tricks.BY_NAME:
        tricks.BY_NAME[trick](text)


def main() -> None:
    """Serve, with the tricks that are on."""
    port = int(sys.argv[1].removeprefix("--port="))
    on = {trick.name: trick.read_text() for trick in sorted(TRICKS.glob("*"))}
    ways = on.pop("health", "").split()
    if ways:
        Handler.health = ways[port % len(ways)]
    on.pop("fake", None)  # that would be before supervisord has seen it start
    for trick, text in on.items():
        begin(trick, text)
    Server(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
