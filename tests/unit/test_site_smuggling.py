"""No client gets a second request past nginx in the body of a first one: nginx refuses the frame, or makes it unambiguous."""

from __future__ import annotations

import json

import pytest

from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture

INNER = "GET /smuggled HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
SIZE = len(INNER)
LENGTH = f"Content-Length: {SIZE}"
CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = f"{SIZE:x}\r\n{INNER}\r\n0\r\n\r\n"

# What frames the body, and the body.
REFUSED = {
    "length and chunks (CL.TE)": (f"Content-Length: {SIZE + 5}\r\n{CHUNKED}", f"0\r\n\r\n{INNER}"),
    "chunks and length (TE.CL)": (f"{CHUNKED}\r\nContent-Length: 4", CHUNKS),
    "two lengths": (f"Content-Length: 0\r\n{LENGTH}", INNER),
    "the same length twice": (f"{LENGTH}\r\n{LENGTH}", INNER),
    "a list of lengths": (f"Content-Length: 0, {SIZE}", INNER),
    "length with a space": (f"Content-Length: 0 {SIZE}", INNER),
    "length with plus": (f"Content-Length: +{SIZE}", INNER),
    "length with minus": (f"Content-Length: -{SIZE}", INNER),
    "hexadecimal length": (f"Content-Length: 0x{SIZE:x}", INNER),
    "empty length": ("Content-Length: ", INNER),
    "length of 65 bits": (f"Content-Length: {2**64}", INNER),
    "two encodings (TE.TE)": (f"{CHUNKED}\r\nTransfer-Encoding: identity", CHUNKS),
    "two encodings, chunked last": (f"Transfer-Encoding: identity\r\n{CHUNKED}", CHUNKS),
    "a list of encodings": ("Transfer-Encoding: identity, chunked", CHUNKS),
    "an unknown encoding": (f"{LENGTH}\r\nTransfer-Encoding: xchunked", INNER),
    "encoding after a tab": (f"{LENGTH}\r\nTransfer-Encoding:\tchunked", INNER),
    "encoding after a vertical tab": (f"{LENGTH}\r\nTransfer-Encoding:\x0bchunked", INNER),
    "encoding in other letters": (f"{LENGTH}\r\ntransfer-encoding: CHUNKED", INNER),
    "space before the colon of the encoding": (f"{LENGTH}\r\nTransfer-Encoding : chunked", INNER),
    "space before the colon of the length": (f"Content-Length : {SIZE}", INNER),
    "space before the name": (f"{LENGTH}\r\n {CHUNKED}", INNER),
    "encoding on a folded line": (f"{LENGTH}\r\nTransfer-Encoding:\r\n chunked", INNER),
    "chunks by a folded line": ("Transfer-Encoding:\r\n chunked", CHUNKS),
    "header in a folded line": (f"X-A: b\r\n\t{CHUNKED}\r\n{LENGTH}", INNER),
    "bare CR in a header": (f"X-A: b\r{CHUNKED}\r\n{LENGTH}", INNER),
    "null byte in a header": (f"X-A: b\0\r\n{LENGTH}", INNER),
    "null byte in a name": (f"Transfer-Encoding\0: chunked\r\n{LENGTH}", INNER),
    "header without name": (f": chunked\r\n{LENGTH}", INNER),
    "header without colon": (f"Transfer-Encoding\r\n{LENGTH}", INNER),
    "chunk of 65 bits": (CHUNKED, f"1{'0' * 16}\r\n{INNER}\r\n0\r\n\r\n"),
    "chunk's size with 0x": (CHUNKED, f"0x{CHUNKS}"),
    "negative chunk": (CHUNKED, f"-{CHUNKS}"),
    "chunk's size after a space": (CHUNKED, f" {CHUNKS}"),
    "chunk shorter than its content": (CHUNKED, f"{SIZE - 1:x}\r\n{INNER}\r\n0\r\n\r\n"),
}
NORMALISED = {
    "length": (LENGTH, INNER),
    "chunks": (CHUNKED, CHUNKS),
    "chunks with bare LF": (CHUNKED, f"{SIZE:x}\n{INNER}\n0\n\n"),
    "extension of a chunk": (CHUNKED, f'{SIZE:x};a="b\r\n{INNER}\r\n0\r\n\r\n'),
    "headers after the chunks": (CHUNKED, f"{SIZE:x}\r\n{INNER}\r\n0\r\n{LENGTH}\r\n{CHUNKED}\r\nX-Smuggled: 1\r\n\r\n"),
    "headers that end with bare LF": (f"X-A: b\n{LENGTH}", INNER),
    "names with underscores": (f"Transfer_Encoding: chunked\r\nContent_Length: 0\r\n{LENGTH}", INNER),
    "length as a header of the connection": (f"Connection: Content-Length, X-Real-IP\r\n{LENGTH}", INNER),
}
# The headers that nginx gives to each request.
OF_NGINX = {"Host", "X-Real-Ip", "X-Scheme", "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id"}


def sent(frame: str, body: str, start: str = "POST /first HTTP/1.1") -> bytes:
    """A request whose connection nginx closes after the answer."""
    return f"{start}\r\nHost: api.example.com\r\nConnection: close\r\n{frame}\r\n\r\n{body}".encode("latin-1")


def one_answer(site: Site, request: bytes) -> tuple[int, bytes, list[str]]:
    """Status and body of the only answer, and the URIs that came to the app meanwhile."""
    before = len(site.seen())
    answer = site.raw(request)
    assert answer.count(b"HTTP/1.1 ") == 1
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body, site.seen()[before:]


@pytest.mark.parametrize("case", REFUSED)
def test_ambiguous_frame_is_refused(site: Site, case: str) -> None:
    status, _, seen = one_answer(site, sent(*REFUSED[case]))
    assert status in (400, 501)
    assert seen == []


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("case", NORMALISED)
def test_one_request_comes_to_the_app_as_one(site: Site, case: str, method: str) -> None:
    """With the whole body in it, framed once."""
    status, body, seen = one_answer(site, sent(*NORMALISED[case], f"{method} /first HTTP/1.1"))
    assert (status, seen) == (200, ["/first"])
    told = json.loads(body)
    assert (told["method"], told["size"]) == (method, SIZE)
    frame = set(told["headers"]) - OF_NGINX - {"X-A"}
    assert frame in ({"Content-Length"}, {"Transfer-Encoding"})


def test_chunks_of_an_old_client_are_refused(site: Site) -> None:
    status, _, seen = one_answer(site, sent(CHUNKED, CHUNKS, "POST /first HTTP/1.0"))
    assert (status, seen) == (400, [])


def test_what_follows_a_request_without_a_body_is_nobodys(site: Site) -> None:
    """The client has asked for the end of the connection."""
    status, _, seen = one_answer(site, sent("Accept: */*", INNER, "GET /first HTTP/1.1"))
    assert (status, seen) == (200, ["/first"])


def test_bare_lf_ends_all_lines(site: Site) -> None:
    """nginx reads them as lines, and writes them to the app with CR LF."""
    head = sent(LENGTH, "").replace(b"\r\n", b"\n")
    status, body, seen = one_answer(site, head + INNER.encode())
    assert (status, seen, json.loads(body)["size"]) == (200, ["/first"], SIZE)
