"""Ansible action: say which URL of Redis each app gets, see the module documentation of the same name."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import redis
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.redis_inventory import RedisAction


class ActionModule(RedisAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "plan": {"type": "str", "required": True},
        "asked": {"type": "dict", "required": True, "no_log": False},
        "present": {"type": "str", "required": True},
    }
    _requires_connection = False

    def act(self, arguments: Arguments) -> Result:
        """Take the secret of the inventory or of the host of Redis; where nobody says it, leave apps what they have."""
        found = self.fleet_redis()
        plans = self.of_each_host(arguments["plan"]).values()
        apps = sorted({name for plan in plans for name, app in plan["apps"].items() if app["redis"]})
        secret = found.secret or str(arguments["asked"].get("secret", "")) if found else ""
        if found and secret:
            root = next(plan["host"]["root"] for plan in plans)
            urls = {app: redis.url(found, app, secret, root) for app in apps}
        else:
            present = [own["urls"] for own in self.of_each_host(arguments["present"]).values() if "urls" in own]
            urls = redis.most_common(present, apps)
        unknown = [app for app in apps if app not in urls]
        return {"urls": urls, "note": "" if secret or not apps else redis.unasked(found.host if found else "", unknown)}
