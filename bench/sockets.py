"""Ten thousand websockets through balancers and nginx, held by the processes of two hosts, while a deploy moves all of them.

`make bench-sockets` lets a crowd come to the example app's board, twice: through this role's hosts, and through nginx as Tornado's guide
configures it, where a restart brings the new release. It prints what both took, writes bench/results/sockets.json, and draws it (see
sockets_plot.py). `python -m bench.sockets 2000` takes another count.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlencode

from bench.hosts import hosts
from bench.http import GUIDE
from tests.balanced import Balanced
from tests.containers import first_process
from tests.fleet import example_app
from tests.redis_server import redis_server
from tests.sockets import Crowd, Place
from tests.unit.conftest import NGINX, held_ports, listens, process, wait_until
from tests.unit.nginx_trees import nginx_tree
from tools.process import ROOT, interruptible

INVENTORY = ROOT / "bench/sockets_inventory"
RESULTS = ROOT / "bench/results/sockets.json"
COUNT = 10_000
BROADCASTS = 3
STEP = 0.25  # seconds at least between two points of the series
SPEAK = 10.0  # seconds between two messages meanwhile: one to ten thousand takes two processors for some seconds
CALM = 3.0  # seconds before and after a change
PATIENCE = 600.0  # seconds after which a wait ends in failure
RETURN = 120.0  # seconds after a change in which sockets may come back
PROCESSES = 4  # of the guide's configuration, as many as both hosts have together
# What the guide's configuration lacks for this: it passes no websocket on, and holds 511 of them.
WIDER = (
    ("worker_connections 1024", "worker_connections 16384"),
    ("worker_processes 1", "worker_processes 2"),
    (
        "proxy_pass http://frontends;",
        'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; '
        "proxy_read_timeout 1h; proxy_pass http://frontends;",
    ),
)


class Cost(NamedTuple):
    """What processes have taken: bytes of memory, shared pages in parts, and seconds of CPU."""

    memory: int
    cpu: float


def family(first: int) -> set[int]:
    """A process and all that it has started."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            continue
    found, new = {first}, {first}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new} - found
        found |= new
    return found


def cost(firsts: Sequence[int]) -> Cost:
    """What these processes and all that they have started take."""
    memory, ticks = 0, 0
    for pid in set[int]().union(*map(family, firsts)):
        try:
            memory += int(re.findall(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[0]) * 1024
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        except (OSError, IndexError):
            continue
    return Cost(memory, ticks / os.sysconf("SC_CLK_TCK"))


def post(place: Place, text: str) -> str:
    """Post a message as a visitor does; its id."""
    connection = http.client.HTTPConnection(place.address, place.port, timeout=60)
    connection.request("GET", "/", headers={"Host": place.host})
    page = connection.getresponse()
    page.read()
    cookies = "; ".join(value.partition(";")[0] for name, value in page.getheaders() if name.lower() == "set-cookie")
    token = dict(part.split("=", 1) for part in cookies.split("; "))["_xsrf"]
    headers = {"Host": place.host, "Cookie": cookies, "Accept": "application/json", "X-XSRFToken": token}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request("POST", "/api/board", urlencode({"text": text}), headers)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    return str(json.loads(body)["id"])


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait until something is so; whether it has become so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so that has to be."""
    if not within(PATIENCE, condition):
        sys.exit(f"waited {PATIENCE:.0f} s in vain: {what}")


@contextmanager
def every(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Do something again and again in another thread while the block runs."""
    stop = threading.Event()

    def again() -> None:
        while not stop.wait(seconds):
            act()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def broadcast(crowd: Crowd, place: Place) -> tuple[float, float]:
    """Seconds from a message's post until half of the crowd have it, and until the last one has."""
    posted = time.monotonic()
    message = post(place, "to all")
    until(lambda: crowd.have_heard(message) == len(crowd.visitors), "a message to all")
    times = [at - posted for visitor in crowd.visitors for heard, at in visitor.heard if heard == message]
    return median(times), max(times)


def measure(places: Sequence[Place], count: int, firsts: Callable[[], Sequence[int]], change: Callable[[], None]) -> dict[str, Any]:
    """What a crowd makes of a way to serve it, and of a change under it."""
    before = cost(firsts())
    start = time.monotonic()
    crowd = Crowd(places, count)
    with crowd.there():
        until(lambda: crowd.open() == count, "all sockets")
        connected, after = time.monotonic() - start, cost(firsts())
        halves, lasts = zip(*(broadcast(crowd, places[0]) for _ in range(BROADCASTS)), strict=True)
        (old,) = crowd.releases()
        series: list[tuple[float, dict[str, int]]] = []
        posted: list[str] = []
        failed: list[str] = []

        def speak() -> None:
            try:
                posted.append(post(places[0], "meanwhile"))
            except (OSError, http.client.HTTPException, AssertionError, LookupError, ValueError) as problem:
                failed.append(repr(problem))

        with every(STEP, lambda: series.append((time.monotonic(), dict(crowd.releases())))), every(SPEAK, speak):
            time.sleep(CALM)
            began = time.monotonic()
            change()
            changed = time.monotonic()
            within(RETURN, lambda: sum(crowd.releases().values()) == count and old not in crowd.releases())
            moved = [at for at, _, _ in crowd.moved if at > began]
            time.sleep(CALM)
        back = crowd.open()
        speak()
        within(RETURN, lambda: crowd.have_heard(posted[-1]) >= back)
    complete = sum([heard for heard, _ in visitor.heard][-len(posted) :] == posted for visitor in crowd.visitors)
    return {
        "count": count,
        "connect_seconds": connected,
        "broadcast_seconds": {"half": median(halves), "last": median(lasts)},
        "change_seconds": changed - began,
        "move_seconds": max(moved) - min(moved),
        "back": back,
        "closed": dict(crowd.closed),
        "refused": dict(Counter(crowd.refused)),
        "posts": {"answered": len(posted), "failed": dict(Counter(failed))},
        "complete": complete,
        "memory_bytes_each": (after.memory - before.memory) / count,
        "cpu_seconds_each": (after.cpu - before.cpu) / count,
        "series": {
            "seconds": [round(at - began, 2) for at, _ in series],
            "old": [point.get(old, 0) for _, point in series],
            "new": [sum(point.values()) - point.get(old, 0) for _, point in series],
        },
    }


def by_role(count: int, folder: Path) -> dict[str, Any]:
    """Through balancers and nginx of test hosts, and a deploy."""
    with hosts(INVENTORY):
        fleet = Balanced(INVENTORY, example_app(folder / "app", worker=True))
        fleet.play()
        fleet.wait_for(*fleet.hosts)
        places = [Place(address, 80, "shop.test") for address in fleet.entrances.values()]
        firsts = [first_process(address) for address in (*fleet.addresses.values(), *fleet.entrances.values())]

        def deploy() -> None:
            fleet.change("for the crowd")
            fleet.play("--tags", "deploy")

        return measure(places, count, lambda: firsts, deploy)


def by_guide(count: int, folder: Path) -> dict[str, Any]:
    """Through nginx as the guide has it, and a restart of all processes, one signal for all of them."""
    with ExitStack() as stack:
        *ports, redis, front = stack.enter_context(held_ports(PROCESSES + 2))
        stack.enter_context(redis_server(folder, redis))
        config = GUIDE.format(servers=" ".join(f"server 127.0.0.1:{port};" for port in ports), root=ROOT / "files/app")
        for narrow, wide in WIDER:
            assert narrow in config
            config = config.replace(narrow, wide)
        nginx = stack.enter_context(
            process(NGINX, "-e", folder / "error.log", "-c", nginx_tree(folder, {"nginx.conf": config}, front), "-g", "daemon off;")
        )
        running = {}

        def start(release: str) -> None:
            environment = {**os.environ, "REDIS_URL": f"redis://127.0.0.1:{redis}/0", "TORNADO_APP_RELEASE": release}
            for port in ports:
                command = (sys.executable, ROOT / "files/app/app.py", f"--port={port}")
                log = stack.enter_context((folder / f"{port}.log").open("w"))
                running[port] = stack.enter_context(process(*command, env=environment, stdout=log))

        def restart() -> None:
            for each in running.values():
                each.terminate()
            for each in running.values():
                each.wait()
            start("new")

        start("old")
        for port in (*ports, front):
            wait_until(partial(listens, port), f"port {port}")
        return measure(
            [Place("127.0.0.1", front, "shop.example.com")], count, lambda: [nginx.pid, *(each.pid for each in running.values())], restart
        )


def report(ways: dict[str, dict[str, Any]]) -> str:
    """A row for each figure, a column for each way."""
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "websockets": lambda way: f"{way['count']:,}",
        "seconds to connect": lambda way: f"{way['connect_seconds']:.1f}",
        "seconds until half have a message": lambda way: f"{way['broadcast_seconds']['half']:.2f}",
        "seconds until all have it": lambda way: f"{way['broadcast_seconds']['last']:.2f}",
        "seconds of the change": lambda way: f"{way['change_seconds']:.1f}",
        "seconds in which they moved": lambda way: f"{way['move_seconds']:.1f}",
        "back within two minutes": lambda way: f"{way['back']:,}",
        "closed, by code": lambda way: ", ".join(f"{code}: {number:,}" for code, number in sorted(way["closed"].items())) or "none",
        "refused": lambda way: f"{sum(way['refused'].values()):,}",
        "messages that failed": lambda way: f"{(failed := sum(way['posts']['failed'].values()))} of {failed + way['posts']['answered']}",
        "visitors who have all others": lambda way: f"{way['complete']:,}",
        "kB of memory each": lambda way: f"{way['memory_bytes_each'] / 1000:.0f}",
        "ms of CPU each, to connect": lambda way: f"{way['cpu_seconds_each'] * 1000:.1f}",
    }
    table = [("", *ways), *((name, *(show(way) for way in ways.values())) for name, show in rows.items())]
    return "\n".join("".join(f"{cell:<36}" if index == 0 else f"{cell:>26}" for index, cell in enumerate(row)) for row in table)


def main() -> None:
    interruptible()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as name:
        ways: dict[str, dict[str, Any]] = {}
        for title, way in (("this role", by_role), ("guide and restart", by_guide)):
            folder = Path(name, way.__name__)
            folder.mkdir()
            ways[title] = way(count, folder)
    print(report(ways))
    RESULTS.write_text(json.dumps({"ways": ways}) + "\n")


if __name__ == "__main__":
    main()
