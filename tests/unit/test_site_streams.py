"""An answer reaches the client piece by piece, as the app sends it; one that is large does not keep the app, when the app says so."""

from __future__ import annotations

import http.client
import itertools
import json
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext

import pytest

from tests.unit.conftest import PATIENCE, wait_until
from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture

HOST = {"Host": "api.example.com"}
names = map(str, itertools.count())


@contextmanager
def asked(site: Site, path: str, **headers: str) -> Iterator[http.client.HTTPConnection]:
    """A connection with a request to the one process of api, whose answer is not read yet."""
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)) as connection:
        connection.request("GET", path, headers={**HOST, **{name.replace("_", "-"): value for name, value in headers.items()}})
        yield connection


def tell(site: Site, name: str) -> None:
    """Tell the process that the client has something."""
    assert site.ask(f"/told/{name}", "POST", host="api.example.com")[0].status == 200


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize("kind", ["text/event-stream", "text/plain", "application/json", "application/x-ndjson", "text/html"])
def test_each_piece_arrives_while_the_app_waits(site: Site, kind: str, encoding: str, near: bool) -> None:
    """The app goes on when the client has the one before: no piece waits for the next."""
    name = next(names)
    with site.near_reload() if near else nullcontext(), asked(site, f"/pieces/{name}?type={kind}", Accept_Encoding=encoding) as connection:
        answer = connection.getresponse()
        assert answer.status == 200
        compressed = answer.headers["Content-Encoding"] == "gzip"
        assert compressed == (encoding == "gzip" and kind not in ("text/event-stream", "application/x-ndjson"))
        unpack = zlib.decompressobj(31)
        for number in range(3):
            found = b""
            while not found.endswith(b"\n"):
                came = answer.read1(65536)
                assert came
                found += unpack.decompress(came) if compressed else came
            assert found == f"piece {number}\n".encode()
            tell(site, f"{name}/{number}")
        assert unpack.decompress(answer.read()) == b"" if compressed else answer.read() == b""


def test_a_long_poll_is_answered_when_the_app_does(site: Site) -> None:
    """Others come to the same process meanwhile."""
    name = next(names)
    with asked(site, f"/whole/{name}", Accept_Encoding="gzip") as connection:
        assert site.tell("/meanwhile", host="api.example.com")["uri"] == "/meanwhile"
        tell(site, name)
        assert json.loads(connection.getresponse().read()) == {"told": name}


def test_nginx_takes_an_answer_off_the_app_that_asks_for_it(site: Site) -> None:
    """Though its client has not read it: a slow download keeps no process, and no drain waits for it."""
    name = next(names)

    def done() -> bool:
        return bool(json.loads(site.ask(f"/told/{name}", host="api.example.com")[1]))

    with asked(site, f"/large/{name}") as connection:
        wait_until(done, "the app's end of the answer")
        answer = connection.getresponse()
        assert len(answer.read()) == 20_000_000
        assert "X-Accel-Buffering" not in answer.headers


@pytest.mark.parametrize(("size", "status"), [(15_500, 200), (17_000, 502)])
def test_headers_of_an_answer_may_have_16_kib(site: Site, size: int, status: int) -> None:
    answer, _ = site.ask(f"/?large={size}", host="api.example.com")
    assert (answer.status, len(answer.headers["X-Large"] or "")) == (status, size if status == 200 else 0)
