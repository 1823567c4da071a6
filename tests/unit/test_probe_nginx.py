"""ask_nginx, of a server on a port of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import make_plan, render, run_module
from tests.unit.loading import load


class Answers(BaseHTTPRequestHandler):
    """/<status>: that status; the host's name is what it says of the slot."""

    def do_GET(self) -> None:  # the name is the base class's
        host = self.headers["Host"]
        asked = self.path == "/.tornado_app/slot"
        self.send_response(200 if asked else int(self.path[1:]))
        self.send_header("Cache-Control", f"for {host}")
        self.send_header("Location", "/500")
        self.end_headers()
        self.wfile.write(host.encode() if asked else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def ask(port: int, *paths: str, host: str = "green") -> dict[str, Any]:
    """Ask for these paths, meant to be answered by green."""
    return run_module("probe_nginx", requests=[{"app": "shop", "host": host, "path": path, "slot": "green"} for path in paths], port=port)


def test_each_request_gets_the_answer_to_its_path_and_host(port: int) -> None:
    paths = [f"/{200 + number}" for number in range(20)]
    result = ask(port, *paths)
    assert [(answer["path"], answer["status"]) for answer in result["answers"]] == [(path, int(path[1:])) for path in paths]
    assert {(answer["slot"], answer["cache_control"], answer["error"]) for answer in result["answers"]} == {("green", "for green", "")}
    assert not result["changed"]


@pytest.mark.parametrize("path", ["/302", "/399"])
def test_a_redirect_is_an_answer_and_not_followed(port: int, path: str) -> None:
    (answer,) = ask(port, path)["answers"]
    assert answer["error"] == ""


@pytest.mark.parametrize(
    ("path", "host", "said"),
    [
        ("/404", "green", "/404 answered 404"),
        ("/503", "green", "/503 answered 503"),
        ("/200", "blue", "nginx sends requests to the slot blue instead of green"),
    ],
)
def test_a_wrong_answer_fails_and_is_named(port: int, path: str, host: str, said: str) -> None:
    result = ask(port, path, host=host)
    assert result["failed"]
    assert result["msg"] == result["answers"][0]["error"] == f"shop through nginx (Host: {host}): {said}"


def test_what_is_right_is_told_beside_what_is_wrong(port: int) -> None:
    result = ask(port, "/200", "/500")
    assert [answer["error"] for answer in result["answers"]] == ["", result["msg"]]


def test_a_site_that_does_not_name_the_slot_is_no_failure(port: int) -> None:
    """One that was installed by an older version of the role: an emergency is no time to insist."""
    assert ask(port, "/200", host="a page of the app")["answers"][0]["slot"] == ""


def test_the_slot_is_asked_for_where_one_is_meant(port: int) -> None:
    (answer,) = run_module("probe_nginx", requests=[{"app": "shop", "host": "blue", "path": "/200"}], port=port)["answers"]
    assert (answer["slot"], answer["error"]) == ("", "")


def test_nobody_answers() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        free = server.server_port
    result = ask(free, "/200")
    assert (result["failed"], result["answers"][0]["status"]) == (True, 0)
    assert "Connection refused" in result["msg"]


def test_nothing_to_ask_for() -> None:
    assert run_module("probe_nginx", requests=[], port=1)["answers"] == []


# Somebody else's site that has the name of an app


def ask_beside(port: int, sites: Path, host: str = "a page", **request: str) -> dict[str, Any]:
    """Ask for shop, whose site is one of these."""
    requests = [{"app": "shop", "host": host, "path": "/200", "slot": "green", **request}]
    return run_module("probe_nginx", requests=requests, port=port, sites=str(sites))


def test_a_site_that_would_name_the_slot_and_does_not_answer_is_named(port: int, tmp_path: Path) -> None:
    """The site as the role's template makes it, and in its place one that answers all paths."""
    plan = make_plan({"shop": {"source": "a", "server_names": ["x.test"]}, "api": {"source": "a", "server_names": ["y.test"]}})
    for app in plan.values():
        (tmp_path / f"{app['name']}.conf").write_text(render("nginx_site.conf.j2", {"apps": [app]}))
    result = ask_beside(port, tmp_path)
    said = "somebody else's site answers, not the app's (/.tornado_app/slot names no slot); nginx -T shows which other file has that name"
    assert result["msg"] == f"shop through nginx (Host: a page): {said}"
    assert not ask_beside(port, tmp_path, host="green").get("failed")
    # Of the app's own file only, and one that is older names none.
    (tmp_path / "shop.conf").write_text("log_format tornado_app_shop escape=json '';\n# f\u00fcr alle\n", encoding="latin-1")
    assert not ask_beside(port, tmp_path).get("failed")
    (tmp_path / "shop.conf").unlink()
    assert not ask_beside(port, tmp_path).get("failed")


def test_a_site_that_several_apps_share_is_that_of_each(tmp_path: Path) -> None:
    shared = {"source": "a", "server_names": ["x.test"]}
    plan = make_plan({"shop": shared, "api": {**shared, "path": "/api/"}})
    (tmp_path / "shop.conf").write_text(render("nginx_site.conf.j2", {"apps": list(plan.values())}))
    names_slot = plugin("modules", "probe_nginx").names_slot
    assert names_slot(tmp_path, "shop", "/.tornado_app/slot")
    assert names_slot(tmp_path, "api", "/api/.tornado_app/slot")
    assert not names_slot(tmp_path, "api", "/elsewhere/.tornado_app/slot")
    assert not names_slot(tmp_path, "ap", "/api/.tornado_app/slot")
