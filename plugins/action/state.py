"""Ansible action: read a host and compare it with its plan, see the module documentation of the same name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import ClassVar, NamedTuple

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App, Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.sandbox import of_rotation
from ansible_collections.tornado_app.deploy.plugins.module_utils.things import Thing
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import acme, checks, redis, things, tls
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.certificates import UnusableError
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import live_slots
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.files import File, nginx_absent, noted_ports, served, watchdog_settings
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import Plan
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.redis_inventory import RedisAction
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.report import certificate_notes
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.secret_values import htpasswds
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.status_text import maintained, outdated
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.things import FACT

# Step of mending -> the kinds of files that it writes, in one call.
STEPS = {
    "host": ("ports", "limits", "needrestart"),
    "role": ("own_file",),
    "acme": ("acme_file",),
    "supervisord": ("supervisord", "watchdog_settings", "unit_file", "tmpfiles", "rotation_file"),
}


class Planned(NamedTuple):
    """A file that a host is to have, by the kind and name that a difference of it has."""

    kind: str
    name: str
    file: File


def own(path: str, content: str, app: App) -> File:
    """A file that an app may read, and nobody else."""
    return {"path": path, "content": content, "group": app["user"], "mode": "0640"}


class ActionModule(RedisAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "plan": {"type": "dict", "required": True},
        "python": {"type": "str", "required": True},
        "packages": {"type": "list", "elements": "str", "required": True},
        "own_files": {"type": "list", "elements": "str", "required": True},
        "noted": {"type": "dict", "default": {}},
        "settings": {"type": "raw"},
        "defaults": {"type": "dict", "default": {}},
    }

    def act(self, arguments: Arguments) -> Result:
        """Look at the host, and once more where its Python is not the expected one."""
        python = arguments["python"]
        files = self.files(arguments, python)
        result = self.look(arguments, files)
        if not result.get("failed") and result["host"]["python"] not in ("", python):
            python = result["host"]["python"]
            files = self.files(arguments, python)
            result = self.look(arguments, files)
        return result if result.get("failed") else {**result, **self.judged(arguments, result, python, files)}

    def look(self, arguments: Arguments, files: Iterable[Planned]) -> Result:
        """The host as the module sees it."""
        plan = arguments["plan"]
        wanted = [
            *self.base(plan, [*arguments["packages"], *tls.packages(plan["apps"])]),
            *(things.file(planned.kind, planned.name, planned.file) for planned in files),
            *things.of_apps(plan["apps"]),
            *things.htpasswd(plan["apps"], htpasswds(plan["apps"], arguments["settings"] or {}, arguments["defaults"])),
            *self.of_nginx(plan),
            *acme.things(plan["apps"], plan["host"]["root"]),
        ]
        return self.module("state_info", apps=plan["apps"], things=wanted)

    def base(self, plan: Plan, packages: Iterable[str]) -> list[Thing]:
        """What the host is to have whatever its apps are, and directories for what some of them need."""
        root = plan["host"]["root"]
        directories = [things.directory(path, "root", "root", "0755") for path in acme.directories(plan["apps"], root)]
        return [*things.base(packages, root), *directories]

    def files(self, arguments: Arguments, python: str) -> list[Planned]:
        """The files that the host is to have, but nginx's and those of slots."""
        plan = arguments["plan"]
        root, apps = plan["host"]["root"], plan["apps"]
        ports = noted_ports(apps, arguments["noted"], plan["absent"])
        check = self.value("__tornado_app_check_supervisord", __tornado_app_python=python)
        found = [Planned("own_file", name, {"path": f"{root}/{name}", "content": self.read(name)}) for name in arguments["own_files"]]
        found += self.of_redis(root)
        found.append(Planned("ports", FACT, {"path": FACT, "content": ports}))
        for kind in ("service", "timer"):  # they rotate the logs of whichever app
            path = f"/etc/systemd/system/tornado_app-logs@.{kind}"
            content = self.render(f"logs.{kind}.j2", properties=of_rotation())
            found.append(Planned("rotation_file", path, {"path": path, "content": content}))
        found += self.of_acme(apps, root)
        for name, app in apps.items():
            unit = self.render("app.service.j2", app=app, __tornado_app_python=python)
            supervisord = self.render("supervisord.conf.j2", app=app, __tornado_app_python=python)
            contents: list[tuple[str, File]] = [
                ("needrestart", {"path": f"/etc/needrestart/conf.d/{name}.conf", "content": self.render("needrestart.conf.j2", app=app)}),
                ("limits", {"path": f"/etc/security/limits.d/{name}.conf", "content": self.render("limits.conf.j2", app=app)}),
                ("supervisord", {**own(app["config"], supervisord, app), "validate": f"{check} %s"}),
                ("watchdog_settings", own(f"{app['etc']}/watchdog.json", watchdog_settings(app), app)),
                ("unit_file", {"path": app["unit_file"], "content": unit}),
                # Behind the unit: where it is, the unit lets the app write to its sockets.
                ("tmpfiles", {"path": app["tmpfiles"], "content": self.render("tmpfiles.conf.j2", app=app)}),
            ]
            found += [Planned(kind, name, file) for kind, file in contents]
        return found

    def of_redis(self, root: str) -> Iterator[Planned]:
        """Whom apps trust with Redis. A file that cannot be read is a matter of what would bring it to the host."""
        found = self.fleet_redis()
        with suppress(UnusableError):
            if found and (content := self.redis_ca(found)):
                yield Planned("own_file", redis.CA, {"path": f"{root}/{redis.CA}", "content": content})

    def of_acme(self, apps: Apps, root: str) -> Iterator[Planned]:
        """What has certificates issued, where an app wants that."""
        if not acme.issuing(apps):
            return
        contents = {**acme.code(root, self.read("acme.py"), acme.OF_HOSTS), f"{root}/acme.json": acme.settings(apps)}
        contents |= {path: self.render(f"acme.{kind}.j2", root=root, server="nginx") for kind, path in acme.UNITS.items()}
        for path, content in contents.items():
            yield Planned("acme_file", path, {"path": path, "content": content})

    def of_nginx(self, plan: Plan) -> list[Thing]:
        """What nginx is to have; sites of apps that share one with another app, and of absent apps, are not to be."""
        apps: Apps = plan["apps"]
        lines = {slot["upstream_config"]: slot["balancing"] for app in served(apps).values() for slot in app["slots"].values()}
        return [*things.nginx(self.nginx_files(apps), lines, nginx_absent(plan)), *things.certificates(apps, self.digests(apps))]

    def digests(self, apps: Apps) -> dict[str, str]:
        """App -> digest of its certificate on the controller. One that cannot be read is a matter of what would bring it to the host."""
        found = {}
        for name, app in apps.items():
            if app["tls"]["source"] == "files":
                with suppress(UnusableError):
                    found[name] = hashlib.sha256(self.pair(f"tornado_apps.{name}.tls", app["tls"]).certificates().encode()).hexdigest()
        return found

    def judged(self, arguments: Arguments, state: Result, python: str, files: Iterable[Planned]) -> Result:
        """What follows from what the module has seen."""
        plan = arguments["plan"]
        apps, host, absent = plan["apps"], plan["host"], plan["absent"]
        sysctls = checks.sysctls(state["host"]["sysctls"], host["nofile"], apps) if host["sysctl"] else {}
        environment = PurePosixPath(self.value("__tornado_app_supervisor", __tornado_app_python=python)).name
        removals = checks.removals(absent, state)  # type: ignore[arg-type]
        further = things.compared(apps, state, environment, sysctls, [app["name"] for app in removals])  # type: ignore[arg-type]
        differences = [*state["differences"], *further]
        differs = things.by_kind(differences)
        wanted = (*self.base(plan, []), *things.of_apps(apps))
        directories = {thing["path"]: thing for thing in wanted if thing["check"] == "directory"}
        return {
            "differences": differences,
            "differs": differs,
            "reasons": things.shown(differences),
            "directories": [
                {key: thing[key] for key in ("path", "owner", "group", "mode")}
                for path, thing in directories.items()
                if path in differs.get("directory", [])
            ],
            "files": {
                step: [planned.file for planned in files if planned.kind in kinds and planned.name in differs.get(planned.kind, [])]
                for step, kinds in STEPS.items()
            },
            "sysctls": sysctls,
            "removals": removals,
            "unlisted": checks.unlisted(apps, absent, state),  # type: ignore[arg-type]
            "outdated": [outdated(host["name"], name, app["outdated"]) for name, app in state["apps"].items() if app["outdated"]],
            "maintenance": [
                maintained(host["name"], name, app["maintenance"]) for name, app in state["apps"].items() if app["maintenance"]
            ],
            "provisioned": [name for name, app in state["apps"].items() if app["provisioned"]],
            "static_files": things.static_files(apps, state),  # type: ignore[arg-type]
            "certificates": certificate_notes({name: app["tls"] for name, app in state["apps"].items() if name in apps}),
            "live": live_slots(apps, state),  # type: ignore[arg-type]
        }
