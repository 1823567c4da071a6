"""Ansible action: lay out the apps of a host, see the module documentation of the same name."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import layout, plan
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "apps": {"type": "raw", "required": True},
        "defaults": {"type": "dict", "required": True},
        "host": {"type": "dict", "required": True},
    }
    _requires_connection = False

    def act(self, arguments: Arguments) -> Result:
        """Fail with all that cannot work, or return the plan."""
        apps, defaults, host = (arguments[key] for key in ("apps", "defaults", "host"))
        self.refuse(plan.plan_problems(apps, defaults, host))
        return {"apps": plan.plan(apps, defaults, host), "absent": layout.absent(apps), "host": host}
