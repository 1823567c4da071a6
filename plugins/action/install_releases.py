"""Ansible action: bring archives to a host and have them unpacked, see the module documentation of the same name."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED
from ansible_collections.tornado_app.deploy.plugins.module_utils.releases import ARCHIVES
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {"releases": ARCHIVES, **LOCKED}
    TRANSFERS_FILES = True

    def act(self, arguments: Arguments) -> Result:
        """Bring all archives, and hand them to the module in one call."""
        if self._task.check_mode:
            return self.module("install_releases", **arguments)
        folder = self._connection._shell.tmpdir  # Ansible made it since this action transfers files, and removes it
        brought = []
        for number, release in enumerate(arguments["releases"]):
            path = self._transfer_file(release["path"], self._connection._shell.join_path(folder, f"{number}.tar.gz"))
            brought.append({**release, "path": path})
        self._fixup_perms2([folder, *(release["path"] for release in brought)])
        return self.module("install_releases", **{**arguments, "releases": brought})
