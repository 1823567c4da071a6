"""Traffic: clients that keep asking apps while something happens to these, and an account of every answer.

The clients run in a process of their own (`python -m tests.traffic`), so that neither the tests nor ansible-playbook disturb them.
Each request is tried once, by any client: what a patient library would repeat without a word is a failure here.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("keep-alive", "new", "post", "upload", "slow", "static", "websocket")
PATIENCE = 30.0
"""Seconds after which a request has failed, and in which what is in flight may finish at the end."""
START = 60.0
"""Seconds in which every target has to answer every kind once."""
LOST = "never acknowledged"
"""The error of a websocket message whose echo never came."""
GOING_AWAY = 1001
"""The close code with which a server sends a websocket away, so that it comes back."""


@dataclass(frozen=True)
class Target:
    """An app on a host: where it listens, what the Host header says, and what its paths begin with.

    With `socket_seconds` the client closes its websocket after so long and opens another one, as for apps that do not say 1001.
    It is not asked in the ways of `without`, which it does not know.
    """

    name: str
    address: str
    host: str
    port: int = 80
    socket_seconds: float | None = None
    prefix: str = ""
    without: tuple[str, ...] = ()


class Record(NamedTuple):
    """One request, one websocket message, or the end of one websocket."""

    target: str
    kind: str
    start: float  # seconds since the epoch; of a message: when it was first sent
    end: float  # the same; of a message: when its echo came
    status: int  # of the answer, 0 without one; 200 for a message that came back; the close code, from 1000 up, for an end
    release: str  # that answered, "" where the answer does not say
    error: str  # what else is wrong, or ""

    @property
    def closes(self) -> bool:
        """Whether this is the end of a websocket, and not a request."""
        return self.status >= 1000

    @property
    def failed(self) -> bool:
        return bool(self.error) or (self.status != 200 and not self.closes)

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.start, UTC).isoformat(timespec="milliseconds")
        return f"{at} {self.target} {self.kind}: {self.status} {self.error}".rstrip()


@dataclass(frozen=True)
class Account:
    """What became of all requests."""

    records: list[Record]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what the generator has written so far; a line that it is still writing is left out."""
        text = path.read_text() if path.exists() else ""
        return cls([Record(**json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")])

    def failures(self) -> list[str]:
        """One line for each failure: when (UTC), target, kind, status, error."""
        return [str(record) for record in self.records if record.failed]

    def lost(self) -> int:
        """The number of websocket messages that were sent and never acknowledged."""
        return sum(record.error == LOST for record in self.records)

    def reconnects(self) -> int:
        """The number of websockets that a server sent away with 1001."""
        return sum(record.status == GOING_AWAY for record in self.records)

    def stale(self, target_name: str, switched_at: float, releases: Container[str]) -> list[Record]:
        """The HTTP requests to a target that began after `switched_at` (epoch seconds) and that one of these old releases answered."""
        return [
            record
            for record in self.records
            if record.target == target_name and record.kind != "websocket" and record.start > switched_at and record.release in releases
        ]

    def answers(self, target_name: str = "") -> dict[str, int]:
        """The number of good answers by release, of one target or of all."""
        good = (record for record in self.records if not record.failed and record.release)
        return dict(Counter(record.release for record in good if target_name in ("", record.target)))

    def summary(self) -> str:
        """A table by kind: requests, failures (ends of websockets included), latency of the good ones in milliseconds."""
        lines = [f"{'kind':<12}{'requests':>10}{'failed':>10}{'median ms':>12}{'max ms':>12}"]
        for kind in KINDS:
            records = [record for record in self.records if record.kind == kind]
            if not records:
                continue
            requests = [record for record in records if not record.closes]
            took = [1000 * (record.end - record.start) for record in requests if not record.failed]
            latency = f"{statistics.median(took):>12.1f}{max(took):>12.1f}" if took else f"{'-':>12}{'-':>12}"
            lines.append(f"{kind:<12}{len(requests):>10}{sum(record.failed for record in records):>10}{latency}")
        return "\n".join(lines)


class Traffic:
    """Clients that keep asking until the block ends; then `account` says what became of every request.

    Each target has one client of each kind. A client waits `interval` seconds between two requests, and all end after `limit`
    seconds at the latest: whoever is still in the block by then gets a RuntimeError at its end. The files are in `directory`:
    the specification, the records, and what the process printed.
    """

    def __init__(
        self, targets: Sequence[Target], directory: Path, limit: float = 3600, interval: float = 0.1, kinds: Sequence[str] = KINDS
    ) -> None:
        self.targets = targets
        self.kinds = kinds
        self.account = Account([])
        self._spec = directory.resolve() / "traffic.json"
        self._records = directory.resolve() / "traffic.jsonl"
        self._log = directory.resolve() / "traffic.log"
        settings = {"targets": [asdict(target) for target in targets], "limit": limit, "interval": interval, "kinds": list(kinds)}
        self._spec.write_text(json.dumps(settings))

    def __enter__(self) -> Self:
        """Start the clients and wait until every kind has a good answer of every target.

        Raises RuntimeError with what went wrong when that takes more than `START` seconds, or the process ends.
        """
        self._records.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.traffic", str(self._spec), str(self._records)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            self._wait_for_answers()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the clients and read the records.

        Raises RuntimeError when the process had ended before, or ended badly: the records then prove nothing. An error of the
        block's own goes first.
        """
        ended = self._process.poll() is not None
        self._stop()
        self.account = Account.read(self._records)
        if error is None and (ended or self._process.returncode != 0):
            raise RuntimeError(f"the load generator ended by itself, or badly ({self._process.returncode}): {self._log.read_text()}")

    def _wait_for_answers(self) -> None:
        deadline = time.monotonic() + START
        wanted = {(target.name, kind) for target in self.targets for kind in self.kinds if kind not in target.without}
        while True:
            account = Account.read(self._records)
            missing = wanted - {(record.target, record.kind) for record in account.records if record.status == 200 and not record.failed}
            if not missing:
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                last = {(record.target, record.kind): str(record) for record in account.records if record.failed}
                lines = [last.get(pair, f"{' '.join(pair)}: no answer yet") for pair in sorted(missing)]
                raise RuntimeError("\n".join(["not every kind was answered by every target:", *lines, self._log.read_text()]))
            time.sleep(0.1)

    def _stop(self) -> None:
        """Let the process finish what is in flight; whatever happens, it is gone afterwards."""
        stdin: IO[bytes] | None = self._process.stdin
        assert stdin
        stdin.close()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2 * PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
