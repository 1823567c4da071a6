"""What a site does by the settings of its apps: other names, headers, limits, pages of errors, lines of an operator's own."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import PATIENCE, wait_until
from tests.unit.running_site import Site

ODD = """it's $uri, "${host}" \\ $$ {;} #; %"""
NOT_HERE: dict[str, Any] = {"source": "127.0.0.2"}  # another machine, for nginx
SETTINGS: dict[str, dict[str, Any]] = {
    "shop": {
        "redirect_names": ["old.example.com", "*.old.example.com"],
        "response_headers": {"X-Frame-Options": "DENY", "X-Odd": ODD, "X-Content-Type-Options": "nosniff", "x-number": 1},
        "error_pages": {502: "errors/502.html", "413": "errors/413.html", "504": "errors/none.html"},
        "nginx_server": 'location = /own {\n    return 200 "own {";\n}\n',
        "nginx_location": 'if ($arg_own) {\n    return 402 "own";\n}\nproxy_buffering off;',
        "proxy_read_timeout": 1,
    },
    "admin-2": {
        "redirect_names": ["old-admin.example.com"],
        "nginx_server": "location = /own-2 { return 204; }",
        "limits": {"rate": 1, "burst": 2},
        "error_pages": {"429": "errors/429.html", "503": "errors/503.html"},
    },
    "api": {"limits": {"connections": 2}},
    "sock": {"path": "/sock/", "static": "static", "error_pages": {"404": "errors/404.html"}},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nginx: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        made = Site(tmp_path_factory.mktemp("site"), nginx, stack, settings=SETTINGS)
        for app, slot in (("shop", "blue"), ("shop", "green"), ("admin-2", "blue"), ("admin-2", "green"), ("sock", "blue")):
            slots = Path(made.plan[app]["slots"][slot]["cwd"])
            errors = (slots if slots.exists() else made.release(app, slot)) / "static/errors"
            errors.mkdir(parents=True)
            for status in (404, 413, 429, 502, 503):
                (errors / f"{status}.html").write_text(f"{app} {slot} {status}\n")
        yield made


# Other names


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("host", "port"),
    [("old.example.com", ""), ("a.OLD.example.com:8443", ":8443"), ("old-admin.example.com:80", ""), ("old.example.com.", "")],
)
def test_another_name_leads_to_the_first_one(site: Site, host: str, port: str, method: str) -> None:
    """To the same URL, by the same method, on the port that the client has named."""
    answer, _ = site.ask("/a%20b//c?d=%2F&e", method, host=host, body=b"x" if method == "POST" else None)
    assert (answer.status, answer.headers["Location"]) == (308, f"http://shop.example.com{port}/a%20b//c?d=%2F&e")
    assert answer.headers["Connection"] == "close"  # none is cut by a reload


def test_another_name_leads_nowhere_else(site: Site) -> None:
    """Whatever the request line says."""
    elsewhere = "//elsewhere.example.com/x"
    for line, path in (("http://old.example.com/x", "/x"), ("http://old.example.com?x", "?x"), (elsewhere, elsewhere)):
        answer = site.raw(f"GET {line} HTTP/1.1\r\nHost: old.example.com\r\n\r\n".encode()).decode()
        assert f"\r\nLocation: http://shop.example.com{path}\r\n" in answer
    asked = site.unique("/led")
    assert site.ask(asked, host="deep.a.old.example.com")[0].status == 308
    entry = site.logged(asked)
    assert (entry["status"], entry["slot"]) == (308, "")


# Headers of answers


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 200),
        ("/?status=404", "GET", 404),
        ("/?status=500", "GET", 500),
        ("/?cut=1", "GET", 502),
        ("/static/app.css", "GET", 200),
        ("/static/.hidden", "GET", 403),
        ("/robots.txt", "GET", 200),
        ("/own", "GET", 200),
        ("/", "POST", 413),
    ],
)
def test_all_answers_of_an_app_have_its_headers(site: Site, path: str, method: str, status: int) -> None:
    answer, _ = site.ask(path, method, body=bytes(64 * 1024 + 1) if method == "POST" else None)
    assert answer.status == status
    found = {name: answer.headers.get_all(name) for name in ("X-Frame-Options", "X-Odd", "X-Content-Type-Options", "X-Number")}
    assert found == {
        "X-Frame-Options": ["DENY"],
        "X-Odd": [ODD],
        "X-Content-Type-Options": ["nosniff"],
        "X-Number": ["1"],
    }
    assert (answer.headers["X-Operator"] == "here") == (status == 200)  # an operator's own, for all sites


def test_answers_of_other_apps_have_none_of_them(site: Site) -> None:
    for host, path in (("shop.example.com", "/admin/v2.0/"), ("shop.example.com", "/admin/v2.0/static/app.css"), ("api.example.com", "/")):
        answer, _ = site.ask(path, host=host)
        assert (answer.status, answer.headers["X-Frame-Options"], answer.headers["X-Odd"]) == (200, None, None)
    assert site.ask("/admin/v2.0/static/app.css")[0].headers.get_all("X-Content-Type-Options") == ["nosniff"]


def test_what_the_app_says_under_such_a_name_is_dropped(site: Site) -> None:
    assert site.ask("/?header=X-Frame-Options:SAMEORIGIN")[0].headers.get_all("X-Frame-Options") == ["DENY"]
    other = site.ask("/admin/v2.0/?header=X-Frame-Options:SAMEORIGIN", host="shop.example.com")[0]
    assert other.headers.get_all("X-Frame-Options") == ["SAMEORIGIN"]


# Limits


def test_requests_above_the_rate_are_refused(site: Site) -> None:
    """Not those of another client, nor those of this machine, static files and the role's own paths."""

    def statuses(path: str, count: int = 12, **arguments: Any) -> set[int]:
        return {site.ask(path, **arguments)[0].status for _ in range(count)}

    asked = site.unique("/admin/v2.0/limited")
    answers = [site.ask(asked if number == 11 else "/admin/v2.0/", **NOT_HERE) for number in range(12)]
    assert [answer.status for answer, _ in answers[:3]] == [200, 200, 200]
    (last, body) = next(found for found in reversed(answers) if found[0].status == 429)
    assert body == b"admin-2 blue 429\n"
    assert last.headers["X-Frame-Options"] is None
    assert 429 in {answer.status for answer, _ in answers}
    assert statuses("/admin/v2.0/x", 2, source="127.0.0.3") == {200}
    assert statuses("/admin/v2.0/") == {200}
    assert statuses("/admin/v2.0/static/app.css", **NOT_HERE) == {200}
    assert statuses("/", **NOT_HERE) == {200}
    # What is not there is asked from the app, and counts.
    assert 429 in statuses("/admin/v2.0/static/none.css", **NOT_HERE)


def test_a_refused_request_is_in_the_log(site: Site) -> None:
    refused = []
    for _ in range(12):
        asked = site.unique("/admin/v2.0/logged")
        refused += [asked] if site.ask(asked, source="127.0.0.4")[0].status == 429 else []
    assert site.logged(refused[0], "admin-2")["status"] == 429


def test_requests_at_the_same_time_are_limited(site: Site) -> None:
    """For one address; an upload that is under way is one."""

    def upload(source: str) -> http.client.HTTPConnection:
        connection = stack.enter_context(
            closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE, source_address=(source, 0)))
        )
        connection.putrequest("POST", "/", skip_host=True)
        connection.putheader("Host", "api.example.com")
        connection.putheader("Content-Length", "2")
        connection.endheaders(b"a")
        return connection

    def status(source: str) -> int:
        return site.ask("/", host="api.example.com", source=source)[0].status

    with ExitStack() as stack:
        under_way = [upload("127.0.0.2") for _ in range(2)]
        wait_until(lambda: status("127.0.0.2") == 429, "the limit")
        assert status("127.0.0.3") == 200
        assert status("127.0.0.1") == 200
        for connection in under_way:
            connection.send(b"b")
            assert json.loads(connection.getresponse().read())["size"] == 2
        wait_until(lambda: status("127.0.0.2") == 200, "the end of what was under way")


# Pages of errors


def test_what_nginx_answers_itself_has_a_page_of_the_live_release(site: Site) -> None:
    for slot in ("blue", "green"):
        with site.green() if slot == "green" else ExitStack():
            answer, body = site.ask("/", "POST", body=bytes(64 * 1024 + 1))
            assert (answer.status, body) == (413, f"shop {slot} 413\n".encode())
    answer, body = site.ask("/?cut=1")
    assert (answer.status, body) == (502, b"shop blue 502\n")
    assert site.ask("/?cut=1", "HEAD")[1] == b""


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
def test_a_page_keeps_what_else_the_answer_says(site: Site, near: bool) -> None:
    """No process runs: a client may ask again."""
    with site.near_reload() if near else ExitStack():
        answer, body = site.ask("/sock/x", host="sock.example.com")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert b"nginx" in body  # this app has no page for that
    flag = Path(site.plan["admin-2"]["flag"])
    flag.parent.mkdir(exist_ok=True)
    flag.touch()
    try:
        with site.near_reload() if near else ExitStack():
            asked = site.unique("/admin/v2.0/x")
            answer, body = site.ask(asked, "POST", body=b"x" * 1000)
    finally:
        flag.unlink()
    assert (answer.status, answer.headers["Retry-After"], body) == (503, "5", b"admin-2 green 503\n")
    assert answer.headers["Connection"] == "close" or not near
    assert site.logged(asked, "admin-2")["status"] == 503


def test_what_the_app_answers_stays_its_own(site: Site) -> None:
    for status in (404, 502, 503):
        answer, body = site.ask(f"/?status={status}")
        assert (answer.status, body[:1]) == (status, b"{")


def test_a_page_that_is_not_there_is_nginxs_own_text(site: Site) -> None:
    answer, body = site.ask("/?hang=1")
    assert answer.status == 504
    assert b"504 Gateway Time-out" in body


def test_a_name_without_an_app_at_its_root_has_a_page(site: Site) -> None:
    answer, body = site.ask("/nobodys", host="sock.example.com")
    assert (answer.status, body) == (404, b"sock blue 404\n")


def test_nobody_asks_for_such_a_page_itself(site: Site) -> None:
    for path in ("/.tornado_app/error/502", "/.tornado_app/maintenance", "/.tornado_app/maintenance/page"):
        answer, body = site.ask(path, **NOT_HERE)
        assert b"shop blue" not in body
        assert answer.status in (200, 404)  # the last one is the app's, which has no page


# Lines of an operator's own


def test_lines_of_all_apps_of_a_name_are_in_its_server(site: Site) -> None:
    assert site.ask("/own")[1] == b"own {"
    assert site.ask("/own-2")[0].status == 204


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
def test_lines_for_the_location_are_where_requests_pass_to_the_app(site: Site, near: bool) -> None:
    with site.near_reload() if near else ExitStack():
        assert site.ask("/?own=1")[0].status == 402
        assert site.ask("/static/none.css?own=1")[0].status == 402
        assert site.ask("/static/app.css?own=1")[0].status == 200
        assert site.ask("/admin/v2.0/?own=1")[0].status == 200
        assert site.tell()["headers"]["X-Real-Ip"] == "127.0.0.1"
