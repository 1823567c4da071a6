"""Processes of the app as a host runs them, with a Redis of their own, and visitors who come to them."""

import http.cookiejar
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tornado.testing import bind_unused_port
from websockets.sync.client import ClientConnection, connect

HERE = Path(__file__).resolve().parents[1]
PATIENCE = 30.0
"""Seconds after which a test gives up; a bound, never a measure."""
SECRET = "a secret that all processes of the fleet have"
Event = dict[str, Any]


def free_port() -> int:
    """Return a port that nobody listens on."""
    unused, port = bind_unused_port()
    unused.close()
    return port


def redis_url(port: int) -> str:
    """Return where the Redis of a test is."""
    return f"redis://127.0.0.1:{port}/0"


@contextmanager
def program(*command: str, says: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a program of the app until it says something on a line of its own; kill it at the end."""
    plain = {key: value for key, value in os.environ.items() if key != "REDIS_URL"}
    variables = {**plain, "COOKIE_SECRET": SECRET, "PYTHONUNBUFFERED": "1", **environment}
    with subprocess.Popen([sys.executable, *command], cwd=HERE, env=variables, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout
            assert any(says in line for line in child.stdout)
            yield child
        finally:
            child.kill()


@contextmanager
def web(**environment: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run a web process on a free port."""
    port = free_port()
    with program("app.py", f"--port={port}", says="listening", **environment) as child:
        yield child, port


def wait_until(condition: Callable[[], Any]) -> Any:
    """Look again and again until a condition holds, and return what it returned."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def get(port: int, path: str) -> Any:
    """Ask a process as a program does, without any cookie."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        return json.load(answer)


class Visitor:
    """A browser, which keeps its cookies and takes the token from the page. Processes of one host share cookies: it may go to any."""

    def __init__(self, port: int) -> None:
        """Open the page."""
        self.port = port
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.page = self.opener.open(f"http://127.0.0.1:{port}/", timeout=PATIENCE).read().decode()
        found = re.search(r'name="_xsrf" value="([^"]+)"', self.page)
        assert found
        self.token = found[1]

    def post(self, path: str, **fields: str) -> tuple[int, dict[str, Any]]:
        """Post a form; return status and JSON."""
        body = urllib.parse.urlencode({"_xsrf": self.token, **fields}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, {"Accept": "application/json"})
        try:
            with self.opener.open(request, timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def say(self, text: str, **fields: str) -> str:
        """Post a message, which has to be taken; return its id."""
        status, answer = self.post("/api/board", text=text, **fields)
        assert status == 200, answer
        return str(answer["id"])

    def listen(self, after: str = "0-0") -> ClientConnection:
        """Open a websocket, with the visitor's cookies."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.jar)
        url = f"ws://127.0.0.1:{self.port}/board?after={after}"
        return connect(url, additional_headers={"Cookie": cookies}, proxy=None)


def heard(socket: ClientConnection, enough: Callable[[list[Event]], Any]) -> list[Event]:
    """Read from a websocket until what came is enough; return all of it."""
    events: list[Event] = []
    deadline = time.monotonic() + PATIENCE
    while not enough(events):
        events += json.loads(socket.recv(timeout=max(0.0, deadline - time.monotonic())))
    return events


def texts(events: list[Event]) -> list[str]:
    """Return the texts of the messages among events."""
    return [event["text"] for event in events if event["kind"] == "message"]
