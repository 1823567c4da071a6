"""Sources, artifacts and releases: what a fleet is built from, and which release each app of a host shall run."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App, Apps, Environment
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import AppState, State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import Fleet, Host, record_of, served
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import Artifact, Release

# A URL, or what ssh and git take for one: user@host:path.
REMOTE = re.compile(r"\w[\w+.-]*://|[\w.-]+@[\w.-]+:")

Source = tuple[str, str, str]  # path or URL, version, requirements file


def sources(plans: Iterable[Apps], root: str, cache: str) -> list[dict[str, str]]:
    """What has to be built for a fleet: each source once.

    ``path`` is what build_artifact packs, ``repository`` what has to be fetched to there before; empty for a directory or an archive.
    """
    found = {_source(app, root): name for plan in plans for name, app in plan.items()}
    return [
        {
            "source": source,
            "version": version or "HEAD",
            "requirements": requirements,
            "app": name,
            "repository": source if is_repository(source, version) else "",
            "path": f"{cache}/{checkout(source, version)}" if is_repository(source, version) else source,
        }
        for (source, version, requirements), name in found.items()
    ]


def _source(app: App, root: str) -> Source:
    return absolute(app["source"], root), app["version"], app["requirements"]


def absolute(source: str, root: str) -> str:
    """A source's absolute path on the controller, a relative one below ``root``; a URL as it is."""
    return source if REMOTE.match(source) else os.path.normpath(os.path.join(root, os.path.expanduser(source)))


def is_repository(source: str, version: str) -> bool:
    """Whether git has to fetch a source: one that is on another machine, a bare repository, or one of which a version is named."""
    bare = all(os.path.exists(os.path.join(source, name)) for name in ("HEAD", "objects", "refs"))
    return bool(version or REMOTE.match(source) or bare)


def checkout(source: str, version: str) -> str:
    """The name of the directory in which a version of a repository is checked out on the controller."""
    return hashlib.sha256(f"{source}\0{version}".encode()).hexdigest()[:12]


def artifacts_of(apps: Apps, results: Iterable[Mapping[str, Any]], root: str) -> dict[str, Artifact]:
    """App -> the result of build_artifact for its source."""
    built: dict[Source, Any] = {
        (result["item"]["source"], result["item"]["version"], result["item"]["requirements"]): result for result in results
    }
    keys = {name: _source(app, root) for name, app in apps.items()}
    return {name: built[source, version or "HEAD", requirements] for name, (source, version, requirements) in keys.items()}


def apart(fleet: Fleet, artifacts: Mapping[str, Mapping[str, Artifact]]) -> list[str]:
    """What an operator should hear of apps that get a new release, and whose visitors may not see each other: a sentence each."""
    found: dict[str, str] = {}
    for host in fleet:
        for name, artifact in artifacts[host.name].items():
            app, new = host.apps[name], artifact["release"] not in host.state["apps"][name]["releases"]
            counts = [other.apps[name]["processes"] for other in fleet if name in other.apps]
            if new and artifact["alone"] and sum(counts) > 1 and app["balance"] == "least_conn":
                found[name] = (
                    f"tornado_apps.{name}: {artifact['alone']} handles websockets, nothing imports a client of Redis or the like, and it "
                    f"has {sum(counts)} processes in all. Visitors of one do not see those of another. If they should, share it by "
                    "Redis, or give it processes: 1 on one host; balance: cookie keeps a client at its process; see docs/realtime.md"
                )
    return list(found.values())


def wanted_releases(apps: Apps, artifacts: Mapping[str, Artifact], python: str) -> dict[str, Release]:
    """App -> the release that a deploy wants. ``python`` is the version of the host, for apps that name none."""
    found: dict[str, Release] = {}
    for name, artifact in artifacts.items():
        wanted = apps[name]["python"] or artifact["python"] or python
        found[name] = {
            "release": artifact["release"],
            "environment": environment_digest(artifact["requirements_digest"], wanted),
            "python": wanted,
            "commands": {kind: process["command"] for kind, process in artifact["processes"].items()},
            "version": artifact["version"],
            "commit": artifact["commit"],
        }
    return found


def environment_digest(requirements_digest: str, python: str) -> str:
    """The name of an environment: it follows from what is installed and from the Python that it is installed for."""
    return hashlib.sha256(f"{requirements_digest}\0{python}".encode()).hexdigest()[:12]


def new_releases(state: State, releases: Mapping[str, Release]) -> list[str]:
    """The apps whose release is not on the host yet."""
    return [name for name, release in releases.items() if release["release"] not in state["apps"][name]["releases"]]


def new_environments(apps: Apps, state: State, releases: Mapping[str, Release], artifacts: Mapping[str, Artifact]) -> list[Environment]:
    """The environments that the releases need and that are not on the host yet, as install_environments takes them."""
    found: list[Environment] = []
    for name, release in releases.items():
        app, directory = apps[name], f"{apps[name]['releases']}/{release['release']}"
        if release["environment"] not in state["apps"][name]["environments"]:
            artifact = artifacts[name]
            from_file = artifact["requirements_digest"] and not artifact["dependencies"]
            found.append(
                {
                    "path": f"{app['environments']}/{release['environment']}",
                    "python": state["host"]["pythons"][release["python"]],
                    "install": [f"--requirement={directory}/{app['requirements']}"] if from_file else artifact["dependencies"],
                    "chdir": directory,
                    "app": name,
                    "setting": f"tornado_apps.{name}.requirements",
                }
            )
    return found


def live_releases(host: Host) -> dict[str, Release]:
    """App -> the release of its live slot."""
    return {name: record_of(state, state["slots"][state["live"]]["release"]) for name, state in host.state["apps"].items()}


def kept_releases(host: Host, wanted: Mapping[str, str]) -> dict[str, Release]:
    """App -> the release that is wanted, which is on the host; of the apps that this host has."""
    apps = host.state["apps"]
    return {name: record_of(apps[name], release) for name, release in wanted.items() if name in apps}


def rollback(fleet: Fleet, release: str = "") -> tuple[dict[str, str], list[str]]:
    """App -> the release that the fleet goes back to, and why there is no such release, one sentence each.

    With ``release`` the app that has it. Without, the apps that the last deploy or rollback has changed, each to the one release that
    every host serves already or served before.
    """
    apps: dict[str, dict[str, AppState]] = {}
    for host in fleet:
        for name, state in host.state["apps"].items():
            apps.setdefault(name, {})[host.name] = state
    if release:
        return _named(apps, release)
    found: dict[str, str] = {}
    failed: list[str] = []
    for name, states in _of_the_last_run(apps).items():
        choices = _common(list(states.values()))
        if len(choices) == 1:
            found[name] = choices[0]
        else:
            failed.append(_unclear(name, states, choices))
    if not found and not failed:  # no history of what is live, or nothing is
        failed = [_unclear(name, states, []) for name, states in apps.items() if any(served(state) for state in states.values())]
        failed = failed or ["nothing was deployed yet: there is nothing to go back to"]
    return found, failed


def _of_the_last_run(apps: Mapping[str, dict[str, AppState]]) -> dict[str, dict[str, AppState]]:
    """The apps that the latest of the runs has changed of which the histories know."""
    latest = {}
    for name, states in apps.items():
        entries = [state["history"][0] for state in states.values() if state["history"]]
        if entries:
            latest[name] = max((entry["at"], entry["run"]) for entry in entries)
    return {name: apps[name] for name, moment in latest.items() if moment == max(latest.values())}


def _common(states: Sequence[AppState]) -> list[str]:
    """The releases to which the fleet could go so that each host keeps what it serves or goes to what it served before."""
    choices = dict.fromkeys(state["previous"] for state in states if state["previous"] and state["previous"] != served(state))
    return [choice for choice in choices if all(choice in (served(state), state["previous"]) for state in states)]


def _unclear(app: str, states: Mapping[str, AppState], choices: list[str]) -> str:
    way_out = "name one with -e tornado_app_release=<id>"
    if choices:
        return f"{app} could go back to {' or '.join(choices)}; {way_out}"
    if not any(state["previous"] for state in states.values()):
        return f"{app} has nothing to go back to: what it served before was rolled back from, or is gone; {way_out}: {_kept(states)}"
    each = ", ".join(f"{host} to {state['previous'] or 'nothing'}" for host, state in states.items())
    return f"{app} would not come to one release ({each}); {way_out}: {_kept(states)}"


def _kept(states: Mapping[str, AppState]) -> str:
    """The releases that are kept on all hosts, those that were live last first."""
    hosts = list(states.values())
    order = [entry["release"] for state in hosts for entry in state["history"]]
    order += [release for state in hosts for release in state["releases"]]
    kept = [release for release in dict.fromkeys(order) if all(state["releases"].get(release) for state in hosts)]
    return f"kept on {'all hosts' if len(hosts) > 1 else next(iter(states))} are {', '.join(kept) or 'none'}"


def _named(apps: Mapping[str, dict[str, AppState]], release: str) -> tuple[dict[str, str], list[str]]:
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
