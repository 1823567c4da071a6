"""Ansible action: choose the cookie secrets of a fleet, see the module documentation of the same name."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import secret_values
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "plan": {"type": "str", "required": True},
        "found": {"type": "str", "required": True},
        "elsewhere": {"type": "list", "elements": "dict", "default": []},
    }
    _requires_connection = False

    def act(self, arguments: Arguments) -> Result:
        """Take the secret that most hosts have, or make one."""
        plans = [plan["apps"] for plan in self.of_each_host(arguments["plan"]).values()]
        found = [
            result["secrets"]
            for result in (*self.of_each_host(arguments["found"]).values(), *arguments["elsewhere"])
            if "secrets" in result
        ]
        return {"secrets": secret_values.cookie_secrets(plans, found)}
