"""nginx_config: a running nginx is reloaded when it needs it, and clients are asked to close before."""

from __future__ import annotations

import http.client
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.conftest import PATIENCE, process, run_module, utils, wait_until
from tests.unit.nginx_host import Host, host, own, site

__all__ = ["host"]  # a fixture


def test_no_reload_for_what_is_loaded(host: Host, nginx: Path) -> None:
    """The recorded digest decides: the same workers go on."""
    assert host.run({"conf.d/new.conf": "# new\n"})["changed"]
    with process(nginx, "-e", "stderr", "-c", host.root / "nginx.conf", "-g", "daemon off;") as master:
        wait_until(lambda: own.master() == master.pid and utils("proc").children(master.pid), "nginx's workers")
        workers = utils("proc").children(master.pid)
        result = host.run({"conf.d/new.conf": "# new\n"})
        assert (result.get("failed", False), result["changed"], result["reloaded"]) == (False, False, False)
        assert utils("proc").children(master.pid) == workers


@pytest.fixture
def systemd(host: Host, nginx: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The same nginx, and it runs; in the place of systemd, which a test cannot have, a script that passes a reload on to it.

    The process id of its master.
    """
    script = host.folder / "bin/systemctl"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\n[ "$*" = "reload nginx.service" ] && kill -HUP "$(cat {host.folder}/nginx.pid)"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    with process(nginx, "-e", "stderr", "-c", host.root / "nginx.conf", "-g", "daemon off;") as running:
        wait_until(lambda: own.master() == running.pid and utils("proc").children(running.pid), "nginx's workers")
        yield running.pid


def status(port: int) -> int:
    """What nginx answers."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().status


def test_reload(host: Host, systemd: int) -> None:
    """When it returns, the new configuration serves; also one that somebody else wrote, or an earlier run that was cut short."""
    assert status(host.port) == 200
    before = utils("proc").children(systemd)
    first = host.run({"conf.d/site.conf": site(204, host.port)}, closing=str(host.folder / "run/closing"))
    assert (first.get("failed", False), first["changed"], first["reloaded"]) == (False, True, True)
    assert set(utils("proc").children(systemd)) - set(before)
    wait_until(lambda: status(host.port) == 204, "the new configuration")
    (host.root / "conf.d/site.conf").write_text(site(205, host.port))
    second = host.run(closing=str(host.folder / "run/closing"))
    assert (second["changed"], second["reloaded"], second["diff"]) == (True, True, [])
    wait_until(lambda: status(host.port) == 205, "what somebody else wrote")
    assert not host.run(closing=str(host.folder / "run/closing"))["changed"]
    assert not (host.folder / "run/closing").exists()


@pytest.mark.usefixtures("systemd")
def test_what_nginx_cannot_listen_on_is_taken_back(host: Host) -> None:
    """It judges no port before it listens; and its next start would fail."""
    before = (host.root / "conf.d/site.conf").read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = {"conf.d/site.conf": site(204, host.port), "conf.d/more.conf": site(204, taken.getsockname()[1])}
        result = host.run(wanted, closing=str(host.folder / "run/closing"), timeout=2)
    assert result["msg"].endswith("; the former configuration is back on disk")
    assert (host.root / "conf.d/site.conf").read_text() == before
    assert not (host.root / "conf.d/more.conf").exists()
    assert status(host.port) == 200


@pytest.mark.usefixtures("systemd")
def test_clients_are_asked_to_go_and_waited_for(host: Host) -> None:
    """Those that are there at the beginning; a deadline that passes is no failure."""
    asked = host.folder / "closing"
    with socket.create_connection(("127.0.0.1", host.port), timeout=PATIENCE) as connection:
        wait_until(lambda: utils("proc").peers(host.port), "the connection")
        assert run_module("let_clients_go", check=True, timeout=PATIENCE, closing=str(asked))["left"] == 0
        assert not asked.exists()
        assert run_module("let_clients_go", timeout=0.1, closing=str(asked))["left"] == 1
        assert asked.exists()
        threading.Timer(0.5, connection.close).start()
        assert run_module("let_clients_go", timeout=PATIENCE, closing=str(asked))["left"] == 0


def test_reload_waits_for_clients(host: Host, systemd: int) -> None:
    """Who has a connection to any of nginx's ports is asked to close it, and until then the old workers stay."""
    asked, before = host.folder / "closing", utils("proc").children(systemd)
    seen: list[tuple[bool, list[int]]] = []

    def leave() -> None:
        wait_until(asked.exists, "the file that asks clients to close")
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        seen.append((connection.recv(1000).startswith(b"HTTP/1.1 200"), utils("proc").children(systemd)))
        connection.close()

    with socket.create_connection(("127.0.0.1", host.port), timeout=PATIENCE) as connection:
        wait_until(lambda: utils("proc").peers(host.port), "the connection")
        client = threading.Thread(target=leave)
        client.start()
        try:
            result = host.run({"conf.d/site.conf": site(204, host.port)}, closing=str(asked), keepalive_timeout=PATIENCE)
        finally:
            client.join()
    assert (result["reloaded"], seen) == (True, [(True, before)])
    assert result.get("failed", False) is False
    assert not asked.exists()


@pytest.mark.usefixtures("systemd")
def test_reload_waits_for_no_client_for_ever(host: Host) -> None:
    with socket.create_connection(("127.0.0.1", host.port), timeout=PATIENCE):
        wait_until(lambda: utils("proc").peers(host.port), "the connection")
        result = host.run({"conf.d/site.conf": site(204, host.port)}, closing=str(host.folder / "closing"), keepalive_timeout=0.2)
    assert result["reloaded"]


@pytest.mark.usefixtures("systemd")
def test_reload_that_fails(host: Host) -> None:
    """Clients are not asked to close for ever, and the next run tries again."""
    script = host.folder / "bin/systemctl"
    good = script.read_text()
    script.write_text("#!/bin/sh\necho no such unit >&2; exit 1\n")
    result = host.run({"conf.d/site.conf": site(204, host.port)}, closing=str(host.folder / "closing"))
    assert result["failed"]
    assert "no such unit" in result["msg"]
    assert not (host.folder / "closing").exists()
    script.write_text(good)
    assert host.run({"conf.d/site.conf": site(204, host.port)}, closing=str(host.folder / "closing"))["reloaded"]
    wait_until(lambda: status(host.port) == 204, "the new configuration")


def test_master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "PID_FILE", tmp_path / "nginx.pid")
    assert own.master() == 0
    with process(sys.executable, "-c", "pass") as short:
        short.wait()
    for text, pid in (("", 0), ("soon", 0), (f"{short.pid}\n", 0), (f"{os.getpid()}\n", os.getpid())):
        (tmp_path / "nginx.pid").write_text(text)
        assert own.master() == pid
