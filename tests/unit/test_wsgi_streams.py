"""wsgi.py: an answer leaves piece by piece, waits for a slow client, and ends with it; a request may be as large as nginx allows."""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.unit.conftest import PATIENCE, held_ports, make_plan, wait_until
from tests.unit.test_wsgi import LAUNCH, Server

APP = """
import itertools, pathlib, time

HERE = pathlib.Path.cwd()
MEGABYTE = bytes(1_000_000)
LARGE = bytes(20_000_000)

class Answer:
    def __init__(self, pieces):
        self.pieces = pieces

    def __iter__(self):
        return iter(self.pieces)

    def close(self):
        (HERE / "closed").touch()

def pieces():
    for number in range(3):
        yield b""
        yield b"piece %d" % number
        while not (HERE / f"go-{number}").exists():
            time.sleep(0.01)

def endless(pause):
    for number in itertools.count(1):
        (HERE / "count").write_text(str(number))
        yield MEGABYTE
        time.sleep(pause)

def app(environ, start_response):
    path, headers = environ["PATH_INFO"], [("Content-Type", "text/plain")]
    if path == "/size":
        start_response("200 OK", headers)
        size = 0
        while found := environ["wsgi.input"].read(1_000_000):
            size += len(found)
        return [str(size).encode()]
    if path == "/written":
        write = start_response("200 OK", headers)
        write(b"one ")
        return (b"two",)
    if path == "/large":
        start_response("200 OK", headers)
        return [LARGE]
    if path == "/changed":
        start_response("200 OK", headers)
        try:
            raise ValueError
        except ValueError:
            import sys
            start_response("409 Conflict", headers, sys.exc_info())
        return [b"conflict"]
    if path == "/silent":
        return [b"no status"]
    if path == "/short":
        start_response("200 OK", [("Content-Length", "10")])
        return [b"short"]
    if path == "/none":
        start_response("204 No Content", [])
        return []
    if path == "/same":
        start_response("304 Not Modified", [("ETag", '"a"')])
        return [b"ignored"]
    start_response("200 OK", headers)
    return Answer({"/pieces": pieces, "/endless": lambda: endless(0), "/slow": lambda: endless(0.01)}[path]())
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    (tmp_path / "shop/web.py").write_text(APP)
    with held_ports(1) as (port,):
        made = Server(tmp_path, port, "--max-body=120000000")
        yield made
        made.process.kill()
        made.process.wait()


@contextmanager
def asked(server: Server, path: str, method: str = "GET") -> Iterator[http.client.HTTPResponse]:
    """An answer that is not read yet; the client goes at the end."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as connection:
        connection.request(method, path)
        with closing(connection.getresponse()) as answer:
            yield answer


def test_each_piece_arrives_while_the_application_waits(server: Server) -> None:
    with asked(server, "/pieces") as answer:
        assert (answer.status, answer.headers["Transfer-Encoding"], answer.headers["Content-Length"]) == (200, "chunked", None)
        for number in range(3):
            assert answer.read1(65536) == b"piece %d" % number
            (server.folder / f"go-{number}").touch()
        assert answer.read() == b""
    wait_until((server.folder / "closed").exists, "the end of the iterable")


def test_the_application_waits_for_a_client_that_reads_slowly(server: Server) -> None:
    """What waits is in buffers of the kernel, and little more: 10 MB at most of a stream without end."""
    with asked(server, "/endless") as answer:
        for received in range(40):
            assert int((server.folder / "count").read_text() or 0) - received < 20
            assert len(answer.read(1_000_000)) == 1_000_000


@pytest.mark.parametrize("path", ["/endless", "/slow"])
def test_an_answer_ends_with_its_client(server: Server, path: str) -> None:
    """Where the application waits for it, and where it does not."""
    with asked(server, path) as answer:
        assert answer.read(10)
    wait_until((server.folder / "closed").exists, "the end of the iterable")
    assert server.ask("/written")[0] == 200


def test_a_large_answer_keeps_no_thread_when_the_application_has_said_all(server: Server) -> None:
    """Clients that do not read, more than there are threads."""
    opened = []
    try:
        for _ in range(40):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
            opened.append(connection)
            connection.request("GET", "/large")
        assert server.ask("/written") == (200, b"one two")
    finally:
        for connection in opened:
            connection.close()


def test_what_wsgi_has_besides(server: Server) -> None:
    assert server.ask("/changed") == (409, b"conflict")
    assert server.ask("/silent") == (500, b"500: Internal Server Error")
    assert server.ask("/none") == (204, b"")
    assert server.ask("/same") == (304, b"")
    assert server.ask("/size", "HEAD") == (200, b"")
    with asked(server, "/size") as answer:
        assert (answer.headers["Content-Length"], answer.headers["Transfer-Encoding"]) == ("1", None)
    with pytest.raises(http.client.IncompleteRead):
        server.ask("/short")
    for path, headers in (("/none", ()), ("/same", ("ETag",))):
        with asked(server, path) as answer:
            assert not answer.headers["Content-Length"]
            assert all(answer.headers[name] for name in headers)


def test_a_request_may_have_what_nginx_lets_through(server: Server) -> None:
    """Tornado itself takes 100 MB."""
    assert server.ask("/size", "POST", bytes(110_000_000)) == (200, b"110000000")
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as connection:
        connection.putrequest("POST", "/size")
        connection.putheader("Content-Length", "120000001")
        connection.endheaders()
        assert connection.getresponse().status == 400


@pytest.mark.parametrize(("size", "given"), [("50m", "52428800"), ("1G", "1073741824"), ("64k", "65536"), ("1000", "1000"), ("0", "0")])
def test_the_launcher_is_told_what_nginx_lets_through(size: str, given: str) -> None:
    app = make_plan({"shop": {"source": "app", "wsgi": "shop.web:app", "client_max_body_size": size}})["shop"]
    assert app["argv"][-1] == f"--max-body={given}"
    known = subprocess.run([*LAUNCH, "--help"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    assert "--max-body BYTES" in known
