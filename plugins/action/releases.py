"""Ansible action: decide which release each app of the fleet shall run, see the module documentation of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import checks, files, memory, releases, work
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import Fleet, Host, served
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import Release


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "operation": {"type": "str", "required": True, "choices": ["deploy", "restart", "rollback"]},
        "plan": {"type": "str", "required": True},
        "state": {"type": "str", "required": True},
        "release": {"type": "str", "default": ""},
        "built": {"type": "list", "elements": "dict", "default": []},
        "project": {"type": "str", "default": ""},
        "prepared": {"type": "bool", "default": True},
    }
    _requires_connection = False

    def act(self, arguments: Arguments) -> Result:
        """Look at all hosts once; fail with all that stands against it."""
        operation, fleet = arguments["operation"], self.fleet(arguments["plan"], arguments["state"])
        if operation == "deploy":
            return self.deploy(fleet, arguments)
        if operation == "restart":
            wanted = {host.name: releases.live_releases(host) for host in fleet}
            self.refuse(problem for host in fleet for problem in checks.restart_problems(host.apps, host.state, host.name))
        else:
            targets, problems = releases.rollback(fleet, arguments["release"])
            self.refuse(problems)
            wanted = {host.name: releases.kept_releases(host, targets) for host in fleet}
        self.refuse(
            problem
            for host in fleet
            for problem in (
                *checks.supervisord_problems(host.apps, host.state, wanted[host.name], host.name, "start"),
                *checks.start_problems(host.apps, wanted[host.name]),
                *work.idle_problems(host.apps, {name: own["commands"] for name, own in wanted[host.name].items()}, host.name),
            )
        )
        return {
            "any": False,
            "hosts": {name: {"releases": own, "new": [], "environments": []} for name, own in wanted.items()},
        }

    def deploy(self, fleet: Fleet, arguments: Arguments) -> Result:
        """The releases that the sources make, and what of them is not on each host yet."""
        if arguments["release"]:
            self.refuse(["tornado_app_release names a release for --tags rollback; a deploy makes its own from the source"])
        built = arguments["built"]
        self.refuse(checks.build_problems(built))
        artifacts = {host.name: releases.artifacts_of(host.apps, built, arguments["project"]) for host in fleet}
        problems: list[str] = []
        for host in fleet:
            problems += checks.source_problems(host.apps, host.state, artifacts[host.name], host.name)
            commands = {name: artifact["processes"] for name, artifact in artifacts[host.name].items()}
            problems += work.idle_problems(host.apps, commands, host.name)
            problems += checks.room_problems(host.apps, host.state, artifacts[host.name], host.name)
            # Others may get a second set for their settings; changes.py knows of these when the host has been mended.
            new = [name for name, own in artifacts[host.name].items() if served(host.state["apps"][name]) != own["release"]]
            problems += memory.second_set_problems(host.apps, host.state, new, host.name)
            if arguments["prepared"]:
                problems += checks.supervisord_problems(host.apps, host.state, host.apps, host.name, "provision")
        self.refuse(problems)
        hosts = {host.name: self.installed(host, artifacts[host.name]) for host in fleet}
        return {
            "any": any(own["new"] or own["environments"] for own in hosts.values()),
            "hosts": hosts,
            "warnings": releases.apart(fleet, artifacts),
        }

    def installed(self, host: Host, artifacts: Mapping[str, Any]) -> Result:
        """What a host is to have of the releases that it shall run."""
        wanted: dict[str, Release] = releases.wanted_releases(host.apps, artifacts, host.state["host"]["python"])
        return {
            "releases": wanted,
            "new": [
                {
                    "app": name,
                    "path": artifacts[name]["path"],
                    "releases": host.apps[name]["releases"],
                    "release": wanted[name]["release"],
                    "group": host.apps[name]["user"],
                    "static": host.apps[name]["static"],
                }
                for name in releases.new_releases(host.state, wanted)
            ],
            "environments": releases.new_environments(host.apps, host.state, wanted, artifacts),
            "records": files.release_records(host.apps, wanted),
        }
