"""The load generator as a process: how it starts and ends, and what it says when it breaks."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import tests.traffic
from tests.unit.loading import ROOT
from tests.traffic import KINDS, Account, Target, Traffic
from tests.unit.conftest import PATIENCE, held_ports, listens, process, wait_until

GENERATOR = (sys.executable, "-m", "tests.traffic")


@contextlib.contextmanager
def example_app() -> Iterator[tuple["subprocess.Popen[bytes]", Target]]:
    """The example app as a process of its own, once it listens."""
    with held_ports() as (port,):
        environment = {**os.environ, "TORNADO_APP_RELEASE": "r1"}
        command = (sys.executable, "app.py", f"--port={port}")
        with process(*command, cwd=ROOT / "files/app", env=environment, stdout=subprocess.DEVNULL) as running:
            wait_until(lambda: listens(port), "the app to listen")
            yield running, Target("web-1/shop", "127.0.0.1", "shop.test", port)


@pytest.fixture(scope="module")
def shop() -> Iterator[Target]:
    """One example app for all tests that leave it alone."""
    with example_app() as (_, target):
        yield target


def end(running: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, and wait until it has."""
    running.terminate()
    running.wait(PATIENCE)


def runs(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    return False


def test_all_kinds(shop: Target, tmp_path: Path) -> None:
    """The example app answers all of it, from the first request to the last."""
    other = replace(shop, name="web-2/shop", socket_seconds=0.5, without=("upload",))
    with Traffic([shop, other], tmp_path) as traffic:
        pid = traffic._process.pid
        assert runs(pid)
    assert not runs(pid)
    account = traffic.account
    assert (account.failures(), account.lost(), account.reconnects()) == ([], 0, 0)
    assert {(record.target, record.kind) for record in account.records} == {(t.name, kind) for t in (shop, other) for kind in KINDS} - {
        (other.name, "upload")
    }
    assert set(account.answers("web-1/shop")) == {"r1"}
    assert sum(record.closes and record.target == other.name for record in account.records) > 1
    assert len(account.summary().splitlines()) == 1 + len(KINDS)


def test_what_fails_meanwhile_is_in_the_account(tmp_path: Path) -> None:
    """An app that ends while it is asked shows."""
    with example_app() as (app, target), Traffic([target], tmp_path, kinds=["new", "websocket"]) as traffic:
        app.kill()
        wait_until(lambda: len(Account.read(tmp_path / "traffic.jsonl").failures()) > 3, "failures")
    failed = {record.kind for record in traffic.account.records if record.failed}
    assert failed == {"new", "websocket"}


def test_an_error_in_the_block_goes_on(shop: Target, tmp_path: Path) -> None:
    """The process ends, and the records are read."""
    traffic = Traffic([shop], tmp_path, kinds=["new"])
    with pytest.raises(ZeroDivisionError), traffic:
        raise ZeroDivisionError
    assert not runs(traffic._process.pid)
    assert traffic.account.answers() == {"r1": len(traffic.account.records)}


def test_a_start_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names who did not answer what, and leaves no process behind."""
    monkeypatch.setattr(tests.traffic, "START", 12.0)
    with held_ports() as (port,):
        traffic = Traffic([Target("web-1/shop", "127.0.0.1", "shop.test", port)], tmp_path, kinds=["new"])
        with pytest.raises(RuntimeError, match=r"(?s)not every kind.*web-1/shop new: 0 .*Connect call failed"), traffic:
            raise AssertionError("not reached")
    assert not runs(traffic._process.pid)


def test_a_generator_that_breaks_says_why(shop: Target, tmp_path: Path) -> None:
    """Its own errors are neither failures of an app nor forgotten."""
    with pytest.raises(RuntimeError, match="KeyError: 'telnet'"), Traffic([shop], tmp_path, kinds=["telnet"]):
        raise AssertionError("not reached")


def test_a_generator_that_ends_early_proves_nothing(shop: Target, tmp_path: Path) -> None:
    """Who relies on it has to know."""
    traffic = Traffic([shop], tmp_path, kinds=["new"])
    with pytest.raises(RuntimeError, match="ended by itself"), traffic:
        end(traffic._process)


def test_it_ends_with_its_parent(shop: Target, tmp_path: Path) -> None:
    """Even one that is killed leaves nothing behind, and every line is whole."""
    script = (
        "import pathlib, sys, time\n"
        "from tests.traffic import Target, Traffic\n"
        "target = Target('web-1/shop', '127.0.0.1', 'shop.test', int(sys.argv[1]))\n"
        "with Traffic([target], pathlib.Path(sys.argv[2]), kinds=['new', 'websocket']) as traffic:\n"
        "    print(traffic._process.pid, flush=True)\n"
        "    time.sleep(3600)\n"
    )
    with process(sys.executable, "-c", script, str(shop.port), tmp_path, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.kill()
        wait_until(lambda: not runs(pid), "the generator's end")
    assert (tmp_path / "traffic.jsonl").read_text().endswith("}\n")
    assert not Account.read(tmp_path / "traffic.jsonl").failures()


@pytest.mark.parametrize("how", ["signal", "input", "limit"])
def test_it_ends_when_it_should(how: str, shop: Target, tmp_path: Path) -> None:
    """What is in flight is finished first, and written."""
    spec, path = tmp_path / "spec.json", tmp_path / "records.jsonl"
    target = {"name": shop.name, "address": shop.address, "host": shop.host, "port": shop.port}
    limit = 0.2 if how == "limit" else 3600
    spec.write_text(json.dumps({"targets": [target], "limit": limit, "interval": 0.1, "kinds": ["upload", "websocket"]}))
    with subprocess.Popen([*GENERATOR, spec, path], cwd=ROOT, stdin=subprocess.PIPE) as generator:
        try:
            wait_until(lambda: Account.read(path).records, "a record")
            if how == "signal":
                generator.send_signal(signal.SIGTERM)
            elif how == "input":
                assert generator.stdin
                generator.stdin.close()
            assert generator.wait(PATIENCE) == 0
        finally:
            generator.kill()
    account = Account.read(path)
    assert not account.failures()
    assert {record.kind for record in account.records} == {"upload", "websocket"}


def test_usage() -> None:
    """A wrong command line is told the right one."""
    done = subprocess.run(GENERATOR, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m tests.traffic SPEC.json RECORDS.jsonl")
