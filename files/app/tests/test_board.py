"""The board of one process: its forms, what it refuses, who is too slow."""

import asyncio
import json
import re
import urllib.parse
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.testing import AsyncHTTPTestCase, gen_test
from tornado.websocket import websocket_connect

import app
import board
from feed import LENGTH, QUEUE, Feed, Reader, messages, order
from fleet import identity, sign_of_life
from running import PATIENCE


def message(number: int, text: str = "x", **more: object) -> dict[str, Any]:
    """Return an event such as a process publishes."""
    via = {"host": "web-1", "port": 8000, "slot": "blue"}
    shown = {"who": "0a0b0c", "name": "Ana", "text": text, "link": "", "at": "2026-11-26T12:00:00+00:00", "via": via}
    return {"kind": "message", "id": f"{number}-0", **shown, **more}


class BoardTest(AsyncHTTPTestCase):
    """What a browser and a program get and post."""

    def get_app(self) -> app.App:
        """Build the app under test."""
        return app.App(port=8000)

    def feed(self) -> Feed:
        """Return what the process knows."""
        assert isinstance(self._app, app.App)
        return self._app.feed

    def token(self) -> dict[str, str]:
        """Return the headers of a visitor who has the page."""
        response = self.fetch("/")
        found = re.search(r'name="_xsrf" value="([^"]+)"', response.body.decode())
        assert found
        cookies = "; ".join(cookie.partition(";")[0] for cookie in response.headers.get_list("Set-Cookie"))
        return {"Cookie": cookies, "X-XSRFToken": found[1]}

    def post(self, path: str, headers: dict[str, str], **fields: str) -> HTTPResponse:
        """Post a form."""
        return self.fetch(path, method="POST", body=urllib.parse.urlencode(fields), headers=headers, follow_redirects=False)

    def test_a_form_works_without_a_script(self) -> None:
        """The answer is the page; a program gets JSON."""
        headers = self.token()
        response = self.post("/api/board", headers, text="  hello  ")
        assert (response.code, response.headers["Location"]) == (303, "/")
        answer = self.post("/api/board", {**headers, "Accept": "application/json"}, text="again")
        shown = json.loads(self.fetch("/api/board").body)
        assert [one["text"] for one in shown["messages"]] == ["hello", "again"]
        assert json.loads(answer.body) == {"id": shown["last"]}
        reaction = f"{shown['last']} ♥"
        assert self.post("/api/reactions", headers, reaction=reaction).code == 303
        page = self.fetch("/", headers=headers).body.decode()
        assert f'value="{reaction}" aria-pressed="true"' in page
        for _ in range(2):  # sent again, after an answer that got lost
            self.post("/api/reactions", headers, reaction=reaction, key="same")
        assert f'value="{reaction}" aria-pressed="false"' in self.fetch("/", headers=headers).body.decode()
        assert shown["store"] == "process"
        assert "There is no Redis" in page

    def test_every_post_needs_its_token(self) -> None:
        """Another site has none; the upload alone does nothing in a visitor's name."""
        headers = {"Cookie": self.token()["Cookie"]}
        for path in ("/api/board", "/api/reactions", "/api/name"):
            assert self.post(path, headers, text="x", reaction="x", name="x").code == 403, path
        assert self.fetch("/api/board", method="DELETE", headers=headers).code == 405
        assert self.post("/upload", {}).code == 200

    def test_what_is_refused(self) -> None:
        """A sentence says why, to programs too."""
        headers = self.token()
        for path, fields in (
            ("/api/board", {"text": " "}),
            ("/api/board", {"text": "x" * (board.TEXT_LIMIT + 1)}),
            ("/api/board", {}),
            ("/api/name", {"name": "x" * (board.NAME_LIMIT + 1)}),
            ("/api/reactions", {"reaction": "1-1 ♥"}),
        ):
            assert self.post(path, headers, **fields).code == 400, fields
        answer = self.post("/api/board", {**headers, "Accept": "application/json"}, text="")
        assert json.loads(answer.body) == {"error": "A message has 1 to 500 characters."}
        self.feed().take(message(1))
        assert self.post("/api/reactions", headers, reaction="1-0 !").code == 400
        assert self.fetch("/api/poll?after=soon").code == 400
        assert "<h1>404</h1>" in self.fetch("/nothing").body.decode()

    def test_a_link_is_found(self) -> None:
        """Without what ends the sentence around it; nothing but http and https is one."""
        headers = self.token()
        for text in ("see https://a.example/b?c=d.", "javascript:alert(1) data:text/html,x"):
            self.post("/api/board", headers, text=text)
        shown = json.loads(self.fetch("/api/board").body)["messages"]
        assert [one["link"] for one in shown] == ["https://a.example/b?c=d", ""]
        assert 'href="https://a.example/b?c=d"' in self.fetch("/").body.decode()

    async def open(self, query: str = "") -> Any:
        """Open the board's websocket."""
        return await websocket_connect(self.get_url(f"/board{query}").replace("http", "ws"))

    @gen_test(timeout=PATIENCE)
    async def test_a_reader_that_is_too_slow_is_left_behind(self) -> None:
        """It is closed with 1013 when more waits for it than may; others go on."""
        slow, fast = await self.open(), await self.open()
        application = self._app
        assert isinstance(application, app.App)
        while len(application.feed.readers) < 2:
            await asyncio.sleep(0.01)
        numbers: list[int] = []
        for number in range(20, 3000, 20):
            for one in range(number - 19, number + 1):
                application.feed.take(message(one, "x" * 50_000))
            while len(numbers) < number:
                heard = json.loads(await fast.read_message())
                numbers += [order(event["id"])[0] for event in heard if "id" in event]
            if len(application.feed.readers) == 1:
                break
        assert numbers == list(range(1, number + 1))
        (left,) = application.feed.readers
        assert len(left.events) <= QUEUE
        while await slow.read_message() is not None:
            pass
        assert slow.close_code in (board.CLOSE_TOO_SLOW, None)  # None: it was cut off before it read that far
        fast.close()

    @gen_test(timeout=PATIENCE)
    async def test_what_a_socket_may_not_say(self) -> None:
        """It is closed with 1008."""
        for said in ("x", "[1]", "[0, 2]", '{"a": 1, "b": 2}', '["0", "1"]', "7", "[" * 50_000):
            socket = await self.open()
            await socket.write_message(said)
            while await socket.read_message() is not None:
                pass
            assert socket.close_code == 1008, said
        socket = await self.open("?after=soon")
        assert await socket.read_message() is None
        assert socket.close_code == 1008

    @gen_test(timeout=PATIENCE)
    async def test_no_board_opens_on_the_way_out(self) -> None:
        """A stopping process sends browsers to another one."""
        assert isinstance(self._app, app.App)
        self._app.stopping = True
        with pytest.raises(Exception, match="503"):
            await websocket_connect(HTTPRequest(self.get_url("/board").replace("http", "ws")))


def test_events_come_once_and_in_order() -> None:
    """Whatever comes twice, or late, is known by its id; the order is that of numbers, not of letters."""
    feed, said = Feed(), list[str]()
    feed.readers.add(reader := Reader([], "9-0", lambda: said.append("too slow")))
    for number in (9, 10, 9, 10, 100):
        feed.take(message(number))
    assert [event["id"] for event in feed.events] == ["9-0", "10-0", "100-0"]
    assert [event["id"] for event in reader.events] == ["10-0", "100-0"]
    assert [event["id"] for event in feed.after("10-0")] == ["100-0"]
    for bad in ("", "1", "1-", "-1-0", "1-0 ", "1-0\n", "\u0661-\u0660"):
        with pytest.raises(ValueError, match="not the id"):
            feed.after(bad)


def test_the_board_is_bounded() -> None:
    """So is what waits for a reader; of what is of the moment the latest counts."""
    feed, said = Feed(), list[str]()
    feed.readers.add(reader := Reader([], "0-0", lambda: said.append("too slow")))
    for number in range(LENGTH + 5):
        feed.take({"kind": "cursor", "who": str(number % 100), "place": [0, number]})
        feed.take(message(number + 1))
    assert len(feed.events) == LENGTH
    assert said
    assert len(reader.moments) == 50
    feed.take({"kind": "tally", "oldest": f"{LENGTH}-0", "visitors": 1})
    assert feed.events[0]["id"] == f"{LENGTH}-0"


def test_a_crowd_is_shown_the_fleet_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each who comes would be told to all others, which is the square of their number. In the end all see what is so."""
    now, feed = 100.0, Feed()
    monkeypatch.setattr("time.monotonic", lambda: now)
    crowd = [Reader([], "0-0", lambda: None) for _ in range(2000)]
    feed.readers.update(crowd)

    def come(sockets: int) -> int:
        """Let so many sockets be known; return how many the crowd was shown."""
        feed.take(sign_of_life(identity("web-1", 8000), "web", sockets))
        return next(iter(crowd[0].moments.values()))["processes"][0]["sockets"]  # type: ignore[no-any-return]

    assert [come(sockets) for sockets in (1, 2, 3)] == [1, 1, 1]
    now += 3.9
    assert come(4) == 1
    now += 0.2
    feed.show_fleet()
    assert come(4) == 4
    feed.readers = {crowd[0]}
    now += 4.1
    assert come(5) == 5
    now += 0.1
    assert come(6) == 6


def test_messages_have_what_was_said_of_them() -> None:
    """What belongs to a message that is gone is left out, and so is what a later release may write."""
    reaction = {"kind": "reaction", "of": "1-0", "symbol": "♥"}
    events = [
        message(1, link="https://a.example/"),
        {**reaction, "who": "a", "on": True},
        {**reaction, "who": "b", "on": True},
        {**reaction, "who": "a", "on": False},
        {"kind": "preview", "of": "1-0", "title": "A"},
        {**reaction, "of": "0-5", "who": "a", "on": True},
        {"kind": "poll", "of": "1-0"},
        {"kind": "news"},
    ]
    (shown,) = messages(events)
    assert (shown["reactions"], shown["preview"]) == ({"♥": ["b"]}, "A")
