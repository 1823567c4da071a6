"""Configuration trees of nginx, made of rendered templates, that run on the machine of the tests."""

from __future__ import annotations

import getpass
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path


def nginx_tree(folder: Path, files: Mapping[str, str], port: int, tls_port: int = 443) -> Path:
    """A whole configuration tree of nginx from rendered templates, with what is the machine's own replaced: paths, user, ports 80 and 443.

    Returns the path of nginx.conf.
    """
    root = folder / "nginx"
    temporary = "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    for path, text in {"mime.types": "types { text/css css; text/plain txt; }\n", **files}.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        adapted = text.replace("/run/nginx.pid", f"{folder}/nginx.pid").replace("/var/log/nginx/", f"{folder}/")
        adapted = re.sub(r"(?<![\w.-])/(run|var/lib)/tornado_app/", f"{folder}/", adapted)
        adapted = adapted.replace("user www-data;", f"user {getpass.getuser()};").replace("http {\n", f"http {{\n{temporary}")
        for own, given in ((443, tls_port), (80, port)):
            adapted = re.sub(rf"listen {own}\b", f"listen 127.0.0.1:{given}", adapted)
            adapted = re.sub(rf"listen \[::\]:{own}\b", f"listen [::1]:{given}", adapted)
        target.write_text(adapted)
    for directory in ("modules-enabled", "sites-enabled", "conf.d"):
        (root / directory).mkdir(exist_ok=True)
    return root / "nginx.conf"


def nginx_test(nginx: Path, config: Path) -> tuple[bool, str]:
    """What nginx itself says of a configuration tree."""
    done = subprocess.run([nginx, "-t", "-e", "stderr", "-c", config], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stderr
