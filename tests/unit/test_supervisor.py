"""The client of supervisord: whatever answers in its place, a call ends in time and believes nothing that cannot be."""

from __future__ import annotations

import os
import socket
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.conftest import OWN, PATIENCE, utils
from tests.unit.impostor import PROCESS, Behaviour, drips, http, impostor, is_silent, lists, says, xml

supervisor = utils("supervisor")
UntrustedError = utils("untrusted").UntrustedError
GROUPS = ("shop-blue", "shop-green")


def client(path: Path, **given: Any) -> Any:
    """The client of the supervisord that listens there."""
    return supervisor.Supervisor(str(path), **{"timeout": PATIENCE, **OWN, **given})


def processes(path: Path, **given: Any) -> Any:
    """What is believed of what listens there, and what is not."""
    return client(path, **given).processes(GROUPS)


def refusal(path: Path, behave: Behaviour, timeout: float = PATIENCE) -> str:
    """Why nothing of an answer is believed."""
    with impostor(path, behave), pytest.raises(supervisor.UNANSWERED) as raised:
        processes(path, timeout=timeout)
    return str(raised.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a supervisord is to listen."""
    return tmp_path / "sock"


BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY x "RUNNING">]><methodResponse><params/></methodResponse>'
ANSWER = "<methodResponse><params><param>{}</param></params></methodResponse>"
DEEP = "<value><array><data>" * 40_000


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "its answer is none of HTTP's"),
        (b"220 mail.example.com ESMTP\r\n\x1b[2J\r\n", "its answer is none of HTTP's"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "its answer is none of HTTP's"),
        (http(b"no", "404 Not Found"), "it answers with the status 404"),
        (http(b"<html>"), "its answer is none of supervisord's"),
        (http(b"<html></html>"), "<html> is out of place"),
        (http(b"\xff\xfe<\0"), "its answer is none of supervisord's"),
        (http(BOMB.encode()), "it has a declaration"),
        (http(DEEP.encode()), "its answer is none of supervisord's"),
        (http(ANSWER.format(DEEP).encode()), "<data> is out of place"),
        (http(ANSWER.format("<value><string><string>x</string></string></value>").encode()), "<string> is out of place"),
        (http(ANSWER.format(f"<value><int>{'9' * 100_000}</int></value>").encode()), "a number is too long"),
        (http(ANSWER.format("<value><nil/></value>").encode()), "<nil> is out of place"),
        (http(ANSWER.format("").encode()), "its answer is none of supervisord's"),
        (http(b"<methodResponse><fault><value><int>1</int></value></fault></methodResponse>"), "its answer is none of supervisord's"),
        (http(b"x" * 2_000_000), "more than 1000000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000_000, "more than 1000000 bytes"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000, "more than 1000000 bytes"),
        (xml("RUNNING"), "it answers with something else than its processes"),
    ],
)
def test_an_answer_that_is_none_is_one_error(path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str) -> None:
    monkeypatch.setattr(supervisor, "SIZE", 1_000_000)
    said = refusal(path, says(answer))
    assert reason in said
    assert said.isprintable()
    assert len(said) < 400


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("behave", [is_silent, drips(b""), drips(HEAD + b"X: "), drips(HEAD + b"Content-Length: 900\r\n\r\n")])
def test_an_answer_that_does_not_come_to_its_end_is_not_waited_for(path: Path, behave: Behaviour) -> None:
    """A byte now and then makes the time no longer."""
    assert refusal(path, behave, timeout=0.5) == "timed out"


def test_what_supervisord_refuses_with_can_be_shown(path: Path) -> None:
    fault = xmlrpc.client.dumps(xmlrpc.client.Fault(10, "BAD_NAME: \x7f" + "x" * 5000)).encode()
    with impostor(path, says(http(fault))), pytest.raises(xmlrpc.client.Fault) as raised:
        client(path).call("addProcessGroup", "shop-blue")
    assert raised.value.faultCode == 10
    assert raised.value.faultString == f"BAD_NAME: \N{REPLACEMENT CHARACTER}{'x' * 989}…"


# The socket


def make_link(path: Path) -> None:
    path.symlink_to(path.with_name("other"))


@pytest.mark.parametrize("make", [make_link, Path.touch, os.mkfifo, Path.mkdir])
def test_what_is_no_socket_is_not_opened(path: Path, make: Callable[[Path], None]) -> None:
    with impostor(path.with_name("other"), lists(PROCESS)):
        make(path)
        with pytest.raises(UntrustedError, match=f"^{path} is not a socket$"):
            processes(path)


def test_a_link_to_the_directory_of_the_socket_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "run").symlink_to("other")
    with impostor(tmp_path / "other/sock", lists(PROCESS)), pytest.raises(NotADirectoryError):
        processes(tmp_path / "run/sock")


def test_the_socket_of_another_user_is_not_asked(path: Path) -> None:
    with impostor(path, lists(PROCESS)), pytest.raises(UntrustedError, match=f"^{path} is somebody else's$"):
        processes(path, user="no-such-user")


def test_the_kernel_says_who_has_answered(path: Path) -> None:
    """Not the answer."""
    with impostor(path, lists(PROCESS)):
        for unit, expected in ((OWN["unit"], os.getpid()), ("other.service", None)):
            asked = client(path, unit=unit)
            asked.processes(GROUPS)
            assert (asked.process().pid if asked.process() else None) == expected


# What it says of a process


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"name": "../../etc/shadow"}, "a process with the name '../../etc/shadow'"),
        ({"name": "8000\n"}, "a process with the name '8000\N{REPLACEMENT CHARACTER}'"),
        ({"name": "\N{ARABIC-INDIC DIGIT THREE}"}, "a process with the name '\N{ARABIC-INDIC DIGIT THREE}'"),
        ({"name": "worker.1.log"}, "a process with the name 'worker.1.log'"),
        ({"name": 8000}, "a process without name"),
        ({"group": ["shop-blue"]}, "a process without group"),
        ({"statename": "FINE"}, "a process in the state 'FINE'"),
        ({"pid": "1"}, "a process without pid"),
        ({"pid": True}, "a process without pid"),
        ({"pid": -1}, "a process with the id -1"),
        ({"pid": 2**22 + 1}, "a process with the id 4194305"),
        ({"description": {}, "spawnerr": 7}, "a process without spawnerr, description"),
        ({"name": "8001"}, "shop-blue:8001, once too often"),
    ],
)
def test_what_is_said_of_a_process_is_left_out_when_it_cannot_be(path: Path, wrong: dict[str, Any], reason: str) -> None:
    """The others count."""
    with impostor(path, lists({"name": "8001"}, wrong, {"name": "worker.1", "group": "shop-green"}, {"group": "other", "name": "1"})):
        found, strange = processes(path)
    assert [(info.group, info.name) for info in found] == [("shop-blue", "8001"), ("shop-green", "worker.1")]
    assert strange == [reason]


def test_a_process_that_is_not_the_apps_is_left_out(path: Path) -> None:
    with impostor(path, lists({"pid": os.getpid()})):
        (info,), strange = processes(path)
        assert (info.pid, info.kernel.pid, strange) == (os.getpid(), os.getpid(), [])
        assert processes(path, unit="other.service") == ([], [f"shop-blue:8000 as process {os.getpid()}, which is not the app's"])


def test_the_first_of_what_cannot_be_believed_are_told(path: Path) -> None:
    with impostor(path, lists(*({"pid": -number} for number in range(1, 8)))):
        assert processes(path) == ([], [*(f"a process with the id -{number}" for number in range(1, 6)), "2 more"])


def test_no_more_processes_are_believed_than_a_host_could_have(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "MOST", 2)
    with impostor(path, lists(*({"name": str(port)} for port in range(8000, 8003)))):
        found, strange = processes(path)
    assert ([info.name for info in found], strange) == (["8000", "8001"], ["shop-blue:8002, once too often"])


# Anything


class Answers:
    """What the next call is answered with."""

    next = b""

    def __call__(self, connection: socket.socket) -> None:
        says(self.next)(connection)


answers = Answers()


@pytest.fixture(scope="module")
def anything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where somebody answers with what an example says."""
    path = tmp_path_factory.mktemp("a") / "sock"
    with impostor(path, answers):
        yield path


scalars = st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.floats() | st.text(max_size=20) | st.binary(max_size=9)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3))
names = st.sampled_from(["8000", "worker.1", "x"]) | values
pids = st.sampled_from([0, 1, os.getpid()]) | values
entries = st.fixed_dictionaries(
    {
        "group": st.sampled_from([*GROUPS, "other"]) | values,
        "name": names,
        "pid": pids,
        "statename": st.sampled_from(supervisor.STATES) | values,
    },
    optional={"spawnerr": values, "description": st.text()},
)
pieces = st.sampled_from(
    [*(f"<{tag}>" for tag in supervisor.INSIDE), *(f"</{tag}>" for tag in supervisor.INSIDE), "<int>", "<string/>", "&x;", "7"]
)
garbage = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda content: b"HTTP/1.1 200 OK\r\n" + content),
    st.binary(max_size=200).map(http),
    st.lists(pieces, max_size=30).map(lambda parts: http("".join(parts).encode())),
    (values | st.lists(entries | values, max_size=5)).map(xml),
)


@given(answer=garbage)
def test_whatever_comes_is_believed_in_its_form_or_not_at_all(anything: Path, answer: bytes) -> None:
    answers.next = answer
    try:
        found, strange = processes(anything)
    except supervisor.UNANSWERED as problem:
        found, strange = [], [str(problem)]
    for info in found:
        assert info.group in GROUPS
        assert info.name in ("8000", "worker.1") or info.name.isdecimal()
        assert info.statename in supervisor.STATES
        assert info.kernel is None or info.kernel.pid == info.pid
        assert info.problem.isprintable()
    assert all(text.isprintable() and len(text) < 400 for text in strange)
