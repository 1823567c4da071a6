"""Keep the processes of an app's live slot at work: watchdog.py SETTINGS. Runs under the app's supervisord, in its sandbox.

What supervisord has given up is started again, for ever. What holds its address without answering, or takes too much memory, gets a
signal; supervisord starts it again by itself, so nothing stays stopped when this one is killed. Who was stopped on purpose stays so, and
the idle slot is the gate's.

SETTINGS, the slot's record and the flag file are read at each look. When this file itself has changed, it ends, to be started anew.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from supervisor.childutils import getRPCInterface

LOOK = 1.0  # seconds between two looks
LONGEST = 30.0  # seconds before another start of what was given up
STEADY = 60.0  # seconds after which a process counts as well again
ASKED = 16  # processes at the same time
PATIENCE = 10.0  # seconds for an answer of supervisord

Info = Mapping[str, Any]  # what supervisord says of a process


def answers(address: str, path: str, host: str, timeout: float) -> bool | None:
    """Whether who listens there answers in time, whatever the answer is; None when nobody does, or hangs up."""
    kind, _, place = address.rpartition(":")
    end = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET) as over:
        over.settimeout(timeout)
        try:
            over.connect(place if kind == "unix" else (kind, int(place)))
            over.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            over.settimeout(max(0.001, end - time.monotonic()))
            return True if over.recv(1) else None
        except (socket.timeout, BlockingIOError):  # the latter: a unix socket whose queue is full
            return False
        except OSError:
            return None


class Ask(threading.Thread):
    """One request, which keeps nobody waiting."""

    def __init__(self, *question: Any) -> None:
        super().__init__(daemon=True)
        self.question = question
        self.answer: bool | None = None
        self.start()

    def run(self) -> None:
        """Ask."""
        self.answer = answers(*self.question)


class Watched:
    """What is known of a process of the live slot; times are those of the monotonic clock."""

    def __init__(self) -> None:
        self.tries, self.replaced = 0, 0.0  # how often it was started again without getting well; when it was replaced
        self.due: float | None = None  # when it is started again
        self.begin(0, 0.0)

    def begin(self, pid: int, now: float) -> None:
        """Know nothing of it but that it has been running from here on."""
        self.pid, self.since = pid, now
        self.ask: Ask | None = None
        self.asked, self.silences, self.answered = -LONGEST, 0, False

    def see(self, info: Info, now: float) -> None:
        """Take in what supervisord says."""
        if info["pid"] != self.pid or info["statename"] != "RUNNING":
            self.begin(info["pid"], now)
        elif now - self.since >= STEADY:
            self.tries = 0

    def hear(self, young: bool) -> None:
        """Take in the answer that has come, or has not."""
        if self.ask and not self.ask.is_alive():
            self.answered = self.answered or bool(self.ask.answer)
            self.silences = self.silences + 1 if self.ask.answer is False and not young else 0
            self.ask = None


class Replacement(NamedTuple):
    """A process that was told to end, of which supervisord starts a new one."""

    name: str
    pid: int
    kill: float  # when it has to end
    last: float  # when the next one may follow in any case


def memory() -> dict[int, tuple[int, int]]:
    """Process id -> parent and resident bytes, of all that can be seen, which in the sandbox are the app's."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as stream:
            fields = dict(line.split(":", 1) for line in stream if line.startswith(("PPid:", "VmRSS:")))
            found[int(pid)] = int(fields.get("PPid", 0)), int(fields.get("VmRSS", "0").split()[0]) * 1024
    return found


def size(pid: int, known: Mapping[int, tuple[int, int]]) -> int:
    """The resident bytes of a process and of all that it has started."""
    family, found = {pid}, {pid}
    while found:
        found = {child for child, (parent, _) in known.items() if parent in found} - family
        family |= found
    return sum(known[member][1] for member in family if member in known)


def addresses_of(record: str, infos: Mapping[str, Info]) -> dict[str, str]:
    """Process -> where it listens, of a slot whose processes listen each at an address of its own."""
    try:
        with open(record, encoding="utf-8") as stream:
            listed = json.load(stream)["addresses"]
    except (OSError, ValueError, LookupError, TypeError):  # the slot is just being removed
        return {}
    web = [info["name"] for info in infos.values() if info["name"].isdigit()]
    if len(listed) != len(web):  # they share one: who answers is the kernel's choice
        return {}
    found = {port: address for port in web for address in listed if address.endswith((f":{port}", f"/{port}.sock"))}
    return {key: found[info["name"]] for key, info in infos.items() if info["name"] in found}


def acts_of(state: str) -> dict[str, dict[str, Any]]:
    """Process -> what an earlier watchdog has done to it, as far as that can be read."""
    try:
        with open(state, encoding="utf-8") as stream:
            found = dict(json.load(stream))
        return {name: act for name, act in found.items() if isinstance(act, dict) and type(act.get("restarts")) is int}
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def mark(path: str) -> tuple[int, ...]:
    """What tells that a file has changed."""
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino


def attach_to_journal(identifier: str) -> None:
    """Let what is printed from here on go to journald, as launch.py does."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect("/run/systemd/journal/stdout")
        stream.sendall(f"{identifier}\n\n6\n1\n0\n0\n0\n".encode())
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)


def say(text: str) -> None:
    """Write a line to the log."""
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)


class Watchdog:
    """Looks again and again."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.own = mark(__file__)
        self.settings = self.read()
        self.known: dict[str, Watched] = {}
        self.replacing: Replacement | None = None
        self.acts = acts_of(self.settings["state"])

    def read(self) -> dict[str, Any]:
        """The settings as they are now."""
        with open(self.path, encoding="utf-8") as stream:
            return dict(json.load(stream))

    def look(self) -> None:
        """Look at all processes of the live slot once, and do what is to be done."""
        if mark(__file__) != self.own or (settings := self.read())["journal"] != self.settings["journal"]:
            sys.exit()  # supervisord starts what is there now
        self.settings = settings
        slot = settings["slots"]["green" if os.path.exists(settings["flag"]) else "blue"]
        supervisor = getRPCInterface(os.environ).supervisor
        listed = {f"{info['group']}:{info['name']}": info for info in supervisor.getAllProcessInfo()}
        infos = {name: info for name, info in listed.items() if info["group"] == slot["group"]}
        now = time.monotonic()
        self.acts = {name: act for name, act in self.acts.items() if name in listed}
        self.known = {name: self.known.get(name) or Watched() for name in infos}
        for name, info in infos.items():
            self.known[name].see(info, now)
            self.start_again(supervisor, name, info, now)
        addresses = addresses_of(slot["record"], infos) if infos and settings["liveness"]["interval"] else {}
        for name, address in addresses.items():
            self.ask(name, address, infos[name], now)
        self.follow(infos, addresses, now)
        reasons = self.reasons(infos, addresses)
        if reasons and not self.replacing:
            name = min(reasons, key=lambda name: self.known[name].replaced)  # not the same one for ever
            self.replace(name, infos[name]["pid"], reasons[name])

    def start_again(self, supervisor: Any, name: str, info: Info, now: float) -> None:
        """Start what supervisord has given up, later each time."""
        watched = self.known[name]
        if info["statename"] != "FATAL":
            watched.due = None
        elif watched.due is None:
            # Not all of them, nor all hosts, at the same moment: what they wait for may be overloaded.
            watched.due = now + min(LONGEST, 2.0 ** min(watched.tries, 10)) * random.uniform(0.5, 1)
        elif now >= watched.due:
            watched.tries, watched.due = watched.tries + 1, None
            supervisor.startProcess(name, False)
            self.note(name, f"supervisord had given it up: {info['spawnerr'] or 'no reason'}")

    def ask(self, name: str, address: str, info: Info, now: float) -> None:
        """Ask a process that runs, when its turn has come; one that has just been replaced at once."""
        watched, liveness = self.known[name], self.settings["liveness"]
        watched.hear(young=now - watched.since < self.settings["health"]["timeout"])
        awaited = self.replacing is not None and self.replacing.name == name and not watched.answered
        busy = sum(one.ask is not None for one in self.known.values()) >= ASKED
        if info["statename"] == "RUNNING" and not watched.ask and not busy and (awaited or now - watched.asked >= liveness["interval"]):
            watched.asked = now
            watched.ask = Ask(address, self.settings["health"]["path"], self.settings["host"], liveness["timeout"])

    def reasons(self, infos: Mapping[str, Info], addresses: Mapping[str, str]) -> dict[str, str]:
        """Process -> why it is to be replaced, of those that run."""
        found, liveness, limit = {}, self.settings["liveness"], self.settings["memory_limit"]
        sizes = memory() if limit else {}
        for name, info in infos.items():
            if info["statename"] != "RUNNING":
                continue
            if name in addresses and self.known[name].silences >= liveness["failures"]:
                times = f"within {liveness['timeout']} s, {self.known[name].silences} times"
                found[name] = f"it listens and did not answer {self.settings['health']['path']} {times}"
            elif limit and (taken := size(info["pid"], sizes)) > limit:
                found[name] = f"it took {taken} bytes of memory, memory_limit is {limit}"
        return found

    def replace(self, name: str, pid: int, reason: str) -> None:
        """Tell a process to end, as supervisord would."""
        self.known[name].replaced = time.monotonic()
        end = self.known[name].replaced + self.settings["stop_timeout"]
        self.replacing = Replacement(name, pid, end, end + self.settings["health"]["timeout"])
        with suppress(ProcessLookupError):
            (os.killpg if self.settings["listen"] == "fork" else os.kill)(pid, signal.SIGTERM)
        self.note(name, reason)

    def follow(self, infos: Mapping[str, Info], addresses: Mapping[str, str], now: float) -> None:
        """Go on with the replacement, until the new process answers or has had its time."""
        former, info = self.replacing, infos.get(self.replacing.name) if self.replacing else None
        if not former or not info or info["statename"] in ("STOPPING", "STOPPED"):
            self.replacing = None  # none, or it is somebody else's matter now
            return
        gone = info["pid"] != former.pid
        # What it has started may hold its port. Another process that has its number by now is not to be hit.
        if now >= former.kill and not (gone and os.path.exists(f"/proc/{former.pid}")):
            with suppress(OSError):
                os.killpg(former.pid, signal.SIGKILL)
        well = gone and info["statename"] == "RUNNING" and (former.name not in addresses or self.known[former.name].answered)
        with suppress(OSError):
            os.killpg(former.pid, 0)
            well = False  # some of its group are left
        self.replacing = None if well or now >= former.last else former

    def note(self, name: str, reason: str) -> None:
        """Tell the log and the status what was done to a process."""
        say(f"{name} is started again: {reason}")
        before = self.acts[name]["restarts"] if name in self.acts else 0
        self.acts[name] = {"restarts": before + 1, "reason": reason, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        with open(f"{self.settings['state']}.new", "w", encoding="utf-8") as stream:
            json.dump(self.acts, stream)
        os.replace(f"{self.settings['state']}.new", self.settings["state"])


def main() -> None:
    """Look until the end; what goes wrong is said once, and tried again."""
    socket.setdefaulttimeout(PATIENCE)  # of supervisord's own client
    watchdog, problem = Watchdog(sys.argv[1]), ""
    if watchdog.settings["journal"]:
        with suppress(OSError):
            attach_to_journal(watchdog.settings["journal"])
    while True:
        try:
            watchdog.look()
            problem = ""
        except Exception as error:
            if repr(error) != problem:
                problem = repr(error)
                say(f"cannot look: {problem}")
        time.sleep(LOOK)


if __name__ == "__main__":
    main()
