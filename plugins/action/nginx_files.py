"""Ansible action: configure nginx for apps, see the module documentation of the same name."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.certificates import UnusableError
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import found_slot
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.files import File, nginx_absent, served, sites, users
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.secret_values import htpasswds


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "plan": {"type": "dict"},
        "run": {"type": "str", "required": True},
        "state": {"type": "dict"},
        "upstreams": {"type": "list", "elements": "dict", "default": []},
        "users_of": {"type": "list", "elements": "str", "default": []},
        "settings": {"type": "raw"},
        "defaults": {"type": "dict", "default": {}},
    }

    def act(self, arguments: Arguments) -> Result:
        """Render all files and hand them to the module nginx_config in one call; users come before it, and go after it."""
        apps = {name: arguments["plan"]["apps"][name] for name in arguments["users_of"]}
        let_in = htpasswds(apps, arguments["settings"] or {}, arguments["defaults"])
        # nginx reads them at each request: as long as it asks for passwords they have to be there.
        written = self.install(arguments, [users(apps[name], secret) for name, secret in let_in.items()])
        if written.get("failed"):
            return written
        configured = self.configure(arguments)
        if configured.get("failed"):
            return configured
        gone: list[File] = [{"path": app["htpasswd"], "state": "absent"} for name, app in apps.items() if name not in let_in]
        removed = self.install(arguments, gone)
        if removed.get("failed"):
            return removed
        results = (written, configured, removed)
        diff = [part for result in results for part in result.get("diff", [])]
        return {**configured, "changed": any(result.get("changed") for result in results), "diff": diff}

    def install(self, arguments: Arguments, files: list[File]) -> Result:
        """Hand files to the module install_files, if there are any."""
        return self.module("install_files", run=arguments["run"], files=files) if files else {}

    def configure(self, arguments: Arguments) -> Result:
        """Hand the configuration to the module nginx_config."""
        files: list[dict[str, Any]] = []
        absent: list[str] = []
        if arguments["plan"]:
            apps = arguments["plan"]["apps"]
            owners = {together[0]["site_config"]: together[0]["name"] for together in sites(apps)}
            for path, content in self.nginx_files(apps).items():
                files.append({"path": path, "content": content, "app": owners.get(path, "")})
            states = arguments["state"]["apps"]
            found = [found_slot(app, states[name], slot) for name, app in served(apps).items() for slot in app["slots"]]
            files += [{"path": path, "content": content} for path, content in self.upstreams(found).items()]
            absent = nginx_absent(arguments["plan"])
            files += [self.certificate(together[0]) for together in sites(apps) if together[0]["tls"]["source"]]
        files += [{"path": path, "content": content} for path, content in self.upstreams(arguments["upstreams"]).items()]
        return self.module("nginx_config", files=files, absent=absent) if files else {}  # none for slots with workers alone

    def certificate(self, app: App) -> dict[str, Any]:
        """A certificate with its key, or the names of one that the host makes; one that is issued later finds its place taken by that."""
        tls = app["tls"]
        if tls["source"] != "files":
            return {"path": tls["served"], "self_signed": tls["names"], "force": tls["source"] == "self_signed"}
        try:
            return {"path": tls["served"], "secret": self.pair(f"tornado_apps.{app['name']}.tls", tls).file()}
        except UnusableError as problem:
            raise AnsibleActionFail(str(problem)) from None
