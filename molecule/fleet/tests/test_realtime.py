"""Two visitors of the board, in a real browser, each at another host; see test_operations.py for what is done under them."""

import json
import warnings

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.balanced import Balanced
from tests.board import PATIENCE, Visitor
from tests.browser import Window
from tests.fleet import changed_tasks, wait_until

WCAG_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def test_visitors_of_two_hosts_see_each_other(visitors: tuple[Visitor, Visitor]) -> None:
    ana, ben = visitors
    ana.say("hello from Ana")
    ben.sees("hello from Ana")
    ben.say("hello from Ben")
    ana.sees("hello from Ben")
    assert ben.page.locator(".message .who b").all_inner_texts()[-2:] == ["Ana", "Ben"]


def test_redis_is_restarted_under_both(fleet: Balanced, visitors: tuple[Visitor, Visitor]) -> None:
    ana, ben = visitors
    ana.say("redis: before")
    ben.sees("redis: before")
    fleet.balancers[fleet.redis_host].check_output("systemctl restart redis-server")
    # Whichever process is asked, more often than there are.
    wait_until(lambda: {json.load(fleet.asked("lb-1", "/healthz"))["redis"] for _ in range(30)} == {"connected"})
    for visitor in visitors:
        visitor.page.wait_for_selector("#notice[data-store=redis]", state="attached")
    ben.say("redis: after")
    for visitor in visitors:
        visitor.sees("redis: after")
        assert visitor.messages("redis:") == ["redis: before", "redis: after"]


def test_the_map_has_each_process_of_the_fleet(fleet: Balanced, visitors: tuple[Visitor, Visitor]) -> None:
    """Two web processes and a worker of each host."""
    ana, _ = visitors
    expect(ana.page.locator("#hosts .tile")).to_have_count(3 * len(fleet.hosts), timeout=PATIENCE)


def test_a_visitor_without_a_mouse(visitors: tuple[Visitor, Visitor]) -> None:
    ana, ben = visitors
    ana.page.locator(".message button").last.focus()
    ana.press_until("Tab", "#text")
    ana.page.keyboard.type("by keys alone")
    ana.page.keyboard.press("Enter")
    ben.sees("by keys alone")
    ana.press_until("Shift+Tab", ".message button")
    ana.page.keyboard.press("Space")
    expect(ben.page.locator(".message button").last.locator(".count")).to_have_text("1", timeout=PATIENCE)


def test_a_visitor_without_a_websocket(browser: Browser, visitors: tuple[Visitor, Visitor]) -> None:
    """Something on the way lets none through."""
    ana, _ = visitors
    context = browser.new_context()
    context.route_web_socket("**/board*", lambda socket: socket.close(code=1011))
    page = context.new_page()
    page.goto("http://shop.test/")
    expect(page.locator("#state")).to_contain_text("By long polls from", timeout=PATIENCE)
    ana.say("to who polls")
    page.locator(".message .text", has_text="to who polls").wait_for(timeout=PATIENCE)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_wcag_has_nothing_against_the_page(browser: Browser, visitors: tuple[Visitor, Visitor], scheme: str, width: int) -> None:
    ana, _ = visitors
    ana.say(f"http://shop.test/{scheme}/{width}")
    ana.page.locator(".message button").last.click()
    window = Window(browser, "http://shop.test/", color_scheme=scheme, viewport={"width": width, "height": 800})
    window.page.locator(".message a", has_text=f"/{scheme}/{width}").wait_for()
    window.page.locator("#cursors").evaluate("element => element.remove()")  # what lies above the text hides its colours
    found = Axe().run(window.page, options={"runOnly": WCAG_AA}).response

    def said(of: str) -> list[tuple[str, str]]:
        """Each rule, and an element that it is about."""
        return [(rule["id"], node["html"]) for rule in found[of] for node in rule["nodes"]]

    assert said("violations") == []
    assert {"color-contrast", "label", "html-has-lang"} <= {rule for rule, _ in said("passes")}
    assert [html for _, html in said("incomplete") if 'aria-hidden="true"' not in html] == []  # symbols of one character
    assert window.page.evaluate("document.documentElement.scrollWidth") <= width
    assert window.problems == []
    window.page.context.close()


def test_redis_takes_no_connection_in_the_clear(fleet: Balanced) -> None:
    host, address = fleet.hosts["web-1"], fleet.entrances[fleet.redis_host]
    ask = r"printf 'PING\r\nQUIT\r\n' | timeout 20 "
    assert "NOAUTH" in host.run(ask + f"openssl s_client -quiet -connect {address}:6379").stdout
    assert host.run(ask + f"bash -c 'exec 3<>/dev/tcp/{address}/6379; cat >&3; cat <&3'").stdout == ""


def test_a_second_run_changes_nothing_of_redis(fleet: Balanced) -> None:
    nothing = {fleet.redis_host: ()}
    if (first := changed_tasks(fleet.play("--diff", playbook="playbooks/redis.yml"))) != nothing:
        warnings.warn(f"the first run changed something, and nobody knows why: {first}", stacklevel=1)
    assert changed_tasks(fleet.play("--diff", playbook="playbooks/redis.yml")) == nothing
