"""What a client gets."""

import gzip
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host
from tornado.httpclient import HTTPResponse
from tornado.httputil import HTTPHeaders
from websockets.sync.client import connect
from websockets.typing import Origin

Fetch = Callable[..., HTTPResponse]
FOR_EVER = "public, max-age=31536000, immutable"
MEGABYTE = 1024 * 1024


def max_age(headers: HTTPHeaders) -> int:
    found = re.search(r"max-age=(\d+)", headers.get("Cache-Control", ""))
    return int(found.group(1)) if found else 0


def test_every_process_answers(info: Callable[[], dict[str, Any]], cpus: int) -> None:
    answers = [info() for _ in range(20)]
    assert {answer["port"] for answer in answers} == set(range(8000, 8000 + cpus))
    assert {answer["slot"] for answer in answers} == {"blue"}


def test_the_app_sees_its_visitor(info: Callable[[], dict[str, Any]], own_address: str) -> None:
    assert info()["remote_ip"] == own_address


def test_a_visitor_cannot_claim_another_address(fetch: Fetch, own_address: str) -> None:
    forged = {"X-Real-IP": "192.0.2.1", "X-Forwarded-For": "192.0.2.1", "X-Scheme": "https", "X-Forwarded-Proto": "https"}
    answer = json.loads(fetch("/api/info", headers=forged).body)
    assert (answer["remote_ip"], answer["scheme"]) == (own_address, "http")


def test_an_unknown_host_name_gets_no_answer(fetch: Fetch) -> None:
    with pytest.raises(ConnectionResetError):
        fetch("/", headers={"Host": "unknown.example.com"}, raise_error=True)


def test_nginx_keeps_its_version_to_itself(fetch: Fetch) -> None:
    assert fetch("/static/app.css").headers["Server"] == "nginx"


def test_the_pages_static_urls_are_cached_for_ever(fetch: Fetch) -> None:
    urls = re.findall(r'(?:href|src)="(/static/[^"]+)"', fetch("/").body.decode())
    assert len(urls) >= 3
    for url in urls:
        assert "?v=" in url
        answer = fetch(url)
        assert answer.code == 200
        assert answer.headers.get_list("Cache-Control") == [FOR_EVER]
        assert url.partition("?v=")[2] in {hashlib.new(digest, answer.body).hexdigest() for digest in ("sha512", "md5")}


@pytest.mark.parametrize("digest", ["sha512", "md5"])
def test_a_version_is_the_content(fetch: Fetch, digest: str) -> None:
    plain = fetch("/static/app.css")
    answer = fetch(f"/static/app.css?v={hashlib.new(digest, plain.body).hexdigest()}")
    assert (answer.code, answer.body, answer.headers.get_list("Cache-Control")) == (200, plain.body, [FOR_EVER])
    assert answer.headers["Content-Type"] == "text/css"


@pytest.mark.parametrize("version", ["1", "0" * 128, "0" * 32])
def test_a_version_that_nobody_knows_is_asked_for_again(fetch: Fetch, version: str) -> None:
    answer = fetch(f"/static/app.css?v={version}")
    assert (answer.code, answer.headers.get_list("Cache-Control")) == (200, ["no-cache"])


def test_static_urls_without_version_are_asked_again(fetch: Fetch) -> None:
    answer = fetch("/static/app.css")
    assert answer.code == 200
    assert max_age(answer.headers) == 0
    assert answer.headers["Cache-Control"] == "no-cache"
    assert fetch("/static/app.css", headers={"If-None-Match": answer.headers["Etag"]}).code == 304


def test_every_process_sends_the_same_cache_headers_itself(host: Host, cpus: int) -> None:
    for port in range(8000, 8000 + cpus):
        versioned = host.check_output(f"{PYTHON_GET} http://127.0.0.1:{port}/static/app.css?v=1")
        plain = host.check_output(f"{PYTHON_GET} http://127.0.0.1:{port}/static/app.css")
        assert "max-age=315360000" in versioned
        assert "Expires: " in versioned
        assert "max-age" not in plain
        assert "Expires: " not in plain


PYTHON_GET = "python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).headers)'"


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/favicon.ico", "image/x-icon"), ("/robots.txt", "text/plain"), ("/apple-touch-icon.png", "image/png")],
)
def test_browsers_find_what_they_ask_for(fetch: Fetch, path: str, kind: str) -> None:
    answer = fetch(path)
    assert (answer.code, answer.headers["Content-Type"]) == (200, kind)


def test_what_is_not_on_disk_is_asked_from_the_app(fetch: Fetch) -> None:
    answer = fetch("/static/nothing.css?v=1")
    assert answer.code == 404
    assert max_age(answer.headers) == 0
    assert b"nginx" not in answer.body


def test_text_is_compressed(fetch: Fetch) -> None:
    plain = fetch("/static/app.css")
    answer = fetch("/static/app.css", headers={"Accept-Encoding": "gzip"}, decompress_response=False)
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(answer.body) == plain.body
    assert "Content-Encoding" not in fetch("/healthz", headers={"Accept-Encoding": "gzip"}, decompress_response=False).headers


@pytest.mark.parametrize("coding", ["gzip", "br"])
@pytest.mark.parametrize("versioned", [False, True], ids=["plain", "with a version"])
def test_static_files_were_compressed_at_the_installation(fetch: Fetch, root: Callable[[str], str], coding: str, versioned: bool) -> None:
    version = f"?v={hashlib.sha512(fetch('/static/app.css').body).hexdigest()}" if versioned else ""
    answer = fetch(f"/static/app.css{version}", headers={"Accept-Encoding": f"{coding}, deflate"}, decompress_response=False)
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == (coding, "Accept-Encoding")
    file = f"/srv/shop/slots/blue/static/app.css.{'gz' if coding == 'gzip' else coding}"
    assert hashlib.sha256(answer.body).hexdigest() == root(f"sha256sum {file}").split()[0]
    assert root(f"stat --format '%a %U:%G' {file}") == "644 root:shop"


def test_modules_have_the_type_that_browsers_want(fetch: Fetch, root: Callable[[str], str]) -> None:
    file = "/srv/shop/slots/blue/static/probe.mjs"
    root(f"install --mode 0644 /dev/null {file}")
    answer = fetch("/static/probe.mjs")
    root(f"rm {file}")
    assert (answer.code, answer.headers["Content-Type"]) == (200, "text/javascript")


def test_a_websocket_makes_the_round_trip(address: str) -> None:
    with connect(f"ws://{address}/ws", origin=Origin(f"http://{address}")) as websocket:
        for message in ("grüße", b"\x00\xff"):
            websocket.send(message)
            assert websocket.recv(timeout=10) == message


def test_an_upload_of_49_megabytes_passes(fetch: Fetch) -> None:
    body = b"0123456789abcdef" * (49 * MEGABYTE // 16)
    answer = fetch("/upload", method="POST", body=body)
    assert answer.code == 200
    assert json.loads(answer.body) == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_an_upload_of_51_megabytes_is_refused(fetch: Fetch) -> None:
    # Expect: 100-continue lets nginx refuse before the body is on its way.
    answer = fetch("/upload", method="POST", body=b"x" * (51 * MEGABYTE), expect_100_continue=True)
    assert answer.code == 413
