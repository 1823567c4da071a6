"""The fleet of this scenario."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.balanced import Balanced
from tests.board import Come, Visitor
from tests.browser import chromium
from tests.fleet import example_app
from tests.unit.certified import authority, written

# Counts how many of it there are, and whether there was ever more than one.
BEAT = """
import os, signal, sys, threading
import redis

store = redis.Redis.from_url(os.environ["REDIS_URL"])

def end(*_):
    store.decr("shop:beats")
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
if store.incr("shop:beats") > 1:
    store.incr("shop:overlaps")
while True:
    signal.pause()
"""
# Counts how often it came.
TICK = """
import os
import redis

redis.Redis.from_url(os.environ["REDIS_URL"]).incr("shop:ticks")
"""
JOBS = {
    "singletons": {"beat": "{python} beat.py"},
    "cron": {"tick": {"schedule": "* * * * *", "command": "{python} tick.py"}},
}
INVENTORY = Path(__file__).resolve().parents[1] / "inventory"


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Balanced:
    """Begins with two hosts; the third one, of which the balancers know all the same, comes with the next run, under load.

    Redis speaks TLS, with a certificate of an authority that no host's own store has.
    """
    source = example_app(tmp_path_factory.mktemp("source") / "app", worker=True)
    (source / "beat.py").write_text(BEAT)
    (source / "tick.py").write_text(TICK)
    fleet = Balanced(INVENTORY, source, **JOBS)
    certificates = tmp_path_factory.mktemp("certificates")
    (certificates / "ca.pem").write_text(authority().root.pem)
    pair = written(certificates, leaf := authority().leaf(fleet.entrances[fleet.redis_host]), leaf.pem + authority().intermediate.pem)
    fleet.variables["redis_tls"] = {**pair, "ca": str(certificates / "ca.pem")}
    fleet.play("--limit", "all:!web-3")
    fleet.wait_for("web-1", "web-2")
    with fleet.clients():
        fleet.change("that comes with another host")
        fleet.play()
        fleet.wait_for("web-1", "web-2", "web-3")
    return fleet


@pytest.fixture(scope="session")
def browser(fleet: Balanced) -> Iterator[Browser]:
    with chromium({"shop.test": fleet.entrances["lb-1"]}) as found:
        yield found


@pytest.fixture
def come(browser: Browser) -> Iterator[Come]:
    """Lets a visitor come who gets to one of some hosts. At the end nothing is wrong in any console, and no page was loaded again."""
    there: list[Visitor] = []

    def come(name: str, hosts: set[str]) -> Visitor:
        for _ in range(40):
            visitor = Visitor(browser, name)
            if visitor.host in hosts:
                there.append(visitor)
                return visitor
            visitor.page.context.close()
        raise AssertionError(f"no process of {', '.join(hosts)} serves anybody")

    yield come
    for visitor in there:
        assert visitor.problems == []
        assert visitor.page.evaluate("window.stayed")
        visitor.page.context.close()


@pytest.fixture
def visitors(fleet: Balanced, come: Come) -> tuple[Visitor, Visitor]:
    """Ana, and Ben at another host."""
    ana = come("Ana", set(fleet.hosts))
    return ana, come("Ben", fleet.hosts.keys() - {ana.host})
