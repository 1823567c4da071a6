"""What a rollback goes to, for the fleet as a whole: pure functions of the facts (app_facts) of its hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Host = Mapping[str, Any]


def targets(hosts: Iterable[Host], release: str = "") -> dict[str, str]:
    """App -> the release to go back to, out of the variables of all hosts.

    With ``release`` the app that has it. Without, the apps that the last deploy or rollback has changed, each to the one release that
    is what every host serves already or served before.
    """
    return _resolved(list(hosts), str(release))[0]


def problems(hosts: Iterable[Host], release: str = "") -> list[str]:
    """Why there is no such release, one sentence each; empty when the rollback can go on."""
    return _resolved(list(hosts), str(release))[1]


def _resolved(hosts: list[Host], release: str) -> tuple[dict[str, str], list[str]]:
    # app -> host -> facts
    apps: dict[str, dict[str, Any]] = {}
    for host in hosts:  # those that did not answer are told of elsewhere
        for name, state in (host.get("__tornado_app_facts") or {}).get("apps", {}).items():
            apps.setdefault(name, {})[host["inventory_hostname"]] = state
    if release:
        return _named(apps, release)
    found: dict[str, str] = {}
    failed: list[str] = []
    for name, states in _of_the_last_run(apps).items():
        choices = _common(states)
        if len(choices) == 1:
            found[name] = choices[0]
        else:
            failed.append(_unclear(name, states, choices))
    if not found and not failed:  # no history of what is live, or nothing is
        failed = [_unclear(name, states, []) for name, states in apps.items() if any(_served(state) for state in states.values())]
        failed = failed or ["nothing was deployed yet: there is nothing to go back to"]
    return found, failed


def _served(state: Mapping[str, Any]) -> str:
    live = state["slots"][state["live"]]
    return str(live["release"]) if live["deployed"] else ""


def _of_the_last_run(apps: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The apps that the latest of the runs has changed of which the histories know."""
    latest = {}
    for name, states in apps.items():
        entries = [state["history"][0] for state in states.values() if state["history"]]
        if entries:
            latest[name] = max((entry["at"], entry["run"]) for entry in entries)
    return {name: apps[name] for name, moment in latest.items() if moment == max(latest.values())}


def _common(states: Mapping[str, Any]) -> list[str]:
    """The releases to which the fleet could go so that each host keeps what it serves or goes to what it served before."""
    hosts = list(states.values())
    choices = dict.fromkeys(state["previous"] for state in hosts if state["previous"] and state["previous"] != _served(state))
    return [choice for choice in choices if all(choice in (_served(state), state["previous"]) for state in hosts)]


def _unclear(app: str, states: Mapping[str, Any], choices: list[str]) -> str:
    way_out = "name one with -e tornado_app_release=<id>"
    if choices:
        return f"{app} could go back to {' or '.join(choices)}; {way_out}"
    if not any(state["previous"] for state in states.values()):
        return f"{app} has nothing to go back to: what it served before was rolled back from, or is gone; {way_out}: {_kept(states)}"
    each = ", ".join(f"{host} to {state['previous'] or 'nothing'}" for host, state in states.items())
    return f"{app} would not come to one release ({each}); {way_out}: {_kept(states)}"


def _kept(states: Mapping[str, Any]) -> str:
    """The releases that are kept on all hosts, those that were live last first."""
    hosts = list(states.values())
    order = [entry["release"] for state in hosts for entry in state["history"]] + [
        release for state in hosts for release in state["releases"]
    ]
    kept = [release for release in dict.fromkeys(order) if all(state["releases"].get(release) for state in hosts)]
    return f"kept on {'all hosts' if len(hosts) > 1 else next(iter(states))} are {', '.join(kept) or 'none'}"


def _named(apps: Mapping[str, Mapping[str, Any]], release: str) -> tuple[dict[str, str], list[str]]:
    owners = {name: states for name, states in apps.items() if any(release in state["releases"] for state in states.values())}
    if not owners:
        kept = "; ".join(f"of {name}, {_kept(states)}" for name, states in apps.items())
        return {}, [f"tornado_app_release {release} is on no host; {kept}"]
    failed = []
    for name, states in owners.items():
        missing = [host for host, state in states.items() if not state["releases"].get(release)]
        if missing:
            failed.append(f"tornado_app_release {release} of {name} is not whole on {', '.join(missing)}; {_kept(states)}")
    return dict.fromkeys(owners, release), failed
