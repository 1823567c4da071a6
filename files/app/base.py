"""What all pages have in common: headers, the visitor, tokens of forms, errors."""

import json
import logging
import random
import secrets
from typing import TYPE_CHECKING, Any, TypedDict, cast

from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPServerRequest

from store import UnavailableError

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from app import App

CONTENT_SECURITY_POLICY = "default-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
MOODS = ("Brave", "Calm", "Curious", "Gentle", "Happy", "Kind", "Lively", "Merry", "Quick", "Quiet", "Sunny", "Witty")
ANIMALS = ("Badger", "Crane", "Dolphin", "Fox", "Hare", "Heron", "Lynx", "Otter", "Owl", "Panda", "Raven", "Seal")
RETRY_AFTER = 5
"""Seconds after which it is worth to ask again, while Redis is out of reach."""


class Visitor(TypedDict):
    """Who visits: `who` is known to all, `name` is what they see."""

    who: str
    name: str


def known_visitor(handler: web.RequestHandler) -> Visitor | None:
    """Return whom the signed cookie names."""
    if cookie := handler.get_signed_cookie("visitor"):
        who, _, name = cookie.decode().partition(" ")
        return {"who": who, "name": name}
    return None


class Base(web.RequestHandler):
    """What the pages have in common."""

    application: "App"

    def set_default_headers(self) -> None:
        """Allow a page nothing but this site's own files, and caches nothing."""
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    def finish(self, chunk: str | bytes | dict[str, object] | None = None) -> "asyncio.Future[None]":
        """Answer; while stopping, ask the client not to use this connection again."""
        if self.application.stopping:
            self.set_header("Connection", "close")
        return super().finish(chunk)

    def info(self) -> dict[str, object]:
        """Describe this process, and the visitor as it sees them."""
        return {**self.application.identity, "remote_ip": self.request.remote_ip, "scheme": self.request.protocol}

    def visitor(self) -> Visitor:
        """Return who visits; somebody new gets a name."""
        return known_visitor(self) or self.remember(secrets.token_hex(6), f"{random.choice(MOODS)} {random.choice(ANIMALS)}")

    def remember(self, who: str, name: str) -> Visitor:
        """Have the browser say who it is, signed, so that nobody can be somebody else."""
        secure = self.request.protocol == "https"
        self.set_signed_cookie("visitor", f"{who} {name}", expires_days=30, httponly=True, samesite="Lax", secure=secure)
        return {"who": who, "name": name}

    def check_xsrf_cookie(self) -> None:
        """Ask for the token of a form. What this page has no method for gets its 405 without one."""
        if getattr(type(self), str(self.request.method).lower()) is not web.RequestHandler._unimplemented_method:
            super().check_xsrf_cookie()

    def wants_json(self) -> bool:
        """Tell whether a program asks, and not a browser for a page."""
        return "application/json" in self.request.headers.get("Accept", "")

    def log_exception(self, typ: type[BaseException] | None, value: BaseException | None, tb: "TracebackType | None") -> None:
        """Log no traceback for a Redis that is out of reach, and nothing while all know: that it is was logged once."""
        if not isinstance(value, UnavailableError):
            super().log_exception(typ, value, tb)
        elif self.application.feed.state != "away":
            logging.warning("Redis has not answered: %s", value)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer 503 when Redis is out of reach."""
        super().send_error(503 if isinstance(cause(kwargs), UnavailableError) else status_code, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say what is wrong in words; in debug mode, with a traceback."""
        if self.settings.get("serve_traceback"):
            super().write_error(status_code, **kwargs)
            return
        error, text = cause(kwargs), f"{status_code} {self._reason}"
        if isinstance(error, UnavailableError):
            self.set_header("Retry-After", RETRY_AFTER)
            text = (
                "The board is out of reach for a moment, and what you sent may not have been taken. Look at the board before you try again."
            )
        elif isinstance(error, web.HTTPError) and error.log_message and status_code < 500:
            text = error.log_message
        if self.wants_json():
            self.set_header("Content-Type", "application/json; charset=UTF-8")
            self.finish(json.dumps({"error": text}))
        else:
            self.render("error.html", status=status_code, text=text, info=self.info())


class NotFound(Base):
    """A page that is not there."""

    def prepare(self) -> None:
        """Say so."""
        raise web.HTTPError(404)


def cause(kwargs: dict[str, Any]) -> BaseException | None:
    """Return the exception that made an answer an error."""
    exc_info = kwargs.get("exc_info")
    return cast(BaseException, exc_info[1]) if exc_info else None


def connection(request: HTTPServerRequest) -> HTTP1Connection:
    """Return the connection of `request` with its type."""
    return cast(HTTP1Connection, request.connection)
