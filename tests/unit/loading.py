"""The collection's plugins, which Python finds once Ansible's loader knows where the collection is. Imported before any of them."""

import importlib
from pathlib import Path
from typing import Any

from ansible.plugins.loader import init_plugin_loader

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/tornado_app"
COLLECTION = "ansible_collections.tornado_app.deploy"

init_plugin_loader([str(ROOT / "collections")])


def plugin(kind: str, name: str) -> Any:
    """A Python file of the collection: plugin("modules", "install_files")."""
    return importlib.import_module(f"{COLLECTION}.plugins.{kind}.{name}")
