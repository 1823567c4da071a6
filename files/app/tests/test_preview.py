"""A link that anybody posts: where a request may go, and what becomes of each answer."""

import asyncio

import pytest
from tornado.testing import AsyncHTTPTestCase, gen_test
from tornado.web import Application, RequestHandler

import preview
from running import PATIENCE

INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_inside_is_not_public(address: str) -> None:
    """Neither written as an address nor as what a name stands for."""
    assert not preview.is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_what_is_outside_is_public(address: str) -> None:
    """The rest of the world."""
    assert preview.is_public(address)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:9/", "not public"),
        ("http://localhost:9/", "not public"),
        ("http://2130706433/", "not public"),
        ("http://0x7f.1/", "not public"),
        ("http://[::1]:9/", "not public"),
        ("http://[::ffff:127.0.0.1]/", "not public"),
        ("http://169.254.169.254/latest/meta-data/", "not public"),
        ("ftp://example.com/", "no address of a page"),
        ("http:///", "no address of a page"),
        ("http://user:password@example.com/", "no address of a page"),
        ("http://[::1/", "could not be reached"),
        ("http://127.0.0.1:99999/", "not public"),
    ],
)
def test_who_is_not_asked(url: str, said: str) -> None:
    """However the address is written."""
    assert said in asyncio.run(preview.preview(url))


PAGES = {
    "plain": "<html><TITLE lang=en>\n A &amp; B &lt;i&gt;\n</title>",
    "none": "<p>nothing</p>",
    "open": "<title>never closed" + "<title" * 10_000,
    "long": f"<title>{'x' * 500}</title>",
    "large": "x" * (preview.SIZE_LIMIT + 1),
}


class Page(RequestHandler):
    """Pages of all kinds."""

    async def get(self, name: str) -> None:
        """Answer."""
        if name == "slow":
            await asyncio.sleep(PATIENCE)
        elif name.isdigit():
            self.set_status(int(name))
        elif name == "packed":
            self.set_header("Content-Encoding", "gzip")
        elif name == "text":
            self.set_header("Content-Type", "text/plain")
        elif name == "inside":
            self.redirect(f"http://127.0.0.2:{self.request.host.partition(':')[2]}/plain")
        elif name == "elsewhere":
            self.redirect("file:///etc/passwd")
        elif name == "round":
            self.redirect("/round")
        await self.finish(PAGES.get(name, ""))


class FetchTest(AsyncHTTPTestCase):
    """A server at an address that this test allows, and no other."""

    def get_app(self) -> Application:
        """Build the server."""
        return Application([(r"/(.*)", Page)], log_function=lambda _: None)

    @gen_test(timeout=PATIENCE)
    async def test_what_becomes_of_an_answer(self) -> None:
        """A title, or a polite sentence."""
        expected = {
            "plain": "A & B <i>",
            "none": "The page has no title.",
            "open": "The page has no title.",
            "long": "x" * (preview.TITLE_LIMIT - 1) + "…",
            "large": "The page broke off, or has more than 2 MB.",
            "404": "The page answered 404.",
            "packed": "This is not a page with a title.",
            "text": "This is not a page with a title.",
            "inside": "This address is not public.",
            "elsewhere": "The page could not be reached.",
            "round": "The page answered 302.",
        }
        for name, said in expected.items():
            assert await preview.preview(self.get_url(f"/{name}"), lambda address: address == "127.0.0.1") == said, name

    @gen_test(timeout=PATIENCE)
    async def test_nobody_waits_for_a_slow_page(self) -> None:
        """Its time is bounded."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(preview, "SECONDS", 0.3)
            said = await preview.preview(self.get_url("/slow"), lambda _: True)
        assert said.startswith("The page did not answer within")
