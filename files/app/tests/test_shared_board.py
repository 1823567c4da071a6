"""Two processes and a Redis: one board, and one map of the fleet."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed

from running import Visitor, get, heard, redis_url, texts, wait_until, web


@pytest.fixture(scope="module")
def ports(redis_port: int) -> Iterator[list[int]]:
    """The ports of two processes of one fleet."""
    with ExitStack() as stack:
        slots = ("blue", "green")
        environment = {"REDIS_URL": redis_url(redis_port), "TORNADO_APP_NAME": "shared"}
        yield [stack.enter_context(web(**environment, TORNADO_APP_SLOT=slot))[1] for slot in slots]


def test_what_is_said_to_one_process_is_heard_at_the_other(ports: list[int]) -> None:
    """A message, a reaction that is taken back, and a cursor."""
    ana, ben = (Visitor(port) for port in ports)
    with ben.listen() as socket, ana.listen() as pointing:
        event_id = ana.say("hello <b>")
        for _ in range(2):
            assert ana.post("/api/reactions", reaction=f"{event_id} ♥")[0] == 200
            wait_until(lambda: get(ports[0], "/api/board")["last"] == get(ports[1], "/api/board")["last"])
        pointing.send(json.dumps([0.5, 0.25]))
        events = heard(socket, lambda events: any(event["kind"] == "cursor" for event in events))
    stayed = [event for event in events if "id" in event]
    assert [(event["kind"], event.get("on")) for event in stayed] == [("message", None), ("reaction", True), ("reaction", False)]
    assert (stayed[0]["id"], stayed[0]["text"], stayed[0]["via"]["port"]) == (event_id, "hello <b>", ports[0])
    assert next(event for event in events if event["kind"] == "cursor")["place"] == [0.5, 0.25]
    first, second = (get(port, "/api/board")["messages"] for port in ports)
    assert first == second
    assert "hello &lt;b&gt;" in Visitor(ports[1]).page


def test_a_browser_that_goes_on_elsewhere_misses_nothing_and_gets_nothing_twice(ports: list[int]) -> None:
    """It says what it has."""
    ana = Visitor(ports[0])
    with ana.listen(get(ports[0], "/api/board")["last"]) as socket:
        last = ana.say("one")
        heard(socket, texts)
    ana.say("two")
    ana.port = ports[1]
    ana.say("three")
    with ana.listen(last) as socket:
        assert texts(heard(socket, lambda events: len(texts(events)) > 1)) == ["two", "three"]


def test_a_key_counts_once(ports: list[int]) -> None:
    """Whoever does not hear the answer asks again, at another process perhaps."""
    ana, ben = Visitor(ports[0]), Visitor(ports[1])
    first = ana.say("once", key="k")
    ana.port = ports[1]
    assert ana.say("once", key="k") == first
    assert ana.say("changed before it was sent again", key="k") != first
    assert ben.say("by somebody else", key="k") != first


def test_the_map_shows_each_process_with_its_sockets(ports: list[int]) -> None:
    """Both processes know it, and whoever listens hears of changes."""

    def sockets(port: int) -> dict[int, int]:
        return {process["port"]: process["sockets"] for process in get(port, "/api/board")["processes"]}

    wait_until(lambda: all(sockets(port) == dict.fromkeys(ports, 0) for port in ports))
    with Visitor(ports[0]).listen() as socket:
        wait_until(lambda: sockets(ports[1]) == {ports[0]: 1, ports[1]: 0})
        with Visitor(ports[1]).listen():
            heard(socket, lambda events: any(e["kind"] == "fleet" and all(p["sockets"] for p in e["processes"]) for e in events))
    wait_until(lambda: sockets(ports[1]) == dict.fromkeys(ports, 0))


def test_a_process_says_goodbye(ports: list[int], redis_port: int) -> None:
    """On SIGTERM it closes its sockets with 1001, answers its polls, and is off the map before it would be forgotten."""
    environment = {"REDIS_URL": redis_url(redis_port), "TORNADO_APP_NAME": "shared"}
    with web(**environment) as (child, port):
        visitor, answers = Visitor(port), list[dict[str, object]]()
        last = get(port, "/api/board")["last"]
        polling = threading.Thread(target=lambda: answers.append(get(port, f"/api/poll?after={last}")))
        with visitor.listen(last) as socket:
            polling.start()
            time.sleep(0.5)
            assert not answers
            child.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                heard(socket, lambda _: False)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1001
        polling.join()
        assert [event["kind"] for event in answers[0]["events"]][:2] == ["hello", "fleet"]  # type: ignore[attr-defined]
        assert child.wait() == 0
        wait_until(lambda: port not in [process["port"] for process in get(ports[0], "/api/board")["processes"]])


def test_a_poll_waits_for_news(ports: list[int]) -> None:
    """And with an event that is there already, it does not wait."""
    ana = Visitor(ports[0])
    last, answers = get(ports[1], "/api/board")["last"], list[dict[str, object]]()
    polling = threading.Thread(target=lambda: answers.append(get(ports[1], f"/api/poll?after={last}")))
    polling.start()
    time.sleep(0.3)
    assert not answers
    ana.say("news")
    polling.join()
    assert texts(answers[0]["events"]) == ["news"]  # type: ignore[arg-type]
    assert texts(get(ports[1], f"/api/poll?after={last}")["events"]) == ["news"]


def test_a_name_is_signed_and_known_to_all_processes(ports: list[int]) -> None:
    """What somebody has changed by hand is nobody's name."""
    ana = Visitor(ports[0])
    assert ana.post("/api/name", name=" Ana  B ")[1]["name"] == "Ana B"
    ana.port = ports[1]
    ana.say("it is me")
    named = get(ports[1], "/api/board")["messages"][-1]
    assert named["name"] == "Ana B"
    (cookie,) = [cookie for cookie in ana.jar if cookie.name == "visitor"]
    assert cookie.value
    cookie.value = cookie.value[:-1] + ("0" if cookie.value[-1] != "0" else "1")
    ana.say("it is not")
    forged = get(ports[1], "/api/board")["messages"][-1]
    assert forged["name"] != "Ana B"
    assert forged["who"] != named["who"]
