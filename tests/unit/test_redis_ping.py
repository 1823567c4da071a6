"""Redis as the apps' hosts reach it: with the URL of an app, over TLS too, and what is said when it does not answer."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import redis as of_fleet
from tests.unit.certified import authority
from tests.unit.conftest import run_module
from tests.unit.redis_host import FLEET, RedisHost

APPS = {"shop": ["*"]}


@pytest.fixture
def host(tmp_path: Path, ports: Callable[[int], list[int]]) -> RedisHost:
    return RedisHost(tmp_path, ports(1)[0])


def slot(folder: Path, **secrets: str) -> dict[str, str]:
    """A slot whose processes got these secrets."""
    path = folder / "secrets.json"
    path.write_text(json.dumps(secrets))
    return {"app": "shop", "secrets": str(path)}


def url(host: RedisHost, secret: str = FLEET, **tls: str) -> str:
    """What the role gives the app, but for the port."""
    found = of_fleet.Redis(host="redis-1", address="127.0.0.1", secret=secret, tls=tls)
    return of_fleet.url(found, "shop", secret, str(host.root)).replace(":6379/", f":{host.port}/")


def ping(folder: Path, **secrets: str) -> str:
    """What is wrong."""
    (answer,) = run_module("redis_ping", slots=[slot(folder, **secrets)])["answers"]
    assert answer["app"] == "shop"
    assert "redis_password" not in str(answer)
    return str(answer["error"])


def test_redis_answers_the_url_of_an_app(host: RedisHost, tmp_path: Path) -> None:
    host.configure(APPS)
    with host.running():
        assert redis.Redis.from_url(url(host)).ping()
        assert ping(tmp_path, REDIS_URL=url(host)) == ""


def test_a_password_of_before_is_told_with_the_way_out(host: RedisHost, tmp_path: Path) -> None:
    host.configure(APPS)
    with host.running():
        found = ping(tmp_path, REDIS_URL=url(host, "x" * 32))
    assert found.startswith(f"shop is refused by Redis at 127.0.0.1:{host.port}: WRONGPASS ")
    assert found.endswith("; run --tags provision,deploy, which bring both to one password")


def test_urls_are_tried_before_they_are_given_out(host: RedisHost) -> None:
    """A server that does not answer is asked once, whichever app comes next."""
    host.configure(APPS)
    with host.running():
        tried = run_module("redis_ping", urls={"shop": url(host), "api": url(host).replace("shop:", "api:")})["answers"]
    assert [answer["error"][:14] for answer in tried] == ["", "api is refused"]
    with socket.create_server(("127.0.0.1", host.port)) as silent:
        gone = run_module("redis_ping", urls={"shop": url(host), "api": url(host)})["answers"]
        silent.settimeout(1)
        silent.accept()
        with pytest.raises(TimeoutError):
            silent.accept()
    assert [answer["error"].partition(" at ")[0] for answer in gone] == ["shop does not reach Redis", "api does not reach Redis"]


def test_one_that_does_not_answer_is_told_with_the_way_out(host: RedisHost, tmp_path: Path) -> None:
    assert ping(tmp_path, REDIS_URL=url(host)) == (
        f"shop does not reach Redis at 127.0.0.1:{host.port}: [Errno 111] Connection refused; "
        "see --tags status, redis_bind and the firewall between them"
    )
    assert ping(tmp_path) == "shop has no REDIS_URL yet; run --tags provision,deploy"


@contextmanager
def talking(said: bytes) -> Iterator[int]:
    """Somebody who says this to whoever comes, on a port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it is not Redis that answers"),
        (b"", "the connection is closed without an answer"),
        (b"$99999999999\r\n", "the answer is too long"),
        (b":\xff\r\n", "invalid literal for int"),
    ],
)
def test_somebody_else_who_answers_is_no_redis(tmp_path: Path, said: bytes, reason: str) -> None:
    with talking(said) as port:
        assert f": {reason}" in ping(tmp_path, REDIS_URL=f"redis://shop:x@127.0.0.1:{port}/0")


def serve_tls(host: RedisHost, *names: str) -> None:
    leaf = authority().leaf(*names)
    (host.root / of_fleet.CA).write_text(authority().root.pem)
    host.configure(APPS, pem=leaf.pem + authority().intermediate.pem + leaf.key_pem)


def test_tls_is_checked_by_the_file_of_the_url(host: RedisHost, tmp_path: Path) -> None:
    """And the port takes nothing else then."""
    serve_tls(host, "127.0.0.1")
    with host.running():
        wanted = url(host, certificate="c", key="k", ca="ca")
        assert wanted.startswith("rediss://shop:")
        assert wanted.endswith(f"?ssl_cert_reqs=required&ssl_ca_certs={host.root}/redis_ca.pem")
        assert redis.Redis.from_url(wanted).set("x", "1")
        assert ping(tmp_path, REDIS_URL=wanted) == ""
        assert "does not reach" in ping(tmp_path, REDIS_URL=url(host))
        assert "CERTIFICATE_VERIFY_FAILED" in ping(tmp_path, REDIS_URL=url(host, certificate="c", key="k"))
        assert host.info()["running"]  # by its socket


def test_a_certificate_for_another_name_is_refused(host: RedisHost, tmp_path: Path) -> None:
    serve_tls(host, "redis.example.com")
    wanted = url(host, certificate="c", key="k", ca="ca")
    with host.running():
        assert "CERTIFICATE_VERIFY_FAILED" in ping(tmp_path, REDIS_URL=wanted)
        with pytest.raises(redis.exceptions.ConnectionError):
            redis.Redis.from_url(wanted).ping()


def test_another_certificate_is_another_file_and_asks_for_a_restart(host: RedisHost) -> None:
    serve_tls(host, "127.0.0.1")
    with host.running():
        result: dict[str, Any] = host.configure(APPS, pem="another", pem_file="d.pem")
    assert result["restart"]
    assert [path.name for path in host.directory.glob("*.pem")] == ["d.pem"]


def test_the_urls_that_slots_have_are_read(tmp_path: Path) -> None:
    slots = [slot(tmp_path, REDIS_URL="redis://x"), {"app": "api", "secrets": str(tmp_path / "none")}]
    assert run_module("redis_urls_info", slots=slots)["urls"] == {"shop": "redis://x", "api": ""}
