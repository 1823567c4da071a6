"""Ansible action: write, compare or remove the files of slots, see the module documentation of the same name."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import files, things
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import planned_slot
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.secret_values import secret_values


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "plan": {"type": "dict", "required": True},
        "run": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "compared", "absent"], "default": "present"},
        "slots": {"type": "list", "elements": "dict", "default": []},
        "changes": {"type": "list", "elements": "dict", "default": []},
        "releases": {"type": "dict", "default": {}},
        "settings": {"type": "raw"},
        "defaults": {"type": "dict", "default": {}},
        "cookie_secrets": {"type": "dict", "default": {}, "no_log": False},
        "redis_urls": {"type": "dict", "default": {}, "no_log": False},
        "noted": {"type": "dict", "default": {}},
    }

    def act(self, arguments: Arguments) -> Result:
        """Put all files together, and hand them to the module install_files in one call."""
        if arguments["state"] == "absent":
            slots = arguments["slots"]
            result = self.module("install_files", run=arguments["run"], files=files.removals(slots))
            logs = files.stale_logs(arguments["plan"]["apps"], slots, arguments["plan"]["host"]["slot_stride"])
            if result.get("failed") or not logs:
                return result
            removed = self.module("remove_logs", run=arguments["run"], paths=logs)
            return {**result, **removed, "changed": any(found.get("changed") for found in (result, removed))}
        starting = [change["slot"] for change in arguments["changes"] if not change["running"]]
        own = self.own_files(arguments, [*arguments["slots"], *starting])
        listed = [file for found in own.values() for file in found]
        if arguments["state"] == "present":
            listed = [*self.shared_files(arguments, starting), *listed]
        result = self.module("install_files", run=arguments["run"], files=listed)
        paths = result.get("paths", [])
        return {**result, "apps": [app for app, found in own.items() if any(file["path"] in paths for file in found)]}

    def own_files(self, arguments: Arguments, slots: list[Slot]) -> dict[str, list[files.File]]:
        """App -> what its slot runs, with which secrets, and how it is supervised, as planned for its release."""
        apps, releases = arguments["plan"]["apps"], arguments["releases"]
        made = (arguments["cookie_secrets"], arguments["redis_urls"])
        secrets = secret_values(apps, arguments["settings"] or {}, arguments["defaults"], *made)
        validate = self.value("__tornado_app_check_supervisord")
        runner = files.Runner(arguments["plan"]["host"]["name"], self.value("__tornado_app_singletons"))
        found = {}
        for name, which in ((slot["app"], slot["name"]) for slot in slots):
            app, release = apps[name], releases[name]
            slot = planned_slot(app, which, release)
            config = self.render("slot.conf.j2", app=app, slot=slot)
            found[name] = files.own_files(app, slot, release, config, validate, secrets[name], runner)
            if logs := files.log_files(slot):
                rotated = self.render("slot.logrotate.j2", logs=logs, max_bytes=files.log_max_bytes(app, slot))
                found[name].append(files.rotation(app, slot, rotated))
            else:  # an interrupted run may have filled it otherwise
                found[name].append({"path": slot["logrotate"], "state": "absent"})
        return found

    def shared_files(self, arguments: Arguments, starting: list[Slot]) -> list[files.File]:
        """What else is written before slots start: launcher, ports, links, histories, cookie secrets."""
        plan, releases = arguments["plan"], arguments["releases"]
        ports = files.noted_ports(plan["apps"], arguments["noted"], plan["absent"])
        found: list[files.File] = [
            {"path": self.value("__tornado_app_launcher"), "content": self.read("launch.py")},
            {"path": things.FACT, "content": ports},
        ]
        found += [files.link(slot, releases[slot["app"]]) for slot in starting]
        found += [files.history(change["slot"], change["history"]) for change in arguments["changes"] if change["history"]]
        found += [files.cookie(plan["apps"][slot["app"]], arguments["cookie_secrets"][slot["app"]]) for slot in starting]
        return found
