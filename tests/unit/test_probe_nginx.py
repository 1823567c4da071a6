"""probe_nginx, of a server on a port of the test."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import plugin
from tests.unit.conftest import make_plan, make_slot, process, render, run_module, utils, wait_until

probe = plugin("modules", "probe_nginx")
YEAR = "public, max-age=31536000, immutable"
# Path -> how long it may be kept.
STATIC = {
    "/static/good.css?v=1": YEAR,
    "/static/good.css": "no-cache",
    "/static/a%20%C3%BC%23.css?v=1": "max-age=315360000",
    "/static/a%20%C3%BC%23.css": "max-age=3600",
    "/static/forgotten.css?v=1": "no-cache",
    "/static/forgotten.css": "no-cache",
    "/static/bare.css?v=1": "",
    "/static/bare.css": "",
    "/static/stale.css?v=1": YEAR,
    "/static/stale.css": "max-age=315360000",
}


class Answers(BaseHTTPRequestHandler):
    """/<status>: that status; /static/: a file; the host's name is what it says of the slot."""

    def do_GET(self) -> None:  # the name is the base class's
        host = self.headers["Host"]
        asked = self.path.endswith("/.tornado_app/slot")
        if asked or self.path in STATIC:
            self.send_response(200)
        else:
            self.send_response(404 if "/static/" in self.path else int(self.path[-3:]))
        self.send_header("Cache-Control", STATIC.get(self.path, f"for {host} at {self.path}"))
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
    """Ask for these health paths, meant to be answered by green."""
    return run_module("probe_nginx", slots=[healthy_at(path, host=host) for path in paths], port=port)


def healthy_at(path: str, **changed: Any) -> dict[str, Any]:
    """A green slot with this health path."""
    return make_slot(name="green", health_url=path, **changed)


def test_each_request_gets_the_answer_to_its_path_and_host(port: int) -> None:
    paths = [f"/{200 + number}" for number in range(20)]
    result = ask(port, *paths)
    assert [(answer["path"], answer["status"]) for answer in result["answers"]] == [(path, int(path[1:])) for path in paths]
    assert [answer["cache_control"] for answer in result["answers"]] == [f"for green at {path}" for path in paths]
    assert {(answer["slot"], answer["error"]) for answer in result["answers"]} == {("green", "")}
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


# Static files


def ask_static(port: int, file: str) -> dict[str, Any]:
    """Ask for an app of which green is live, and for a static file of it, whose version is 1."""
    files = {name: {"path": path, "version": "1"} for name, path in (("shop", file), ("api", "x.css"))}
    return run_module("probe_nginx", slots=[healthy_at("/200", host="green")], static_files=files, port=port)


@pytest.mark.parametrize(("file", "url"), [("good.css", "good.css"), ("a ü#.css", "a%20%C3%BC%23.css")])
def test_a_static_file_is_asked_for_with_a_version_and_without(port: int, file: str, url: str) -> None:
    """It may belong to either slot: only the health path has one that is meant."""
    result = ask_static(port, file)
    assert not result.get("failed")
    assert [(answer["path"], answer["slot"], answer["cache_control"]) for answer in result["answers"]] == [
        ("/200", "green", "for green at /200"),
        (f"/static/{url}?v=1", "", STATIC[f"/static/{url}?v=1"]),
        (f"/static/{url}", "", STATIC[f"/static/{url}"]),
    ]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("forgotten.css", "/static/forgotten.css?v=1 has Cache-Control 'no-cache', too short"),
        ("bare.css", "/static/bare.css?v=1 has Cache-Control '', too short"),
        ("stale.css", "/static/stale.css has Cache-Control 'max-age=315360000', too long"),
    ],
)
def test_a_static_file_that_is_kept_too_short_or_too_long_is_named(port: int, file: str, said: str) -> None:
    result = ask_static(port, file)
    assert result["failed"]
    assert result["msg"] == f"shop through nginx (Host: green): {said}"


def test_a_static_file_that_is_not_there_is_named_whatever_its_header(port: int) -> None:
    result = ask_static(port, "gone.css")
    assert result["msg"].splitlines() == [
        f"shop through nginx (Host: green): /static/gone.css{version} answered 404" for version in ("?v=1", "")
    ]


@pytest.mark.parametrize(
    ("header", "age"),
    [
        (YEAR, 31536000),
        ("max-age=60", 60),
        ("no-cache", 0),
        ("", 0),
        ("s-maxage=60", 0),
        ("max-age=soon", 0),
        ("max-age", 0),
        ("private,max-age=5", 5),
        ("max-age=\N{SUPERSCRIPT TWO}", 0),
        (f"max-age={'9' * 5000}", 0),
    ],
)
def test_max_age(header: str, age: int) -> None:
    assert probe.max_age(header) == age


def test_the_paths_of_an_app_are_below_its_prefix(port: int) -> None:
    slots = [healthy_at("/shop/200", prefix="/shop", host="green")]
    health, *static = run_module("probe_nginx", slots=slots, static_files={"shop": {"path": "a.css", "version": "1"}}, port=port)["answers"]
    assert (health["path"], health["cache_control"], health["slot"]) == ("/shop/200", "for green at /shop/200", "green")
    assert [answer["path"] for answer in static] == ["/shop/static/a.css?v=1", "/shop/static/a.css"]


def test_nobody_answers() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        free = server.server_port
    result = ask(free, "/200")
    assert (result["failed"], result["answers"][0]["status"]) == (True, 0)
    assert "Connection refused" in result["msg"]


def test_nothing_to_ask_for() -> None:
    assert run_module("probe_nginx", slots=[], port=1)["answers"] == []


# Somebody else's site that has the name of an app


def ask_beside(port: int, sites: Path, host: str = "a page") -> dict[str, Any]:
    """Ask for shop, whose site is one of these."""
    return run_module("probe_nginx", slots=[healthy_at("/200", host=host)], port=port, sites=str(sites))


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
    assert probe.names_slot(tmp_path, "shop", "/.tornado_app/slot")
    assert probe.names_slot(tmp_path, "api", "/api/.tornado_app/slot")
    assert not probe.names_slot(tmp_path, "api", "/elsewhere/.tornado_app/slot")
    assert not probe.names_slot(tmp_path, "ap", "/api/.tornado_app/slot")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_who_listens_has_to_be_root(ports: Callable[[int], list[int]]) -> None:
    (number,) = ports(1)
    with process("/usr/bin/python3", "-m", "http.server", str(number), "--bind", "127.0.0.1", user="nobody", cwd="/") as running:
        wait_until(lambda: utils("proc").reached({number}) or running.poll() is not None, "the server")
        result = run_module("probe_nginx", slots=[make_slot()], port=number)
    assert f"shop through nginx: who listens on port {number} is of user id " in result["msg"]
