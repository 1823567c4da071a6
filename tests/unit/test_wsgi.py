"""wsgi.py: a WSGI application behind Tornado, in processes as supervisord starts them."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.loading import ROLE
from tests.unit.conftest import PATIENCE, held_ports, listens, wait_until

APP = """
import logging, pathlib, time

def late():
    yield b"<html>"
    raise RuntimeError("too late")

def app(environ, start_response):
    here = pathlib.Path.cwd()
    if environ["PATH_INFO"] == "/wait":
        (here / "waiting").touch()
        while not (here / "go").exists():
            time.sleep(0.01)
    if environ["PATH_INFO"] == "/where":
        start_response("200 OK", [])
        return [environ["SCRIPT_NAME"].encode()]
    if environ["PATH_INFO"] == "/broken":
        raise RuntimeError("not today")
    if environ["PATH_INFO"] == "/late":
        start_response("200 OK", [("Content-Type", "text/html")])
        return late()
    logging.getLogger("shop").info("asked for %s by %s", environ["PATH_INFO"], environ["REMOTE_ADDR"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REQUEST_METHOD"].encode(), b" ", environ["PATH_INFO"].encode(), b" ", environ["wsgi.input"].read()]
"""


class Server:
    """A running launcher, in a directory of its own."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.folder, self.port = folder, port
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*LAUNCH, "shop.web:app", f"--port={port}", *options], cwd=folder, stdout=log, stderr=log)
        wait_until(lambda: listens(port) or self.process.poll() is not None, "the server")

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request(method, path, body=body, headers={key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read()


LAUNCH = [sys.executable, str(ROLE / "files/wsgi.py")]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    (tmp_path / "shop/web.py").write_text(APP)
    return tmp_path


@pytest.fixture
def server(code: Path) -> Iterator[Server]:
    with held_ports(1) as (port,):
        made = Server(code, port)
        yield made
        made.process.kill()
        made.process.wait()


def test_requests_arrive_and_are_answered(server: Server) -> None:
    assert server.ask("/a") == (200, b"GET /a ")
    assert server.ask("/b", "POST", b"body") == (200, b"POST /b body")


def test_the_prefix_is_told(server: Server) -> None:
    assert server.ask("/where", X_Forwarded_Prefix="/pages") == (200, b"/pages")
    assert server.ask("/where") == (200, b"")


def test_a_slow_request_holds_up_no_other_one_and_is_finished_after_sigterm(server: Server) -> None:
    found: list[tuple[int, bytes]] = []
    slow = threading.Thread(target=lambda: found.append(server.ask("/wait")))
    slow.start()
    wait_until((server.folder / "waiting").exists, "the slow request")
    assert server.ask("/quick")[0] == 200
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not listens(server.port), "the closed port")
    assert server.process.poll() is None
    (server.folder / "go").touch()
    slow.join(PATIENCE)
    assert found == [(200, b"GET /wait ")]
    assert server.process.wait(PATIENCE) == 0


def test_what_raises_is_answered_with_500_and_the_next_request_as_ever(server: Server) -> None:
    assert server.ask("/broken") == (500, b"500: Internal Server Error")
    assert server.ask("/a")[0] == 200


def test_what_raises_in_the_middle_of_an_answer_does_not_look_whole(server: Server) -> None:
    with pytest.raises(http.client.IncompleteRead) as cut:
        server.ask("/late")
    assert cut.value.partial == b"<html>"
    assert server.ask("/a")[0] == 200


def test_what_tornado_and_the_app_have_to_say_is_in_one_log(server: Server) -> None:
    server.ask("/a", X_Real_IP="192.0.2.7")
    assert server.ask("/broken")[0] == 500
    wait_until(lambda: "500 GET /broken" in server.log.read_text(), "the log of the last request")
    said = server.log.read_text()
    assert "INFO shop: asked for /a by 192.0.2.7" in said
    assert "INFO tornado.access: 200 GET /a (192.0.2.7)" in said
    assert "ERROR tornado.access: 500 GET /broken" in said
    assert "RuntimeError: not today" in said


def refusal(code: Path, name: str) -> str:
    done = subprocess.run([*LAUNCH, name, "--port=1"], cwd=code, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing:app", "wsgi: nothing:app: there is no module nothing\n"),
        ("shop.nothing:app", "wsgi: shop.nothing:app: there is no module shop.nothing\n"),
        ("shop.web:nothing", "wsgi: shop.web:nothing: shop.web has no application nothing\n"),
        ("shop.web:APP", "wsgi: shop.web:APP: shop.web has no application APP\n"),
    ],
)
def test_an_application_that_is_not_there_is_named(code: Path, name: str, said: str) -> None:
    assert refusal(code, name) == said


def test_an_import_that_fails_inside_the_application_is_shown_where_it_is(code: Path) -> None:
    (code / "shop/web.py").write_text("import nonexistent\n")
    said = refusal(code, "shop.web:app")
    assert 'shop/web.py", line 1' in said
    assert "No module named 'nonexistent'" in said
