"""Ansible action: say what a run has made live, see the module documentation of the same name."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.report import summary


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "changes": {"type": "dict", "required": True},
        "gate": {"type": "str", "required": True},
        "switched": {"type": "str", "required": True},
        "drained": {"type": "str", "required": True},
    }
    _requires_connection = False

    def act(self, arguments: Arguments) -> Result:
        """Look at the results of all hosts once."""
        changes = {host: own["changes"] for host, own in arguments["changes"].items()}
        results = (self.of_each_host(arguments[name]) for name in ("gate", "switched", "drained"))
        return {"text": summary(changes, *results)}
