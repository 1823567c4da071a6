"""The filters of the collection; what they do is in plugin_utils, what they are for in the .yml files beside this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import checks, releases, report, run


class FilterModule:
    """The filters, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name -> function."""
        return {
            "fetch_problems": checks.fetch_problems,
            "holder": run.holder,
            "lease": run.lease,
            "shortfalls": report.shortfalls,
            "sources": releases.sources,
        }
