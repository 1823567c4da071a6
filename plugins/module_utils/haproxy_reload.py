"""A reload of HAProxy that refuses no client, and forgets of no server that it was down."""

from __future__ import annotations

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.haproxy import ask, down, process


def systemctl(module: AnsibleModule, verb: str) -> int:
    code, _, _ = module.run_command([module.get_bin_path("systemctl", required=True), verb, "haproxy.service"])
    return int(code)


def runs(module: AnsibleModule) -> bool:
    """Whether systemd runs HAProxy."""
    return systemctl(module, "is-active") == 0


def reload(module: AnsibleModule, socket: Path, state_file: Path, config: str, timeout: float) -> bool:
    """Reload HAProxy, and wait for a process that has loaded what is on disk, which is ``config``; whether one came within the seconds."""
    before = process(socket)
    state_file.parent.mkdir(parents=True, exist_ok=True)
    state_file.write_text(down(ask(socket, "show servers state"), config), encoding="utf-8")
    try:
        code = systemctl(module, "reload")
        deadline = time.monotonic() + timeout
        while code == 0 and time.monotonic() < deadline:
            if process(socket) not in (before, ""):
                return True
            time.sleep(0.05)
    finally:  # at somebody else's reload it would tell what was down today
        state_file.unlink(missing_ok=True)
    return False
