"""A reload of nginx that costs no client a request."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx import master
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import nginx_workers, peers, ports_of

CLOSING = "/run/tornado_app/closing"
KEEPALIVE = 65.0  # seconds after which an idle connection is over in any case
TIMEOUT = 15.0  # seconds that new workers may take to appear


class NotReloadedError(Exception):
    """nginx did not do it; the message says why."""


def reload(closing: Path = Path(CLOSING), keepalive: float = KEEPALIVE, timeout: float = TIMEOUT) -> None:
    """Ask clients to close their connections, reload, and wait until workers with the new configuration have taken over."""
    ask_to_close(closing)
    try:
        let_clients_go(keepalive)
        replace_workers(timeout)
    finally:
        closing.unlink(missing_ok=True)


def ask_to_close(closing: Path) -> None:
    """From now on each answer says that its connection will be closed, until the file is removed."""
    closing.parent.mkdir(parents=True, exist_ok=True)
    closing.parent.chmod(0o755)  # nginx's workers look for the file
    closing.touch()


def clients(ports: set[int]) -> set[tuple[int, str]]:
    """The connections of clients, by port and their other end."""
    return {(port, peer) for port in ports for peer in peers(port)}


def let_clients_go(timeout: float) -> set[tuple[int, str]]:
    """Wait until no connection is left that was there before clients were asked to open new ones; returns those that are left then."""
    ports = ports_of(master())
    left = clients(ports)
    deadline = time.monotonic() + timeout
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left &= clients(ports)
    return left


def replace_workers(timeout: float) -> None:
    """Reload nginx and wait until workers with the new configuration have taken over."""
    pid = master()
    before = set(nginx_workers(pid))
    done = subprocess.run(["systemctl", "reload", "nginx.service"], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise NotReloadedError(f"systemctl reload nginx.service: {(done.stderr or done.stdout).strip()}")
    deadline = time.monotonic() + timeout
    while not (now := set(nginx_workers(pid))) or now & before:
        if time.monotonic() > deadline:
            raise NotReloadedError("nginx was told to reload but did not replace its workers; see /var/log/nginx/error.log")
        time.sleep(0.05)
