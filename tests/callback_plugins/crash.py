"""Ansible callback of the tests: ends ansible-playbook at one of its tasks, as `kill -9` does. In the environment:

CRASH_LOG    file that gets a line, number and name, for each task that a host carries out. Killed before a task that all hosts skip, or
             that happens on the controller alone, a run leaves the same as killed before the next one.
CRASH_AT     where to end: a task's number, or a text of its name
CRASH_AFTER  set to anything: end when the first host has done that task, instead of at its start
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

CONTROLLER = {f"ansible.builtin.{name}" for name in ("assert", "debug", "fail", "include_tasks", "set_fact", "validate_argument_spec")} | {
    f"tornado_app.deploy.{name}"
    for name in ("changes", "check", "cookie_secrets", "plan", "redis_urls", "releases", "status", "summary", "verdict")
}

DOCUMENTATION = """
name: crash
type: aggregate
short_description: End ansible-playbook at one of its tasks
description: See the top of the file.
"""


def descendants(pid: int) -> Iterator[int]:
    """The processes below this one: Ansible's workers have sessions of their own, no signal to a group reaches them."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from descendants(child)


def crash() -> None:
    """Leave no worker behind to finish what it was doing; the hosts may well do so."""
    for pid in list(descendants(os.getpid())):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    os.kill(os.getpid(), signal.SIGKILL)


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible carries no types
    """The callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "crash"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.at = os.environ.get("CRASH_AT", "")
        self.after = bool(os.environ.get("CRASH_AFTER"))
        self.log = os.environ.get("CRASH_LOG", os.devnull)
        self.started = 0
        self.logged = 0
        self.armed = False

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002 # Ansible passes it by name
        self.started += 1
        here = self.started == int(self.at) if self.at.isdigit() else bool(self.at) and self.at in task.get_name()
        if here and not self.after:
            crash()
        self.armed = here

    def result(self, *_arguments: Any, **_options: Any) -> None:
        if self.armed:
            crash()

    def v2_runner_on_ok(self, result: Any) -> None:
        if self.logged < self.started and result.task.action not in CONTROLLER:
            self.logged = self.started
            with Path(self.log).open("a", encoding="utf-8") as log:
                log.write(f"{self.started} {result.task.get_name()}\n")
        self.result()

    v2_runner_on_skipped = v2_runner_on_failed = v2_runner_on_unreachable = result
