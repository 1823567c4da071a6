"""Ansible action: read a host and compare it with its plan, see the module documentation of the same name."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import ClassVar

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.sandbox import of_rotation
from ansible_collections.tornado_app.deploy.plugins.module_utils.things import Thing
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import checks, things
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import live_slots
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.files import (
    nginx_absent,
    noted_ports,
    watchdog_path,
    watchdog_settings,
)
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import Plan
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.status_text import outdated


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "plan": {"type": "dict", "required": True},
        "python": {"type": "str", "required": True},
        "packages": {"type": "list", "elements": "str", "required": True},
        "own_files": {"type": "list", "elements": "str", "required": True},
        "noted": {"type": "dict", "default": {}},
    }

    def act(self, arguments: Arguments) -> Result:
        """Look at the host, and once more where its Python is not the expected one."""
        python = arguments["python"]
        result = self.look(arguments, python)
        if not result.get("failed") and result["host"]["python"] not in ("", python):
            python = result["host"]["python"]
            result = self.look(arguments, python)
        return result if result.get("failed") else {**result, **self.judged(arguments, result, python)}

    def look(self, arguments: Arguments, python: str) -> Result:
        """The host as the module sees it."""
        plan = arguments["plan"]
        wanted = [*self.wanted(plan["apps"], arguments, python), *self.of_nginx(plan)]
        return self.module("state_info", apps=plan["apps"], things=wanted)

    def wanted(self, apps: Apps, arguments: Arguments, python: str) -> list[Thing]:
        """What the host is to have, but nginx's configuration."""
        root = arguments["plan"]["host"]["root"]
        found = things.base(arguments["packages"], root)
        found += [things.file("own_file", name, f"{root}/{name}", self.read(name)) for name in arguments["own_files"]]
        found.append(things.file("ports", things.FACT, things.FACT, self.noted(arguments)))
        found += [things.file("rotation_file", path, path, content) for path, content in self.rotation().items()]
        for name, app in apps.items():
            unit = self.render("app.service.j2", app=app, __tornado_app_python=python)
            supervisord = self.render("supervisord.conf.j2", app=app, __tornado_app_python=python)
            found += [
                things.file("needrestart", name, f"/etc/needrestart/conf.d/{name}.conf", self.render("needrestart.conf.j2", app=app)),
                things.file("limits", name, f"/etc/security/limits.d/{name}.conf", self.render("limits.conf.j2", app=app)),
                things.file("supervisord", name, app["config"], supervisord, app["user"], "0640"),
                things.file("watchdog_settings", name, watchdog_path(app), watchdog_settings(app), app["user"], "0640"),
                things.file("unit_file", name, app["unit_file"], unit),
                things.file("tmpfiles", name, app["tmpfiles"], self.render("tmpfiles.conf.j2", app=app)),
            ]
        return found + list(things.of_apps(apps))

    def rotation(self) -> dict[str, str]:
        """Path -> content of the units that rotate the logs of whichever app."""
        kinds = {kind: self.render(f"logs.{kind}.j2", properties=of_rotation()) for kind in ("service", "timer")}
        return {f"/etc/systemd/system/tornado_app-logs@.{kind}": content for kind, content in kinds.items()}

    def of_nginx(self, plan: Plan) -> list[Thing]:
        """What nginx is to have; sites of apps that share one with another app, and of absent apps, are not to be."""
        apps: Apps = plan["apps"]
        once = [slot["upstream_config"] for app in apps.values() for slot in app["slots"].values()]
        return list(things.nginx(self.nginx_files(apps), once, nginx_absent(plan)))

    def noted(self, arguments: Arguments) -> str:
        """The local fact that says which ports the apps have."""
        return noted_ports(arguments["plan"]["apps"], arguments["noted"], arguments["plan"]["absent"])

    def judged(self, arguments: Arguments, state: Result, python: str) -> Result:
        """What follows from what the module has seen."""
        plan = arguments["plan"]
        apps, host, absent = plan["apps"], plan["host"], plan["absent"]
        sysctls = checks.sysctls(state["host"]["sysctls"], host["nofile"], apps) if host["sysctl"] else {}
        environment = PurePosixPath(self.value("__tornado_app_supervisor", __tornado_app_python=python)).name
        removals = checks.removals(absent, state)  # type: ignore[arg-type]
        own = things.compared(apps, state, environment, sysctls, [app["name"] for app in removals])  # type: ignore[arg-type]
        differences = [*state["differences"], *own]
        differing = things.by_kind(differences).get("directory", [])
        wanted = (*things.base([], plan["host"]["root"]), *things.of_apps(apps))
        directories = {thing["path"]: thing for thing in wanted if thing["check"] == "directory"}
        return {
            "differences": differences,
            "differs": things.by_kind(differences),
            "reasons": things.shown(differences),
            "directories": [directory for path, directory in directories.items() if path in differing],
            "ports": self.noted(arguments),
            "watchdogs": {
                name: {"path": watchdog_path(app), "content": watchdog_settings(app), "group": app["user"], "mode": "0640"}
                for name, app in apps.items()
            },
            "rotation": self.rotation(),
            "sysctls": sysctls,
            "removals": removals,
            "unlisted": checks.unlisted(apps, absent, state),  # type: ignore[arg-type]
            "outdated": [outdated(host["name"], name, app["outdated"]) for name, app in state["apps"].items() if app["outdated"]],
            "provisioned": [name for name, app in state["apps"].items() if app["provisioned"]],
            "live": live_slots(apps, state),  # type: ignore[arg-type]
        }
