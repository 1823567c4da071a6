"""What an app can write or answers: files and connections have a type, an owner, a size and a deadline."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.conftest import PATIENCE, utils
from tests.unit.impostor import Behaviour, drips, http, impostor, is_silent, says

untrusted, get = utils("untrusted"), utils("http").get
ME = (os.getuid(),)


@given(text=st.text(), most=st.integers(0, 20))
def test_what_is_shown_is_short_and_steers_no_terminal(text: str, most: int) -> None:
    found = utils("text").shown(text, most)
    assert found.isprintable()
    assert len(found) <= 4 * most + 1  # a tab is as wide as four
    if text.isprintable() and len(text) <= most:
        assert found == text


# Files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an app is to have a file; beside it is one that is nobody's business."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other/secret").write_text("secret")
    return tmp_path / "8000.log"


def tail(path: Path, size: int = 100) -> str:
    return str(untrusted.tail(str(path), ME, size).decode())


def test_the_end_of_a_file_is_read(path: Path) -> None:
    path.write_text("")
    assert tail(path) == ""
    path.write_text("one\ntwo\nthree\n")
    assert (tail(path), tail(path, 6)) == ("one\ntwo\nthree\n", "three\n")


def test_of_a_file_that_has_no_end_no_more_is_read(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)
    assert tail(path) == "\0" * 100


def link(path: Path) -> None:
    path.symlink_to("other/secret")


def hard_link(path: Path) -> None:
    path.hardlink_to(path.with_name("other") / "secret")


@pytest.mark.parametrize("make", [link, os.mkfifo, Path.mkdir, hard_link])
def test_what_leads_elsewhere_or_waits_is_not_read(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(untrusted.UntrustedError, match=f"^{re.escape(str(path))} is (not a file|somebody else's)$"):
        tail(path)


def test_a_directory_that_leads_elsewhere_is_not_gone_through(path: Path) -> None:
    path.with_name("logs").symlink_to("other")
    with pytest.raises(NotADirectoryError):
        tail(path.with_name("logs") / "secret")


def test_a_file_of_another_user_is_not_read(path: Path) -> None:
    path.write_text("x")
    with pytest.raises(untrusted.UntrustedError, match=r"is somebody else's$"):
        untrusted.tail(str(path), (os.getuid() + 1,), 100)


def test_a_file_that_its_owner_keeps_to_himself_is_not_waited_for(path: Path) -> None:
    """The kernel would give him 45 seconds."""
    path.write_text("x")
    with path.open("r+") as mine:
        fcntl.fcntl(mine, fcntl.F_SETSIG, 23)  # SIGURG, which ends nobody; the usual one does
        fcntl.fcntl(mine, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        with pytest.raises(BlockingIOError):
            tail(path)
        fcntl.fcntl(mine, fcntl.F_SETLEASE, fcntl.F_UNLCK)


# Connections


@pytest.fixture
def port(ports: Callable[[int], list[int]]) -> int:
    """Where an app is to listen."""
    return ports(1)[0]


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("behave", [is_silent, drips(b""), drips(HEAD + b"X: "), drips(HEAD + b"Content-Length: 900\r\n\r\n")])
def test_an_answer_that_does_not_come_to_its_end_is_not_waited_for(port: int, behave: Behaviour) -> None:
    """A byte now and then makes the time no longer."""
    with impostor(port, behave):
        answer = get(f"127.0.0.1:{port}", "/healthz", "shop.test", 0.5, size=500)
    assert answer["error"] == "/healthz: timed out"


def test_a_body_that_does_not_end_does_not_matter_when_nobody_wants_it(port: int) -> None:
    with impostor(port, drips(HEAD + b"\r\n")):
        assert get(f"127.0.0.1:{port}", "/", "shop.test", PATIENCE)["error"] == ""
        assert get(f"127.0.0.1:{port}", "/", "shop.test", PATIENCE, size=3)["body"] == "xxx"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (HEAD + b"X: x\r\n" * 100_000, "/: "),  # http.client's own limit may come first
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000, "/: it answers more than 65545 bytes"),
        (b"HTTP/1.1 200 \x1b]0;x\x07" + b"x" * 70_000, "/: "),
        (b"\x1b[2J" * 100 + b"\r\n\r\n", "/: "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n", "/: "),
        (b"", "/: Remote end closed connection without response"),
    ],
)
def test_an_answer_that_is_none_is_an_error_that_can_be_shown(port: int, answer: bytes, error: str) -> None:
    with impostor(port, says(answer)):
        found = get(f"127.0.0.1:{port}", "/", "shop.test", PATIENCE, size=9)["error"]
    assert found.startswith(error)
    assert found.isprintable()
    assert len(found) < 300


def test_a_header_is_no_longer_than_can_be_shown(port: int) -> None:
    with impostor(port, says(HEAD + b"X: \x1b[2J" + b"x" * 5000 + b"\r\n\r\n")):
        found = get(f"127.0.0.1:{port}", "/", "shop.test", PATIENCE, headers=["X"])["headers"]["X"]
    assert found == f"\N{REPLACEMENT CHARACTER}[2J{'x' * 196}…"


def test_a_unix_socket_is_asked_when_it_is_the_apps(tmp_path: Path) -> None:
    (tmp_path / "8001.sock").symlink_to("8000.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/8002.sock")
    with impostor(tmp_path / "8000.sock", says(http(b"yes"))):
        for name, owner, body, error in (
            ("8000", ME[0], "yes", ""),
            ("8000", ME[0] + 1, "", "is somebody else's"),
            ("8001", ME[0], "", "is not a socket"),
            ("8002", ME[0], "", "Connection refused"),
        ):
            found = get(f"unix:{tmp_path}/{name}.sock", "/", "shop.test", PATIENCE, size=9, owner=owner)
            assert (found["body"], found["error"][-len(error) :] if error else found["error"]) == (body, error)


class Answers:
    """What the next request is answered with."""

    next = b""


@pytest.fixture(scope="module")
def anything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where somebody answers with what an example says."""
    path = tmp_path_factory.mktemp("a") / "sock"
    with impostor(path, lambda connection: says(Answers.next)(connection)):
        yield path


pieces = st.sampled_from(
    [
        b"HTTP/1.1 ",
        b"200",
        b" OK",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked",
        b"-1",
        b"f",
        b": ",
        b"\xb2",
        b"\0",
    ]
)


@given(answer=st.binary(max_size=200) | st.lists(pieces | st.binary(max_size=5), max_size=30).map(lambda parts: HEAD + b"".join(parts)))
def test_whatever_comes_is_an_answer_or_an_error(anything: Path, answer: bytes) -> None:
    Answers.next = answer
    found = get(f"unix:{anything}", "/", "shop.test", PATIENCE, headers=["X"], size=9, owner=ME[0])
    assert found["error"].isprintable()
    assert found["headers"]["X"].isprintable()
    assert (found["error"] == "") <= (200 <= found["status"] < 400)
