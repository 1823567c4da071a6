"""Ansible action: show the apps of all hosts, see the module documentation of the same name."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import redis, releases, status, status_text
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "plan": {"type": "str", "required": True},
        "state": {"type": "str", "required": True},
        "redis": {"type": "dict", "default": {}},
    }
    _requires_connection = False

    def act(self, arguments: Arguments) -> Result:
        """Look at all hosts once, those that did not answer too."""
        fleet = self.fleet(arguments["plan"], arguments["state"])
        names = [str(host) for host in self.variables["ansible_play_hosts_all"]]
        targets, _ = releases.rollback(fleet)
        found = status.status(names, {host.name: host.apps for host in fleet}, {host.name: host.state for host in fleet}, targets)
        text = status_text.status_text(found)
        if hosts := self.variables.get("groups", {}).get("redis"):
            text += f"\n\n{redis.line(hosts[0], arguments['redis'])}"
        return {"hosts": found, "text": text}
