#!/usr/bin/python
"""Ansible module: ask the Redis of this host how it is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_info
short_description: Ask the Redis of this host how it is
description:
  - Asks by the socket of the role, as the role's own user.
options:
  directory:
    description: The directory of its configuration.
    type: path
    default: /etc/tornado_app/redis
  secret_file:
    description: The file of the fleet's secret.
    type: path
    default: /etc/tornado_app/redis_secret
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Ask Redis
  tornado_app.deploy.redis_info: {}
  register: __redis_found
"""

RETURN = r"""
running:
  description: Whether Redis answers. The following is there if it does.
  type: bool
  returned: success
version: {description: Its version., type: str, returned: success}
uptime: {description: Seconds since its start., type: int, returned: success}
memory: {description: Bytes of its data., type: int, returned: success}
maxmemory: {description: Bytes that it may have., type: int, returned: success}
clients: {description: Clients that are connected., type: int, returned: success}
saved: {description: When it wrote its last snapshot (UTC)., type: str, returned: success}
shortfalls:
  description: What is wrong, one sentence each, with the way out.
  type: list
  elements: str
  returned: success
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis import RefusedError, UnreachableError
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_server import CONFIG_DIRECTORY, entered, socket_of
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_users import SECRET_FILE
from ansible_collections.tornado_app.deploy.plugins.module_utils.root_file import text

LOG = "see journalctl -u redis-server -u valkey-server"


def shortfalls(info: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a server that answers."""
    if info.get("loading") == "1":
        yield f"Redis reads its data, and answers nobody until then, in {info.get('loading_eta_seconds', '?')} seconds by its own guess"
        return
    limit = int(info["maxmemory"])
    if limit and int(info["used_memory"]) >= limit and info.get("maxmemory_policy") == "noeviction":
        yield "Redis has no memory left, and takes no writes: raise redis_maxmemory, or have apps let their keys expire"
    if info.get("aof_enabled") != "1":
        yield "Redis does not write what it is given to its log (AOF); run --tags provision"
    for key, what in (("aof_last_write_status", "its log (AOF)"), ("rdb_last_bgsave_status", "its last snapshot")):
        if info.get(key, "ok") != "ok":
            yield f"Redis could not write {what}, and takes no writes then; {LOG}, and df on its disk"


def look(directory: Path, secret_file: Path) -> dict[str, Any]:
    """What there is to say of the server."""
    config, secret = text(directory / "redis.conf"), (text(secret_file) or "").strip()
    if config is None or not secret:
        return {"running": False, "shortfalls": ["Redis is not set up; run --tags provision"]}
    try:
        with entered(Path(socket_of(config)), [secret]) as server:
            if server is None:
                return {"running": False, "shortfalls": [f"Redis does not run as it is set up; {LOG}, then run --tags provision"]}
            info = server.info()
    except (RefusedError, UnreachableError) as problem:
        return {"running": False, "shortfalls": [f"Redis does not answer: {problem}; {LOG}"]}
    saved = datetime.fromtimestamp(int(info["rdb_last_save_time"]), timezone.utc)
    return {
        "running": True,
        "version": info.get("valkey_version") or info["redis_version"],
        "uptime": int(info["uptime_in_seconds"]),
        "memory": int(info["used_memory"]),
        "maxmemory": int(info["maxmemory"]),
        "clients": int(info["connected_clients"]) - 1,  # this module is one
        "saved": f"{saved:%Y-%m-%dT%H:%M:%SZ}",
        "shortfalls": list(shortfalls(info)),
    }


def main() -> None:
    """Run the module."""
    module = QuietModule(
        argument_spec={
            "directory": {"type": "path", "default": CONFIG_DIRECTORY},
            "secret_file": {"type": "path", "default": SECRET_FILE},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **look(Path(module.params["directory"]), Path(module.params["secret_file"])))


if __name__ == "__main__":
    main()
