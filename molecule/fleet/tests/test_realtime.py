"""Two visitors of the board, in a real browser, each at another host; see test_operations.py for what is done under them."""

import json

from tests.balanced import Balanced
from tests.board import Visitor
from tests.fleet import wait_until


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
    fleet.balancers["lb-2"].check_output("systemctl restart redis-server")
    # Whichever process is asked, more often than there are.
    wait_until(lambda: {json.load(fleet.asked("lb-1", "/healthz"))["redis"] for _ in range(30)} == {"connected"})
    for visitor in visitors:
        visitor.page.wait_for_selector("#notice[data-store=redis]", state="attached")
    ben.say("redis: after")
    for visitor in visitors:
        visitor.sees("redis: after")
        assert visitor.messages("redis:") == ["redis: before", "redis: after"]
