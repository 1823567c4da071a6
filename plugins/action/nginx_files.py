"""Ansible action: configure nginx for apps, see the module documentation of the same name."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import found_slot
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.files import nginx_absent, sites


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "plan": {"type": "dict"},
        "state": {"type": "dict"},
        "upstreams": {"type": "list", "elements": "dict", "default": []},
    }

    def act(self, arguments: Arguments) -> Result:
        """Render all files and hand them to the module nginx_config in one call."""
        files: list[dict[str, Any]] = []
        absent: list[str] = []
        if arguments["plan"]:
            apps = arguments["plan"]["apps"]
            owners = {together[0]["site_config"]: together[0]["name"] for together in sites(apps)}
            for path, content in self.nginx_files(apps).items():
                files.append({"path": path, "content": content, "app": owners.get(path, "")})
            states = arguments["state"]["apps"]
            found = [found_slot(app, states[name], slot) for name, app in apps.items() for slot in app["slots"]]
            files += [{"path": path, "content": content} for path, content in self.upstreams(found).items()]
            absent = nginx_absent(arguments["plan"])
        files += [{"path": path, "content": content} for path, content in self.upstreams(arguments["upstreams"]).items()]
        return self.module("nginx_config", files=files, absent=absent)
