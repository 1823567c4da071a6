"""Two visitors of the board, in a real browser, each at another host: what they see of the fleet's changes is nothing but the map."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser

from tests.balanced import Balanced
from tests.browser import Window, chromium
from tests.fleet import wait_until
from tests.sockets import Crowd, Place

CROWD = 300
SHOWN = 50  # messages at least of what is on a page, which has 100
PATIENCE = 120_000  # milliseconds; a bound, never a measure


class Visitor(Window):
    """A visitor of the board."""

    def __init__(self, browser: Browser, name: str) -> None:
        super().__init__(browser, "http://shop.test/")
        self.name = name
        self.page.set_default_timeout(PATIENCE)
        self.page.fill("#called", name)
        self.page.press("#called", "Enter")
        self.page.wait_for_timeout(2000)  # another socket is opened for the new name, perhaps to another host
        self.page.evaluate("window.stayed = true")  # gone once the page is loaded again

    @property
    def host(self) -> str:
        """The host whose process has the socket."""
        return self.page.inner_text("#facts [data-info=host]")

    def say(self, text: str) -> None:
        """Post a message."""
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")
        self.page.wait_for_function("document.getElementById('text').value === ''")

    def sees(self, text: str) -> None:
        """Wait until a message is there."""
        self.page.locator(".message .text", has_text=text).last.wait_for()

    def messages(self, prefix: str) -> list[str]:
        """The messages that begin so, as they are on the page."""
        return [text for text in self.page.locator(".message .text").all_inner_texts() if text.startswith(prefix)]


@pytest.fixture(scope="module")
def browser(fleet: Balanced) -> Iterator[Browser]:
    with chromium({"shop.test": fleet.entrances["lb-1"]}) as found:
        yield found


@pytest.fixture(scope="module")
def visitors(browser: Browser) -> tuple[Visitor, Visitor]:
    """Ana, and Ben at another host."""
    ana = Visitor(browser, "Ana")
    for _ in range(20):
        ben = Visitor(browser, "Ben")
        if ben.host != ana.host:
            return ana, ben
        ben.page.context.close()
    raise AssertionError(f"20 visitors have all come to {ana.host}")


@pytest.fixture(autouse=True)
def quiet(visitors: tuple[Visitor, Visitor]) -> Iterator[None]:
    """Nothing is wrong in the console of either, and no page was loaded again."""
    yield
    for visitor in visitors:
        assert visitor.problems == []
        assert visitor.page.evaluate("window.stayed")


def talk(visitors: tuple[Visitor, Visitor], prefix: str, act: Callable[[], object]) -> None:
    """Let both talk while something is done, and after it. Each sees all of it, once and in one order."""
    said: list[str] = []

    def say(ending: str = "") -> None:
        for visitor in visitors:
            said.append(f"{prefix} {len(said)} of {visitor.name}{ending}")
            visitor.say(said[-1])

    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(act)
        while not doing.done():
            say()
            time.sleep(1)
        doing.result()
    say(", at the end")
    for visitor in visitors:
        visitor.sees(said[-1])
        shown = visitor.messages(prefix)
        assert shown == said[-len(shown) :]
        assert len(shown) >= min(len(said), SHOWN)


def test_visitors_of_two_hosts_see_each_other(visitors: tuple[Visitor, Visitor]) -> None:
    ana, ben = visitors
    ana.say("hello from Ana")
    ben.sees("hello from Ana")
    ben.say("hello from Ben")
    ana.sees("hello from Ben")
    assert ben.page.locator(".message .who b").all_inner_texts()[-2:] == ["Ana", "Ben"]


def test_a_deploy_moves_both_to_the_new_release(fleet: Balanced, visitors: tuple[Visitor, Visitor]) -> None:
    before = fleet.release()
    fleet.change("for the visitors")
    talk(visitors, "deploy", lambda: fleet.play("--tags", "deploy"))
    after = fleet.release()
    assert after != before
    for visitor in visitors:
        visitor.page.locator("#facts [data-info=release]", has_text=after).wait_for()


def test_a_host_is_drained_under_one_of_them(fleet: Balanced, visitors: tuple[Visitor, Visitor]) -> None:
    ana, _ = visitors
    host = ana.host
    talk(visitors, "drain", lambda: fleet.play("--tags", "drain", "--limit", host))
    fleet.play("--tags", "undrain", "--limit", host)
    fleet.wait_for("web-1", "web-2", "web-3")


def test_redis_is_restarted_under_both(fleet: Balanced, visitors: tuple[Visitor, Visitor]) -> None:
    ana, ben = visitors
    ana.say("redis: before")
    ben.sees("redis: before")
    fleet.balancers["lb-2"].check_output("systemctl restart redis-server")
    # Whichever process is asked, more often than there are.
    wait_until(lambda: {json.load(fleet.asked("lb-1", "/healthz"))["redis"] for _ in range(30)} == {"connected"})
    for visitor in visitors:
        visitor.page.wait_for_selector("#notice[data-store=redis]", state="attached")
    ben.say("redis: after")
    for visitor in visitors:
        visitor.sees("redis: after")
        assert visitor.messages("redis:") == ["redis: before", "redis: after"]


def test_a_crowd_moves_and_misses_nothing(fleet: Balanced, visitors: tuple[Visitor, Visitor]) -> None:
    """Of all sockets none is refused, and none closed but by a goodbye."""
    ana, _ = visitors
    places = [Place(address, 80, "shop.test") for address in fleet.entrances.values()]
    crowd = Crowd(places, CROWD)
    with crowd.there():
        wait_until(lambda: crowd.open() == CROWD)
        (before,) = crowd.releases()
        fleet.change("for the crowd")
        talk(visitors, "crowd", lambda: fleet.play("--tags", "deploy"))
        last = ana.page.locator(".message").last.get_attribute("data-id")
        wait_until(lambda: crowd.have_heard(last or "") == CROWD)
        assert before not in crowd.releases()
    assert crowd.refused == []
    assert set(crowd.closed) == {1001}
    heard = [[message for message, _ in visitor.heard] for visitor in crowd.visitors]
    longest = max(heard, key=len)
    assert all(own == longest[-len(own) :] and len(own) == len(set(own)) for own in heard)
