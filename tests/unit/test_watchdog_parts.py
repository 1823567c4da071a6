"""The parts of watchdog.py: what is an answer, whom it can be asked of, what memory counts; and how root reads what it writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.loading import ROLE
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import files
from tests.unit.builders import SHOP, planned, release
from tests.unit.conftest import OWN, PATIENCE, process, utils, wait_until
from tests.unit.impostor import Behaviour, drips, http, impostor, is_silent, says
from tests.unit.test_settings import problem, problems

watchdog: Any = run_path(str(ROLE / "files/watchdog.py"))
reading = utils("watchdog")

# Answers


@pytest.mark.parametrize(
    ("behave", "answers"),
    [
        (says(http(b"", "200 OK")), True),
        (says(http(b"", "503 Service Unavailable")), True),
        (drips(b"HTTP/1.1 500 "), True),
        (is_silent, False),
        (says(b""), None),
    ],
)
def test_any_answer_counts_and_silence_alone_does_not(tmp_path: Path, behave: Behaviour, answers: bool | None) -> None:
    timeout = 0.5 if behave is is_silent else PATIENCE
    with impostor(tmp_path / "8000.sock", behave):
        assert watchdog["answers"](f"unix:{tmp_path}/8000.sock", "/", "shop.test", timeout) is answers


def test_who_does_not_listen_is_not_silent(ports: Callable[[int], list[int]], tmp_path: Path) -> None:
    for address in (f"127.0.0.1:{ports(1)[0]}", f"unix:{tmp_path}/none.sock"):
        assert watchdog["answers"](address, "/", "shop.test", PATIENCE) is None


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_who_listens_and_accepts_nobody_is_silent(tmp_path: Path, family: socket.AddressFamily) -> None:
    """A process that hangs does not empty its queue, which is full in the end."""
    with socket.socket(family) as hanging:
        hanging.bind(("127.0.0.1", 0) if family == socket.AF_INET else f"{tmp_path}/8000.sock")
        hanging.listen(0)
        address = f"127.0.0.1:{hanging.getsockname()[1]}" if family == socket.AF_INET else f"unix:{tmp_path}/8000.sock"
        queued = [watchdog["Ask"](address, "/", "shop.test", 1.0) for _ in range(4)]
        for ask in queued:
            ask.join(PATIENCE)
        assert [ask.answer for ask in queued] == [False] * 4


# Whom it can be asked of

LISTENS = {
    "ports": {"shop-blue:8000": "127.0.0.1:8000", "shop-blue:8001": "127.0.0.1:8001"},
    "sockets": {f"shop-blue:{port}": f"unix:/run/tornado_app/sockets/shop/{port}.sock" for port in (8000, 8001)},
    "shared": {},
    "fork": {"shop-blue:8000": "127.0.0.1:8000"},
}


@pytest.mark.parametrize("listen", LISTENS)
def test_an_answer_has_to_be_that_of_one_process(tmp_path: Path, listen: str) -> None:
    command = "{python} app.py {socket}" if listen == "sockets" else SHOP["command"]
    app = planned({"shop": {**SHOP, "command": command, "listen": listen, "processes": 2}})["shop"]
    slot = app["slots"]["blue"]
    (tmp_path / "blue.json").write_text(json.dumps(files.record(app, slot, release("a" * 12))))
    found = [*map(str, slot["ports"]), "worker.1"]
    infos = {f"shop-blue:{name}": {"name": name} for name in found}
    assert watchdog["addresses_of"](f"{tmp_path}/blue.json", infos) == LISTENS[listen]
    for content in ("{", "{}", "[]"):
        (tmp_path / "blue.json").write_text(content)
        assert watchdog["addresses_of"](f"{tmp_path}/blue.json", infos) == {}
    assert watchdog["addresses_of"](f"{tmp_path}/none.json", infos) == {}


# Memory


def test_memory_is_that_of_a_process_and_all_that_it_has_started() -> None:
    known = {1: (0, 5), 10: (1, 100), 11: (10, 20), 12: (11, 3), 13: (1, 1000), 20: (21, 7), 21: (20, 7)}
    assert (watchdog["size"](10, known), watchdog["size"](13, known), watchdog["size"](99, known)) == (123, 1000, 0)
    assert watchdog["size"](20, known) == 14  # a number that was given anew between two looks may make a circle


def test_the_kernel_tells_the_memory() -> None:
    with process(
        sys.executable, "-c", "x = b'x' * 50_000_000; print('here', flush=True); import time; time.sleep(600)", stdout=subprocess.PIPE
    ) as grown:
        assert grown.stdout
        grown.stdout.readline()
        parent, taken = wait_until(lambda: watchdog["memory"]().get(grown.pid), "the process")
        assert parent == os.getpid()
        assert taken > 50_000_000
        assert watchdog["size"](os.getpid(), watchdog["memory"]()) > taken


# What it has written

DONE = {"restarts": 2, "reason": "it hung", "at": "2026-01-02T03:04:05Z"}
NAMES = {"shop-blue:8000", "shop-blue:worker.1"}
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
values = plain | st.lists(plain, max_size=3) | st.dictionaries(st.text(max_size=9), plain, max_size=3)
entries = values | st.fixed_dictionaries(
    {"restarts": values | st.just(2), "reason": values | st.text(), "at": values | st.just(DONE["at"])}
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "watchdog.json"


def read(path: Path) -> Any:
    return reading.read(str(path), OWN["user"], NAMES)


@given(
    content=st.binary(max_size=200)
    | values.map(json.dumps).map(str.encode)
    | st.dictionaries(st.sampled_from(sorted(NAMES)), entries).map(json.dumps).map(str.encode)
)
def test_whatever_is_there_is_read_as_entries_or_nothing(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    found = read(path)
    assert set(found) <= NAMES
    for entry in found.values():
        assert type(entry["restarts"]) is int
        assert 0 < entry["restarts"] <= reading.MOST
        assert entry["reason"].isprintable()
        assert entry["at"].isascii()
    assert set(watchdog["acts_of"](str(path))) >= set(found)


def test_of_what_it_says_the_processes_that_supervisord_knows_count(path: Path) -> None:
    path.write_text(json.dumps({"shop-blue:8000": DONE, "shop-blue:9999": DONE, "/etc/passwd": DONE}))
    assert read(path) == {"shop-blue:8000": DONE}


@pytest.mark.parametrize("content", ["[" * 100_000, " " * 2_000_000, '{"shop-blue:8000": ' * 50_000])
def test_what_is_too_deep_or_too_large_is_nothing(path: Path, content: str) -> None:
    path.write_text(content)
    assert read(path) == {}
    assert watchdog["acts_of"](str(path)) == {}


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(json.dumps({"shop-blue:8000": DONE}))
    (tmp_path / "watchdog.json").symlink_to("secret")
    assert read(tmp_path / "watchdog.json") == {}


# Settings


def liveness(**given: int) -> dict[str, int]:
    return {"interval": 10, "timeout": 10, "failures": 6, **given}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"liveness": {"interval": -1}}, "liveness.interval is -1: a number of seconds is needed, 0 for none"),
        ({"liveness": {"timeout": 0}}, "liveness.timeout is 0: a number of seconds above 0 is needed"),
        ({"liveness": {"failures": 0}}, "liveness.failures is 0: at least 1 is needed"),
        ({"liveness": {"failure": 3}}, "liveness.failure is not a setting; did you mean failures?"),
        ({"memory_limit": 512}, "memory_limit is 512: at least 16000000 bytes are needed, as in 500M, or 0"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, Any], message: str) -> None:
    assert problem(**given) == f"tornado_apps.shop.{message}"


@given(
    interval=st.integers(0, 10**6), timeout=st.integers(1, 10**6), failures=st.integers(1, 10**6), size=st.just(0) | st.integers(16, 10**6)
)
def test_what_can_work_comes_to_the_watchdog(interval: int, timeout: int, failures: int, size: int) -> None:
    wanted = {"interval": interval, "timeout": timeout, "failures": failures}
    settings = {**SHOP, "liveness": wanted, "memory_limit": f"{size}M" if size else 0}
    assert problems({"shop": settings}) == []
    found = json.loads(files.watchdog_settings(planned({"shop": settings})["shop"]))
    assert (found["liveness"], found["memory_limit"]) == (wanted, size * 2**20)


def test_who_develops_may_stop_at_a_breakpoint() -> None:
    app = planned({"shop": {**SHOP, "debug": True, "processes": 1}})["shop"]
    assert json.loads(files.watchdog_settings(app))["liveness"] == liveness(interval=0)


def test_its_name_in_the_journal_is_no_process_of_a_slot() -> None:
    named = {
        logs: json.loads(files.watchdog_settings(planned({"shop": {**SHOP, "logs": logs}})["shop"]))["journal"]
        for logs in ("files", "journal")
    }
    assert named == {"files": "", "journal": "shop-watchdog"}
