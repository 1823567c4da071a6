"""The load generator's account: what it counts, and what it reads of the records."""

import json
from pathlib import Path

from tests.traffic import LOST, Account, Record


def test_account() -> None:
    """Its questions, on a few records."""
    records = [
        Record("a", "new", 10.0, 10.5, 200, "r1", ""),
        Record("a", "new", 20.0, 20.1, 200, "r1", ""),
        Record("a", "slow", 19.0, 22.0, 200, "r1", ""),
        Record("a", "keep-alive", 20.0, 20.1, 200, "r2", ""),
        Record("b", "new", 30.0, 30.1, 200, "r1", ""),
        Record("b", "upload", 40.0, 40.0, 502, "", ""),
        Record("b", "websocket", 50.0, 50.002, 200, "", ""),
        Record("b", "websocket", 50.0, 51.0, 1001, "", ""),
        Record("b", "websocket", 50.0, 52.0, 1011, "", "closed with 1011"),
        Record("b", "websocket", 51.9, 52.0, 0, "", LOST),
    ]
    account = Account(records)
    assert account.failures() == [
        "1970-01-01T00:00:40.000+00:00 b upload: 502",
        "1970-01-01T00:00:50.000+00:00 b websocket: 1011 closed with 1011",
        "1970-01-01T00:00:51.900+00:00 b websocket: 0 never acknowledged",
    ]
    assert (account.lost(), account.reconnects()) == (1, 1)
    assert account.stale("a", 19.5, {"r1"}) == [records[1]]
    assert account.answers() == {"r1": 4, "r2": 1}
    assert account.answers("b") == {"r1": 1}
    assert [line.split() for line in account.summary().splitlines()] == [
        ["kind", "requests", "failed", "median", "ms", "max", "ms"],
        ["keep-alive", "1", "0", "100.0", "100.0"],
        ["new", "3", "0", "100.0", "500.0"],
        ["upload", "1", "1", "-", "-"],
        ["slow", "1", "0", "3000.0", "3000.0"],
        ["websocket", "2", "2", "2.0", "2.0"],
    ]


def test_a_line_that_is_not_complete_is_not_read(tmp_path: Path) -> None:
    """It may still be written."""
    record = Record("a", "new", 10.0, 10.5, 200, "r1", "")
    line = json.dumps(record._asdict())
    (tmp_path / "records").write_text(f"{line}\n{line[:20]}")
    assert Account.read(tmp_path / "records").records == [record]
    assert Account.read(tmp_path / "none").records == []
