"""What the gate sees of the processes of a slot, look by look, and what it makes of that."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypedDict

from ansible_collections.tornado_app.deploy.plugins.module_utils.http import Answer
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import reached
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot


class Asked(Slot):
    """A slot with what this call asks of it: ``timeout`` and ``steady`` are seconds, ``pids`` those that passed before, by name."""

    timeout: float
    steady: float
    pids: dict[str, int]


class Seen(TypedDict):
    """One look at a process: ``port`` is 0 for a worker."""

    name: str
    port: int
    pid: int
    state: str
    answers: bool
    status: int
    latency_ms: float
    errors: list[str]


class Health(TypedDict):
    """A process, judged: see RETURN."""

    name: str
    port: int
    pid: int
    state: str
    status: int
    latency_ms: float
    healthy: bool
    error: str
    log: list[str]


class AppHealth(TypedDict):
    """The processes of an app's slot, judged."""

    app: str
    healthy: bool
    elapsed: float
    processes: list[Health]


def of_app(answers: Iterable[Answer], addresses: Sequence[str], owner: int) -> list[Answer]:
    """Answers, of no worth where somebody else than the app's user listens; of a unix socket that is known before it is asked."""
    ports = {address: int(address.rpartition(":")[2]) for address in addresses if not address.startswith("unix:")}
    listeners = reached(set(ports.values()))
    found: list[Answer] = []
    for address, answer in zip(addresses, answers):
        users = listeners.get(ports[address], set()) if address in ports else {owner}
        if answer["status"] and users != {owner}:
            listed = ", ".join(map(str, sorted(users))) or "?"
            found.append({**answer, "error": f"who listens on {address} is of user id {listed}, not the app's {owner}"})
        else:
            found.append(answer)
    return found


class Past:
    """What the looks at a process have told: the ids that it had, and since when the last of them has answered well."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.since = math.inf

    def add(self, process: Seen, moment: float) -> None:
        """Take in one look."""
        if process["pid"] and process["pid"] not in self.pids:
            self.pids.append(process["pid"])
            self.since = math.inf
        self.since = min(self.since, moment) if process["answers"] else math.inf

    @property
    def deaths(self) -> int:
        """How often it has died meanwhile, as far as that was seen."""
        return max(0, len(self.pids) - 1)
