"""ask_nginx, of a server on a port of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.unit.conftest import run_module


class Answers(BaseHTTPRequestHandler):
    """/<status>/<slot>: that status, by that slot."""

    def do_GET(self) -> None:  # the name is the base class's
        _, status, *slot = self.path.split("/")
        self.send_response(int(status))
        self.send_header("Cache-Control", f"for {self.headers['Host']}")
        self.send_header("Location", "/500/")
        if slot:
            self.send_header("X-Tornado-App-Slot", slot[0])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def ask(port: int, *paths: str) -> dict[str, Any]:
    """Ask for these paths, meant to be answered by green."""
    asked = [{"app": "shop", "host": "shop.test", "path": path, "slot": "green"} for path in paths]
    return run_module("ask_nginx", requests=asked, port=port)


def test_each_request_gets_the_answer_to_its_path_and_host(port: int) -> None:
    paths = [f"/{200 + number}/green" for number in range(20)]
    result = ask(port, *paths)
    assert [(answer["path"], answer["status"]) for answer in result["answers"]] == [(path, int(path[1:4])) for path in paths]
    assert {answer["cache_control"] for answer in result["answers"]} == {"for shop.test"}
    assert not result["changed"]


@pytest.mark.parametrize("path", ["/302/green", "/399/green"])
def test_a_redirect_is_an_answer_and_not_followed(port: int, path: str) -> None:
    (answer,) = ask(port, path)["answers"]
    assert answer["error"] == ""


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/404/green", "/404/green answered 404"),
        ("/503/green", "/503/green answered 503"),
        ("/200/blue", "/200/blue was answered by the slot blue instead of green"),
        ("/200", "/200 was answered by no slot instead of green"),
    ],
)
def test_a_wrong_answer_fails_and_is_named(port: int, path: str, said: str) -> None:
    result = ask(port, "/200/green", path)
    assert result["failed"]
    assert result["msg"] == f"shop through nginx (Host: shop.test): {said}"
    assert [answer["error"] for answer in result["answers"]] == ["", result["msg"]]


def test_nobody_answers() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        free = server.server_port
    result = ask(free, "/200/green")
    assert (result["failed"], result["answers"][0]["status"]) == (True, 0)
    assert "Connection refused" in result["msg"]


def test_nothing_to_ask_for() -> None:
    assert run_module("ask_nginx", requests=[], port=1)["answers"] == []
