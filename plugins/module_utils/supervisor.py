"""supervisord's own XML-RPC interface, over its unix socket. It runs as the app's user: what it answers is the app's word."""

from __future__ import annotations

import re
import socket
import struct
import xmlrpc.client
from collections.abc import Collection
from typing import Any, NamedTuple
from xml.parsers import expat

from ansible_collections.tornado_app.deploy.plugins.module_utils.http import MALFORMED, exchange
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import PIDS, Process, describe, own
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown
from ansible_collections.tornado_app.deploy.plugins.module_utils.untrusted import UntrustedError, connection
from ansible_collections.tornado_app.deploy.plugins.module_utils.users import user_id

TIMEOUT = 10.0  # seconds for a whole call
SIZE = 4_000_000  # bytes of an answer; a process takes some 1,300
MOST = 4096  # processes of an app
SHOWN = 5  # sentences on what cannot be believed

# An answer of supervisord (supervisor/xmlrpc.py): there is no such group.
BAD_NAME = 10
# What a call raises when there is no supervisord that answers it: nobody listens, it is ending, it is something else.
UNANSWERED = (OSError, xmlrpc.client.Fault)

# What it says of a process.
FIELDS = {"group": str, "name": str, "statename": str, "pid": int, "spawnerr": str, "description": str}
STATES = ("STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN")
NAME = re.compile(r"[0-9]{1,5}|[A-Za-z0-9_-]{1,100}\.[0-9]{1,5}")  # a port, or the number of a worker
# Tag -> the tags that may be in it, in its answers.
INSIDE = {
    "": ("methodResponse",),
    "methodResponse": ("params", "fault"),
    "params": ("param",),
    "param": ("value",),
    "fault": ("value",),
    "value": ("array", "struct", "string", "int", "boolean"),
    "array": ("data",),
    "data": ("value",),
    "struct": ("member",),
    "member": ("name", "value"),
}
DEEPEST = 20  # tags in each other; a list of processes has 10


class ProcessInfo(NamedTuple):
    """What supervisord says of a process; ``kernel`` is what the kernel does, None when it does not live."""

    group: str
    name: str
    statename: str
    pid: int
    problem: str
    kernel: Process | None


class Reader:
    """Puts an answer together. Python's own reader repeats a text as often as there are tags around it."""

    def __init__(self) -> None:
        self.path = [""]
        self.text: list[str] = []
        self.values: list[list[Any]] = [[]]  # of each array and struct that is open
        self.refused = False

    def read(self, content: bytes) -> list[Any]:
        """The values of an answer."""
        parser = expat.ParserCreate("utf-8")
        parser.StartDoctypeDeclHandler = self.declared
        parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = self.start, self.end, self.text_of
        parser.Parse(content, True)
        return self.values[0]

    def declared(self, *_: object) -> None:
        """A declaration may say that one character stands for millions."""
        raise ValueError("it has a declaration")

    def start(self, tag: str, _: object) -> None:
        """Go into a tag."""
        if tag not in INSIDE.get(self.path[-1], ()) or len(self.path) > DEEPEST:
            raise ValueError(f"<{shown(tag, 20)}> is out of place")
        self.path.append(tag)
        self.text = []
        if tag in ("data", "struct"):
            self.values.append([])

    def text_of(self, text: str) -> None:
        """Keep a part of a text."""
        self.text.append(text)

    def end(self, tag: str) -> None:
        """Come out of a tag, with what was in it."""
        self.path.pop()
        said, self.text = "".join(self.text), []
        if tag in ("string", "name"):
            self.values[-1].append(said)
        elif tag in ("int", "boolean"):
            if len(said) > 20:  # older versions of Python take minutes for a million digits
                raise ValueError("a number is too long")
            self.values[-1].append(int(said) if tag == "int" else bool(int(said)))
        elif tag == "data":
            self.values[-2].append(self.values.pop())
        elif tag == "struct":
            found = self.values.pop()
            self.values[-1].append(dict(zip(found[::2], found[1::2])))
        elif tag == "fault":
            self.refused = True


def value_of(content: bytes) -> Any:
    """The value that an answer has; raises what supervisord refuses with, and UntrustedError when it is no answer of supervisord's."""
    reader = Reader()
    try:
        (value,) = reader.read(content)
        if not reader.refused:
            return value
        code, text = value["faultCode"], value["faultString"]
        fault = xmlrpc.client.Fault(int(code), shown(text, 1000))
    except Exception as problem:  # whatever it stumbles over
        raise UntrustedError(f"its answer is none of supervisord's: {shown(str(problem)) or type(problem).__name__}") from None
    raise fault


def problem_of(entry: Any) -> str:
    """What cannot be believed of what supervisord says of a process; an empty string when all can."""
    if not isinstance(entry, dict):
        return "a process without a description"
    wrong = [field for field, kind in FIELDS.items() if type(entry.get(field)) is not kind]
    if wrong:
        return f"a process without {', '.join(wrong)}"
    if not NAME.fullmatch(entry["name"]):
        return f"a process with the name {shown(entry['name'], 40)!r}"
    if entry["statename"] not in STATES:
        return f"a process in the state {shown(entry['statename'], 40)!r}"
    return "" if entry["pid"] == 0 or entry["pid"] in PIDS else f"a process with the id {entry['pid']}"


class Supervisor:
    """The supervisord of an app, which has to be of its user and in its unit."""

    def __init__(self, path: str, user: str, unit: str, timeout: float = TIMEOUT) -> None:
        self.path = path
        self.owner = (user_id(user), unit)
        self.timeout = timeout
        self.listener = 0

    def call(self, method: str, *arguments: str | bool) -> Any:
        """Its answer; raises one of UNANSWERED."""
        body = xmlrpc.client.dumps(arguments, f"supervisor.{method}").encode()
        with connection(self.path, self.owner[0], self.timeout, SIZE) as over:
            self.listener = struct.unpack("3i", over.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))[0]
            try:
                with exchange(over, "POST", "/RPC2", {"Content-Type": "text/xml"}, body) as answer:
                    content = answer.read(SIZE)
            except MALFORMED as problem:
                raise UntrustedError(f"its answer is none of HTTP's: {shown(str(problem)) or type(problem).__name__}") from None
        if answer.status != 200:
            raise UntrustedError(f"it answers with the status {answer.status}")
        return value_of(content)

    def process(self) -> Process | None:
        """The process that has answered last, in the kernel's words; None when it is not the app's."""
        return own(self.listener, *self.owner)

    def processes(self, groups: Collection[str]) -> tuple[list[ProcessInfo], list[str]]:
        """Its processes of these groups, by name, and what it says that cannot be believed."""
        listed = self.call("getAllProcessInfo")
        if not isinstance(listed, list):
            raise UntrustedError("it answers with something else than its processes")
        found: dict[tuple[str, str], ProcessInfo] = {}
        strange: list[str] = []
        for entry in listed:
            if problem := problem_of(entry):
                strange.append(problem)
            elif entry["group"] in groups:
                group, name, pid = entry["group"], entry["name"], entry["pid"]
                kernel = describe(pid) if pid and len(found) < MOST else None
                if (group, name) in found or len(found) == MOST:
                    strange.append(f"{group}:{name}, once too often")
                elif kernel and (kernel.uid, kernel.unit) != self.owner:
                    strange.append(f"{group}:{name} as process {pid}, which is not the app's")
                else:
                    problem = shown(entry["spawnerr"] or entry["description"])
                    found[group, name] = ProcessInfo(group, name, entry["statename"], pid, problem, kernel)
        left = len(strange) - SHOWN
        return [found[key] for key in sorted(found)], [*strange[:SHOWN], *([f"{left} more"] if left > 0 else [])]
