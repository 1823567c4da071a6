"""The role's Python files, which only Ansible finds by itself."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/tornado_app"


@cache
def load(path: str) -> Any:
    """Import a file of the role, by its path in the role."""
    name = f"tornado_app_under_test.{path.removesuffix('.py').replace('/', '.')}"
    spec = importlib.util.spec_from_file_location(name, ROLE / path)
    assert spec
    assert spec.loader
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
