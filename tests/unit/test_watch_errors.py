"""watch_errors, with real files that are written to and moved meanwhile."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import plugin
from tests.unit.conftest import PATIENCE, make_slot, run_module

SHORT = 0.05  # seconds of a watch that ends by itself: it looks once more when they are over
Meanwhile = Callable[..., None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """A function that takes what is done while the module watches: one step after each of its looks."""
    log = plugin("modules", "watch_errors").Log
    look = log.look

    def do(*steps: Callable[[], object]) -> None:
        left = list(steps)

        def look_and_step(self: object) -> None:
            look(self)
            if left:
                left.pop(0)()

        monkeypatch.setattr(log, "look", look_and_step)

    return do


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """An empty log."""
    path = tmp_path / "shop.access.log"
    path.touch()
    return path


def line(status: int = 200, slot: str = "green", **more: Any) -> bytes:
    """A request as nginx logs it."""
    entry = {"slot": slot, "status": status, "method": "GET", "uri": "/api/x", "upstream_addr": "127.0.0.1:9000", **more}
    return json.dumps(entry).encode() + b"\n"


def append(path: Path, *lines: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(b"".join(lines))


def together(*steps: Callable[[], object]) -> Callable[[], object]:
    """Several steps between two looks."""
    return lambda: [step() for step in steps]


def end(path: Path) -> None:
    """What makes the module end at once."""
    append(path, *[line(500)] * 20)


def watch(*logs: Path, seconds: float = PATIENCE, max_errors: float = 0.1, check: bool = False) -> dict[str, Any]:
    """Run the module, with a long time as it is."""
    given = [make_slot(log.name.split(".")[0], "green", access_log=str(log)) for log in logs]
    return run_module("watch_errors", check=check, slots=given, seconds=seconds, max_errors=max_errors, interval=0.01)


def counts(result: dict[str, Any]) -> list[tuple[int, int]]:
    return [(app["requests"], app["errors"]) for app in result["apps"]]


def ago(seconds: float) -> str:
    """A moment as nginx writes it."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="seconds")


# What passes


def test_errors_that_the_old_slot_had_as_well_are_not_the_new_ones(log: Path, meanwhile: Meanwhile) -> None:
    """Those of the last seconds: what was longer ago does not excuse anything."""
    append(log, *[line(slot="blue", time=ago(1))] * 8, *[line(503, slot="blue", time=ago(1))] * 2)
    append(log, *[line(503, slot="blue", time=ago(2 * PATIENCE))] * 50, *[line(503, slot="green", time=ago(1))] * 50)
    meanwhile(lambda: append(log, *[line()] * 15, *[line(503)] * 5))
    (app,) = watch(log, max_errors=0.04)["apps"]
    assert (app["share"], app["share_before"], app["passed"]) == (0.25, 0.2, False)


def test_one_client_among_several_takes_nothing_back(log: Path, meanwhile: Meanwhile) -> None:
    others = [line(remote_addr=f"192.0.2.{number}") for number in range(3)]
    meanwhile(lambda: append(log, *others, *[line(500, remote_addr="198.51.100.1")] * 500))
    (app,) = watch(log, seconds=SHORT, max_errors=0)["apps"]
    assert (app["requests"], app["errors"], app["share"], app["passed"]) == (503, 500, 0.25, True)


def test_each_client_counts_as_one(log: Path, meanwhile: Meanwhile) -> None:
    loud = [line(500, remote_addr="198.51.100.1")] * 500
    rest = [line(500 if number == 0 else 200, remote_addr=f"192.0.2.{number}") for number in range(19)]
    meanwhile(lambda: append(log, *loud, *rest))
    (app,) = watch(log, seconds=SHORT, max_errors=0.2)["apps"]
    assert (app["share"], app["passed"]) == (0.1, True)


def test_no_request_passes(log: Path) -> None:
    result = watch(log, seconds=SHORT, max_errors=0)
    assert result["apps"] == [{"app": "shop", "requests": 0, "errors": 0, "share": 0, "share_before": 0, "passed": True, "examples": []}]
    assert (result["changed"], result.get("failed", False)) == (False, False)


def test_missing_log_is_an_empty_one(tmp_path: Path) -> None:
    assert counts(watch(tmp_path / "none.log", tmp_path / "nowhere/none.log", seconds=SHORT)) == [(0, 0), (0, 0)]


def test_largest_share_passes(log: Path, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: append(log, *[line()] * 27, *[line(503)] * 3))
    result = watch(log, seconds=SHORT, max_errors=0.1)
    assert (counts(result), result["apps"][0]["share"], result["apps"][0]["passed"]) == ([(30, 3)], 0.1, True)
    assert not result.get("failed")


def test_what_was_there_before_does_not_count(log: Path, meanwhile: Meanwhile) -> None:
    """Nor does a line of before that is only now whole."""
    append(log, *[line(500)] * 50, line(500)[:30])
    meanwhile(lambda: append(log, line(500)[30:], line()))
    assert counts(watch(log, seconds=SHORT)) == [(1, 0)]


def test_other_lines_do_not_count(log: Path, meanwhile: Meanwhile) -> None:
    others = [b"\n", b"GET / 500\n", b'{"slot": "green", "status": 000}\n', b"[]\n", b"null\n", b"{}\n", b"\xff\x00\n"]
    others += [line(500, slot="blue"), line(500, slot=""), b'{"slot": "green", "status": "500"}\n', b'{"status": 500}\n']
    meanwhile(lambda: append(log, *others, line(499), *others))
    assert counts(watch(log, seconds=SHORT, max_errors=0)) == [(1, 0)]


def test_check_mode_does_not_wait(log: Path) -> None:
    append(log, line(500))
    result = watch(log, check=True)
    assert result["elapsed"] < PATIENCE
    assert counts(result) == [(0, 0)]


# What does not


def test_few_requests_are_judged_at_the_end(log: Path, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: append(log, line(), line(502, method="POST", uri="/pay?x=1"), line(), line(500, upstream_addr="")))
    result = watch(log, seconds=SHORT, max_errors=0.015)
    assert result["failed"]
    examples = ["502 POST /pay?x=1 from 127.0.0.1:9000", "500 GET /api/x"]
    assert result["apps"] == [
        {"app": "shop", "requests": 4, "errors": 2, "share": 0.5, "share_before": 0, "passed": False, "examples": examples}
    ]
    assert re.sub(r"within \d+ s", "within 1 s", result["msg"]) == (
        "shop: 2 of 4 requests (50 %) to the green slot were answered with 5xx within 1 s; "
        "the blue slot had 0 % before, and at most 1.5 % more may be (tornado_app_bake_max_errors): "
        "502 POST /pay?x=1 from 127.0.0.1:9000; 500 GET /api/x"
    )


def test_many_requests_are_judged_at_once(log: Path, meanwhile: Meanwhile) -> None:
    """But not before there are many, and not while they are good."""
    meanwhile(
        lambda: append(log, *[line(500)] * 19),
        lambda: append(log, *[line()] * 171),
        lambda: append(log, line(500)),
        lambda: append(log, line(500)),
    )
    result = watch(log, max_errors=0.1)
    assert (result["failed"], counts(result)) == (True, [(191, 20)])
    assert result["elapsed"] < PATIENCE


def test_any_error_is_too_much(log: Path, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: append(log, line(500), *[line()] * 2999))
    result = watch(log, max_errors=0)
    assert result["msg"].startswith("shop: 1 of 3000 requests (0.0333 %) to the green slot")
    assert "the blue slot had 0 % before, and at most 0 % more may be" in result["msg"]


def test_examples_are_few_and_short(log: Path, meanwhile: Meanwhile) -> None:
    hostile = line(500, uri="@").replace(b"@", b'/\xff\\"\\u001b' + b"a" * 9000)
    meanwhile(lambda: append(log, hostile, *[line(500)] * 19))
    result = watch(log)
    (app,) = result["apps"]
    assert (len(app["examples"]), app["requests"]) == (5, 20)
    assert app["examples"][0] == '500 GET /\ufffd"\ufffd' + "a" * 196 + "… from 127.0.0.1:9000"
    assert result["msg"].endswith("; 500 GET /api/x from 127.0.0.1:9000; …")


def test_one_of_two_apps_fails(tmp_path: Path, meanwhile: Meanwhile) -> None:
    """Which ends the watch of both, and only that one is blamed."""
    shop, api = tmp_path / "shop.access.log", tmp_path / "api.access.log"
    meanwhile(lambda: append(shop, line(), line()), lambda: end(api))
    result = watch(shop, api)
    assert (result["failed"], counts(result)) == (True, [(2, 0), (20, 20)])
    assert [(app["app"], app["passed"]) for app in result["apps"]] == [("shop", True), ("api", False)]
    assert result["msg"].startswith("api: 20 of 20 requests (100 %)")
    assert "shop" not in result["msg"]


def test_log_that_cannot_be_read(tmp_path: Path) -> None:
    result = watch(tmp_path)
    assert result["failed"]
    assert str(tmp_path) in result["msg"]


# What happens to files


def test_log_that_appears_is_read_from_its_beginning(tmp_path: Path, meanwhile: Meanwhile) -> None:
    log = tmp_path / "shop.access.log"
    meanwhile(lambda: append(log, line(), line()), partial(end, log))
    assert counts(watch(log)) == [(22, 20)]


def test_half_a_line_is_kept_until_it_is_whole(log: Path, meanwhile: Meanwhile) -> None:
    whole = line()
    meanwhile(
        lambda: append(log, whole[:1]),
        lambda: append(log, whole[1:20]),
        lambda: append(log, whole[20:-1]),
        lambda: append(log, whole[-1:] + whole + whole[:30]),
        lambda: append(log, whole[30:]),
        partial(end, log),
    )
    assert counts(watch(log)) == [(23, 20)]


def test_renamed_log_is_followed(log: Path, meanwhile: Meanwhile) -> None:
    """Some workers of nginx still write to the old file when others do to the new one."""
    first, second = log.with_suffix(".log.1"), log.with_suffix(".log.2")
    meanwhile(
        lambda: append(log, line(), line()[:10]),
        lambda: log.rename(first),
        lambda: append(first, line()[10:], line()),
        lambda: append(log, line()),
        together(partial(append, log, line()[:10]), partial(append, first, line())),
        together(partial(append, log, line()[10:]), partial(append, first, line())),
        together(partial(first.rename, second), partial(log.rename, first)),
        together(*(partial(append, path, line()) for path in (second, first, log))),
        partial(end, log),
    )
    assert counts(watch(log)) == [(30, 20)]


def test_removed_log_is_followed(log: Path, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: append(log, line()), log.unlink, lambda: append(log, line()), partial(end, log))
    assert counts(watch(log)) == [(22, 20)]


def test_truncated_log_is_followed(log: Path, meanwhile: Meanwhile) -> None:
    """What was half written is gone with the rest."""
    meanwhile(
        lambda: append(log, line(), line(), line()[:10]),
        together(partial(os.truncate, log, 0), partial(append, log, line())),
        lambda: append(log, line()),
        partial(os.truncate, log, 0),
        partial(end, log),
    )
    assert counts(watch(log)) == [(24, 20)]


def test_no_request_is_lost_or_counted_twice(log: Path, meanwhile: Meanwhile) -> None:
    """Somebody writes in pieces of lines while the module reads, and rotates the log."""
    looked = threading.Event()
    text = (line() + line(500) + line(slot="blue")) * 100

    def write() -> None:
        for number in range(10):
            with log.open("ab", buffering=0) as stream:
                for _ in range(2):  # the end of a look that had begun before, and the end of the next
                    looked.clear()
                    assert looked.wait(PATIENCE)
                for start in range(0, len(text), 1000):
                    stream.write(text[start : start + 1000])
                    if start == 10_000:
                        log.rename(log.with_suffix(f".log.{number}"))
        append(log, line(500) * 2001)

    writer = threading.Thread(target=write)
    meanwhile(writer.start, *[looked.set] * 100_000)
    result = watch(log, max_errors=0.75)  # which only the very last error is above
    writer.join()
    assert counts(result) == [(4001, 3001)]
