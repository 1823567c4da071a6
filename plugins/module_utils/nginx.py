"""nginx's configuration tree: what is in it, and what the running nginx has loaded of it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

NGINX = "/usr/sbin/nginx"
PID_FILE = Path("/run/nginx.pid")
# The digest of what nginx last loaded.
STATE_FILE = "/var/lib/tornado_app/nginx.loaded"


class RefusedError(Exception):
    """nginx refuses the configuration; the message is its own."""


def loaded_digest(root: Path) -> str:
    """Digest of the configuration on disk with all that it includes. A configuration that nginx refuses has an empty one."""
    try:
        return digest(root)
    except RefusedError:
        return ""


def digest(root: Path) -> str:
    """The same; raises RefusedError. Files may have any bytes."""
    done = subprocess.run([NGINX, "-T", "-q", "-c", str(root / "nginx.conf")], capture_output=True, check=False)
    if done.returncode:
        raise RefusedError(done.stderr.decode("utf-8", "replace").strip())
    return hashlib.sha256(done.stdout).hexdigest()


def master() -> int:
    """Process id of the running nginx; 0 when none runs."""
    try:
        pid = int(PID_FILE.read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return 0
    return pid
