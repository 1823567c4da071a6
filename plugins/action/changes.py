"""Ansible action: decide what a run changes on the hosts of the fleet, see the module documentation of the same name."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import memory
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import fleet_changes
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "operation": {"type": "str", "required": True, "choices": ["deploy", "restart", "rollback"]},
        "run": {"type": "dict", "required": True},
        "plan": {"type": "str", "required": True},
        "state": {"type": "str", "required": True},
        "releases": {"type": "dict", "required": True},
        "compared": {"type": "str"},
    }
    _requires_connection = False

    def act(self, arguments: Arguments) -> Result:
        """Look at all hosts once."""
        operation = arguments["operation"]
        differing = self.of_each_host(arguments["compared"]) if arguments["compared"] else {}
        wanted = {host: own["releases"] for host, own in arguments["releases"].items()}
        fleet = self.fleet(arguments["plan"], arguments["state"], wanted, differing)
        if operation == "deploy":
            self.refuse(f"{host.name} has no result {arguments['compared']}" for host in fleet if host.name not in differing)
        hosts = fleet_changes(fleet, operation, arguments["run"])
        problems: list[str] = []
        for host in fleet:
            filled = [slot["app"] for slot in hosts[host.name]["starting"]]
            problems += memory.second_set_problems(host.apps, host.state, filled, host.name)
        self.refuse(problems)
        kinds = ("changes", "interrupted", "retiring")
        return {
            "hosts": hosts,
            "any": any(own[kind] for own in hosts.values() for kind in kinds),  # type: ignore[literal-required]
            "changing": any(own["changes"] for own in hosts.values()),
            "interrupted": any(own["interrupted"] for own in hosts.values()),
            "releasing": any(own["releasing"] for own in hosts.values()),
        }
