"""An app with all its paths below a directory of the test, and what state_info says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import plugin
from tests.unit.conftest import make_plan, relocated, run_module

apps = plugin("module_utils", "app_state")

App = dict[str, Any]


@pytest.fixture
def app(tmp_path: Path) -> App:
    """An app of two processes with all its paths below a directory of the test; nothing is there."""
    settings = {"shop": {"source": "app", "command": "{python} app.py {port}", "processes": 2}}
    found: App = relocated(make_plan(settings)["shop"], tmp_path)
    return found


def run(app: App, **arguments: Any) -> dict[str, Any]:
    """The state of the one app."""
    result = run_module("state_info", apps={"shop": app}, **arguments)
    assert not result.get("failed")
    assert not result["changed"]
    found: dict[str, Any] = result["apps"]["shop"]
    return found
