"""Debian's Chromium, driven by Playwright: a visitor's own eyes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, Response, sync_playwright

CHROMIUM = "/usr/bin/chromium"
# It looks for nobody's servers but the one of a page.
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


@contextmanager
def chromium(names: Mapping[str, str] | None = None) -> Iterator[Browser]:
    """A browser that shows nothing; ``names`` are those of hosts that no name server knows, and their addresses.

    As root, Chromium has no sandbox; it sees pages of this project alone.
    """
    with sync_playwright() as playwright:
        rules = ",".join(f"MAP {name} {address}" for name, address in (names or {}).items())
        arguments = [*QUIET, f"--host-resolver-rules={rules}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """A window of a visitor of their own, at a page; ``problems`` are what its console and its scripts complained of."""

    def __init__(self, browser: Browser, url: str, **options: object) -> None:
        self.problems: list[str] = []
        context = browser.new_context(ignore_https_errors=True, **options)  # type: ignore[arg-type]
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("response", self.note)
        self.page.goto(url)

    def note(self, answer: Response) -> None:
        """Keep who failed: the console has the status alone, and each server on the way has headers of its own."""
        if answer.status >= 500:
            self.problems.append(f"{answer.status} for {answer.request.method} {answer.url}: {answer.headers}")
