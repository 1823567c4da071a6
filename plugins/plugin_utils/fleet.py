"""Whether a fleet goes on: what the results of its hosts say. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LINES = 20  # of what a command printed


class NoResultError(Exception):
    """A host was reached and has no result of a name: a step was renamed, or was not carried out. Never a pass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What a host has of the results that are asked for, by their names."""

    host: str
    results: Mapping[str, Any] = field(default_factory=dict)


def reasons(
    answers: Iterable[Answers], names: Sequence[str], lost: Iterable[str], label: str = "{item}", partial: bool = False
) -> dict[str, str]:
    """Host -> why the fleet cannot go on; empty when it can.

    ``lost`` are hosts that failed or did not answer, ``label`` is what a command that a task loops over is called in a message.
    With ``partial`` a host need not have all results yet.
    """
    found = {host: f"{host} failed or cannot be reached, see above; what it serves is for the next run to find out" for host in lost}
    for answer in answers:
        if answer.host in found:
            continue
        absent = [name for name in names if name not in answer.results]
        if absent and not partial:
            raise NoResultError(f"{answer.host} has no result {', '.join(absent)}")
        failed = [problem for name in names if name in answer.results and (problem := failure(answer.results[name], answer.host, label))]
        if failed:
            found[answer.host] = failed[0]
    return found


def text(found: Mapping[str, str]) -> str:
    """All reasons, each once, with the hosts that have it."""
    hosts: dict[str, list[str]] = {}
    for host, reason in found.items():
        hosts.setdefault(reason, []).append(host)
    return "\n".join(f"{', '.join(names)}: {reason}" for reason, names in hosts.items())


def messages(found: Mapping[str, str], hosts: Iterable[str]) -> dict[str, str]:
    """Host -> what it says when the fleet does not go on: its own reason or those whose hosts have one, and the reasons of lost hosts."""
    reached = list(hosts)
    lost = " ".join(reason for host, reason in found.items() if host not in reached)
    others = f"Stopped because of {', '.join(found)}."
    return {host: f"{found.get(host, others)} {lost}".strip() for host in reached} if found else {}


def failure(result: Mapping[str, Any], host: str, label: str) -> str:
    """Why a result is not good; empty when it is. A step that was skipped is good, one without a message is not."""
    if result.get("skipped"):
        return ""
    if failed := [problem for each in result.get("results", []) if (problem := failure(each, host, label))]:  # of a loop
        return "\n".join(failed)
    # Of a task with `failed_when: false` Ansible calls everything a success; what did not even come to its end says nothing else.
    broken = "failed_when_result" in result and "healthy" not in result and "rc" not in result
    if result.get("unreachable") or result.get("failed") or result.get("healthy") is False or broken:
        return str(result.get("msg") or "it failed without a message")
    if result.get("rc", 0) != 0:
        what = label.format(item=result["item"]) if "item" in result else "a module"
        return f"{what}, on {host}, ended with {result['rc']}: {last_lines(result)}"
    return ""


def last_lines(result: Mapping[str, Any]) -> str:
    """The end of what a command printed."""
    printed = f"{result.get('stdout', '')}\n{result.get('stderr', '')}".strip().splitlines()[-LINES:]
    return "\n".join(printed) or str(result.get("msg", ""))
