"""A configuration tree of nginx below a directory of the test, and what nginx_config does with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import plugin
from tests.unit.conftest import run_module
from tests.unit.nginx_trees import nginx_tree

config = plugin("modules", "nginx_config")
own = plugin("module_utils", "nginx")

MAIN = """\
user www-data;
pid /run/nginx.pid;
worker_processes 1;
error_log /var/log/nginx/error.log;
events {}
http {
    access_log off;
    include mime.types;
    include conf.d/*.conf;
    include sites-enabled/*;
}
"""
SITE = "server { listen 80; return 200; }\n"


class Host:
    """A configuration tree with its nginx, which may run, and the files it shows to the module."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.root = nginx_tree(folder, {"nginx.conf": MAIN, "conf.d/site.conf": SITE}, port).parent
        self.state = folder / "state/nginx.loaded"

    def run(self, files: Mapping[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
        """Run the module."""
        return self.install([{"path": path, "content": text} for path, text in (files or {}).items()], **arguments)

    def install(self, files: list[dict[str, Any]], **arguments: Any) -> dict[str, Any]:
        """Run the module with files as it takes them."""
        own = {"root": self.root, "state_file": self.state, "lock": self.folder / "run/nginx.lock"}
        paths = {key: str(path) for key, path in own.items()}
        return run_module("nginx_config", files=files, tmpdir=self.folder, **{**paths, **arguments})

    def text(self, path: str) -> str | None:
        found: str | None = config.text(self.root / path)
        return found

    def tree(self) -> dict[str, bytes | str]:
        """All of it, to compare."""
        found: dict[str, bytes | str] = {}
        for path in self.root.rglob("*"):
            if path.is_symlink():
                found[str(path)] = os.readlink(path)
            elif path.is_file():
                found[str(path)] = path.read_bytes()
        return found


@pytest.fixture
def host(tmp_path: Path, nginx: Path, ports: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch) -> Host:
    """An nginx that does not run."""
    for module in (config, own):
        monkeypatch.setattr(module, "NGINX", str(nginx))
    monkeypatch.setattr(own, "PID_FILE", tmp_path / "nginx.pid")
    return Host(tmp_path, ports(1)[0])


def site(answer: int, port: int) -> str:
    return f"server {{ listen 127.0.0.1:{port}; return {answer}; }}\n"
