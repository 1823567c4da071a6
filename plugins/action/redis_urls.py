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
        "refused": {"type": "list", "elements": "dict", "default": []},
        "present": {"type": "str", "default": ""},
    }
    _requires_connection = False

    def act(self, arguments: Arguments) -> Result:
        """Take the secret of the inventory or of the host of Redis; where that is of no use, leave apps what they have."""
        found = self.fleet_redis()
        plans = self.of_each_host(arguments["plan"]).values()
        apps = sorted({name for plan in plans for name, app in plan["apps"].items() if app["redis"]})
        secret = found.secret or str(arguments["asked"].get("secret", "")) if found else ""
        present = self.of_each_host(arguments["present"]).values() if arguments["present"] else []
        live = redis.most_common([own["urls"] for own in present if "urls" in own], apps)
        if not found or not secret:
            unknown = [app for app in apps if app not in live]
            return {"urls": live, "note": redis.unasked(found.host if found else "", unknown) if apps else ""}
        root = next(plan["host"]["root"] for plan in plans)
        urls = {app: redis.url(found, app, secret, root) for app in apps}
        refused = {answer["app"]: answer["error"] for answer in arguments["refused"]}
        kept = {app: live[app] for app in refused if live.get(app, urls[app]) != urls[app]}
        return {"urls": {**urls, **kept}, "note": redis.refused([refused[app] for app in kept]) if kept else ""}
