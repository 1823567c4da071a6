"""The title of the page behind a link that anybody may have posted: a request to the outside, which must not reach the inside."""

import asyncio
import html
import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tornado.httpclient import HTTPClientError, HTTPResponse
from tornado.netutil import DefaultLoopResolver, Resolver
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError, SimpleAsyncHTTPClient

SECONDS = 5.0
"""Longest that a page may take, with what it redirects to."""
SIZE_LIMIT = 2 * 1024**2
"""Largest page, in bytes."""
TITLE_LIMIT = 120
"""Most characters of a title."""
AGENT = "tornado-app-preview/1.0"
# What the standard library calls global, and a gateway may lead to an address inside.
TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16"))

Allowed = Callable[[str], bool]


class NotPublicError(OSError):
    """A name has no address that anybody may ask."""


def is_public(address: str) -> bool:
    """Tell whether an address is out on the internet: not this host, its network, or what a cloud tells its machines."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return found.is_global and not found.is_multicast and not any(found in network for network in TRANSLATED if found.version == 6)


class PublicResolver(Resolver):
    """Names to addresses that are allowed. The client connects to these, so a name that changes meanwhile gains nothing."""

    def initialize(self, allowed: Allowed = is_public) -> None:
        """Take what is allowed."""
        self.allowed = allowed
        self.names = DefaultLoopResolver()

    async def resolve(self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[tuple[int, Any]]:
        """Return the allowed addresses of a name."""
        found = [(kind, address) for kind, address in await self.names.resolve(host, port, family) if self.allowed(address[0])]
        if not found:
            raise NotPublicError(f"{host} has no public address")
        return found


async def preview(url: str, allowed: Allowed = is_public) -> str:
    """Return the title of a page, or a sentence on why there is none."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            return "This is no address of a page."
        async with asyncio.timeout(SECONDS):
            return title(await fetch(url, allowed))
    except NotPublicError:
        return "This address is not public."
    except (TimeoutError, HTTPTimeoutError):
        return f"The page did not answer within {SECONDS:.0f} seconds."
    except HTTPStreamClosedError:
        return f"The page broke off, or has more than {SIZE_LIMIT // 1024**2} MB."
    except HTTPClientError as error:
        return f"The page answered {error.code}."
    except (OSError, ValueError):
        return "The page could not be reached."


async def fetch(url: str, allowed: Allowed) -> HTTPResponse:
    """Ask for a page as it is: what is compressed could be of any size."""
    client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=SIZE_LIMIT, resolver=PublicResolver(allowed=allowed))
    try:
        return await client.fetch(
            url,
            user_agent=AGENT,
            headers={"Accept": "text/html", "Accept-Encoding": "identity"},
            decompress_response=False,
            max_redirects=3,
            connect_timeout=SECONDS,
            request_timeout=SECONDS,
        )
    finally:
        client.close()


def title(page: HTTPResponse) -> str:
    """Find the title of a page. Each search goes over the text once, whatever is in it."""
    kind = page.headers.get("Content-Type", "")
    if not kind.startswith("text/html") or "Content-Encoding" in page.headers:
        return "This is not a page with a title."
    text = page.body.decode("utf-8", "replace")
    lower = text.lower()
    begin = lower.find(">", start) + 1 if (start := lower.find("<title")) >= 0 else 0
    end = lower.find("</title", begin)
    found = " ".join(html.unescape(text[begin:end]).split()) if 0 < begin < end else ""
    return (found if len(found) <= TITLE_LIMIT else f"{found[: TITLE_LIMIT - 1]}…") or "The page has no title."
