"""The settings of what one host of the fleet runs: singletons, and cron. What cannot be, one sentence a finding."""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

try:
    from cronsim import CronSim, CronSimError
except ImportError:  # a controller needs Ansible alone; singletons.py reads the schedule before the gate
    CronSim = None  # type: ignore[assignment, misc]

NAME = re.compile(r"[A-Za-z0-9_-]+")
FIELDS = 5
KEYS = ("schedule", "command")

App = Mapping[str, Any]


def job_problems(where: str, app: App) -> Iterator[str]:
    """What is wrong with the singletons and the cron of an app."""
    for setting in ("singletons", "cron"):
        for name in app[setting]:
            if not isinstance(name, str):
                yield f"{where}.{setting}: {name!r} is not text: write it in quotes"
            elif not NAME.fullmatch(name):
                yield f"{where}.{setting}: {name!r} is not a valid name: it has letters, digits, - and _"
    for name in app["singletons"]:
        if name in app["cron"]:
            yield f"{where} has {name} in both singletons and cron: give one of them another name"
        yield from _command_problems(f"{where}.singletons.{name}", app["singletons"][name])
    for name, cron in app["cron"].items():
        own = f"{where}.cron.{name}"
        if not isinstance(cron, Mapping) or set(cron) != set(KEYS):
            yield f"{own} is not a dictionary of {' and '.join(KEYS)}: both are needed, and nothing else"
        else:
            yield from _schedule_problems(f"{own}.schedule", cron["schedule"])
            yield from _command_problems(f"{own}.command", cron["command"])


def _command_problems(where: str, command: Any) -> Iterator[str]:
    if not isinstance(command, str) or not command.strip():
        yield f"{where} is {command!r}: a command is needed"
        return
    try:
        fields = {part[1] for part in string.Formatter().parse(command) if part[1] is not None}
        shlex.split(command)
    except ValueError as error:
        yield f"{where} {command!r} cannot be read: {error}; a literal brace is written twice"
        return
    for field in sorted(fields - {"python"}):
        yield f"{where}: {{{field}}} is not known; known is {{python}}, a literal brace is written twice"


def _schedule_problems(where: str, schedule: Any) -> Iterator[str]:
    example = 'five fields are needed, minute, hour, day of the month, month and day of the week, as in "*/5 * * * *"'
    if not isinstance(schedule, str) or len(schedule.split()) != FIELDS:
        yield f"{where} is {schedule!r}: {example}"
    elif CronSim is not None:
        try:
            if next(CronSim(schedule, datetime.now(UTC)), None) is None:
                yield f"{where} {schedule!r} names a day that never comes"
        except CronSimError as problem:
            yield f"{where} {schedule!r} cannot be read: {problem}; {example}"
