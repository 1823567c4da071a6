"""Visitors of the example app's board, in a real browser through a balancer."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from playwright.sync_api import Browser, WebSocket

from tests.browser import Window

PATIENCE = 120_000  # milliseconds; a bound, never a measure
SHOWN = 50  # messages at least of what is on a page, which has 100


class Visitor(Window):
    """A visitor of the board."""

    def __init__(self, browser: Browser, name: str) -> None:
        super().__init__(browser, "http://shop.test/")
        self.name = name
        self.page.set_default_timeout(PATIENCE)
        self.page.fill("#called", name)
        heard: list[WebSocket] = []
        self.page.on("websocket", lambda opened: opened.once("framereceived", lambda _: heard.append(opened)))
        self.page.press("#called", "Enter")
        deadline = time.monotonic() + PATIENCE / 1000
        while not heard:  # another socket is opened for the new name, perhaps to another host
            assert time.monotonic() < deadline
            self.page.wait_for_timeout(50)
        self.page.evaluate("window.stayed = true")  # gone once the page is loaded again

    @property
    def host(self) -> str:
        """The host whose process has the socket."""
        return self.page.inner_text("#facts [data-info=host]")

    def say(self, text: str) -> None:
        """Post a message, which the page has to say nothing against."""
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")
        self.page.locator("#text:placeholder-shown, #problem:not(:empty)").first.wait_for()
        assert (self.page.text_content("#problem"), self.problems) == ("", [])

    def sees(self, text: str) -> None:
        """Wait until a message is there."""
        self.page.locator(".message .text", has_text=text).last.wait_for()

    def press_until(self, key: str, selector: str) -> None:
        """Press a key until the last of some elements has the focus."""
        wanted = self.page.locator(selector).last
        for _ in range(20):
            self.page.keyboard.press(key)
            if wanted.evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"{key} does not lead to {selector}")

    def messages(self, prefix: str) -> list[str]:
        """The messages that begin so, as they are on the page."""
        return [text for text in self.page.locator(".message .text").all_inner_texts() if text.startswith(prefix)]


# Name, and the hosts of which one is to serve the visitor.
Come = Callable[[str, set[str]], Visitor]


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
