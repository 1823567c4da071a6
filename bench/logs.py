"""What it costs that supervisord reads what processes print: requests a second and supervisord's CPU, with its pipe and without.

`make bench-logs` starts a supervisord with a slot as the role's templates say, on this machine and without root. In each round clients ask
its processes, which print one line for each request, then a hundred: once through supervisord, once to a log that the launcher opens.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import cycle, islice, product
from pathlib import Path
from typing import NamedTuple

from tests.unit.loading import ROLE
from tests.unit.conftest import PYTHON, Supervisor
from tools.process import interruptible

ROUNDS = 3
PROCESSES = 2
CLIENTS = 8
LINES = (1, 100)  # for each request
SECONDS, REQUESTS = 6.0, 20_000  # of a way in a round, at most
PATIENCE = 60.0  # seconds for answers to what was asked

ANSWER = b"done"
PROGRAM = f"""
import asyncio
import sys
from tornado.web import Application, RequestHandler

class Handler(RequestHandler):
    def get(self, lines):
        for number in range(int(lines or 0)):
            print("line", number, "of a request, as long as lines of logs are when they say who asked for what, and how it went")
        self.finish({ANSWER!r})

async def main():
    Application([("/([0-9]*)", Handler)], log_function=lambda handler: None).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()

asyncio.run(main())
"""
LAUNCHER = f"{PYTHON} -I -S {ROLE / 'files/launch.py'}"
WAYS = ("through supervisord", "opened by the launcher")


class Sample(NamedTuple):
    """What came of a way in a round, with so many lines for each request."""

    rate: float
    """Requests a second."""
    share: float
    """Of a CPU, what supervisord took."""


def report(samples: Mapping[tuple[int, str], Sequence[Sample]]) -> str:
    """The median of each number of lines and way, and how many times as many requests as in the first way."""
    rows = [("lines/request", "log", "requests/s", "lines/s", "supervisord's CPU", "ratio")]
    first: dict[int, float] = {}
    for (lines, way), found in samples.items():
        rate, share = (statistics.median(values) for values in zip(*found, strict=True))
        ratio = rate / first.setdefault(lines, rate)
        rows.append((str(lines), way, f"{rate:,.0f}", f"{rate * lines:,.0f}", f"{share:.0%}", f"{ratio:.2f}"))
    return "\n".join(f"{row[0]:<15}{row[1]:<24}{row[2]:>10}{row[3]:>10}{row[4]:>19}{row[5]:>8}" for row in rows)


async def ask(port: int, lines: int, deadline: float) -> int:
    """One client, which asks again as soon as it has its answer; how many it got."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.monotonic() < deadline and count < REQUESTS // CLIENTS:
        writer.write(f"GET /{lines} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head, head
        await reader.readexactly(len(ANSWER))
        count += 1
    writer.close()
    return count


async def load(ports: Sequence[int], lines: int) -> int:
    """How many requests all clients got answered."""
    deadline = time.monotonic() + SECONDS
    async with asyncio.timeout(SECONDS + PATIENCE):
        return sum(await asyncio.gather(*(ask(port, lines, deadline) for port in islice(cycle(ports), CLIENTS))))


def ticks(pid: int) -> float:
    """CPU seconds that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(supervisor: Supervisor, name: str, lines: int, way: str) -> Sample:
    """Start the processes of a slot of this name, ask them, end them."""
    record = supervisor.app["slots"]["blue"]["record"].replace("/slots/blue", f"/slots/{name}")
    # Without a log as its last argument, the launcher leaves supervisord's pipe in its place.
    changed = {"command": f"{LAUNCHER} {record} %(process_num)d"} if way == WAYS[0] else {}
    slot = supervisor.write_slot(name, ["200"] * PROCESSES, workers=None, **changed)
    supervisor.group(slot, "started")
    assert supervisor.health(slot, timeout=PATIENCE)["healthy"]
    before, start = ticks(supervisor.pid), time.monotonic()
    count = asyncio.run(load(slot["ports"], lines))
    seconds, taken = time.monotonic() - start, ticks(supervisor.pid) - before
    supervisor.group(slot, "absent")
    return Sample(count / seconds, taken / seconds)


def main() -> None:
    interruptible()
    samples: dict[tuple[int, str], list[Sample]] = {case: [] for case in product(LINES, WAYS)}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        supervisor = Supervisor(Path(name), stack)
        supervisor.program.write_text(PROGRAM)
        supervisor.start()
        for number, case in product(range(ROUNDS), samples):
            samples[case].append(measure(supervisor, f"round{number}-{WAYS.index(case[1])}-{case[0]}", *case))
    print(report(samples))


if __name__ == "__main__":
    main()
