"""Ansible action: configure nginx for apps, see the module documentation of the same name."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.certificates import UnusableError
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.files import nginx_absent, sites


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "plan": {"type": "dict"},
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
            idle = self.upstreams(slot for app in apps.values() for slot in app["slots"].values())
            files += [{"path": path, "content": content, "force": False} for path, content in idle.items()]
            absent = nginx_absent(arguments["plan"])
            files += [self.certificate(together[0]) for together in sites(apps) if together[0]["tls"]["source"]]
        files += [{"path": path, "content": content} for path, content in self.upstreams(arguments["upstreams"]).items()]
        return self.module("nginx_config", files=files, absent=absent)

    def certificate(self, app: App) -> dict[str, Any]:
        """A certificate with its key, or the names of one that the host makes; one that is issued later finds its place taken by that."""
        tls = app["tls"]
        if tls["source"] != "files":
            return {"path": tls["served"], "self_signed": app["server_names"], "force": tls["source"] == "self_signed"}
        try:
            return {"path": tls["served"], "secret": self.pair(app).file()}
        except UnusableError as problem:
            raise AnsibleActionFail(str(problem)) from None
