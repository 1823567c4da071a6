#!/usr/bin/python
"""Ansible module: install the configuration and the users of Redis, and bring a running server to them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_config
short_description: Install the configuration and the users of Redis, and bring a running server to them
description:
  - Writes configuration, users, certificate and what is added to the unit, where root alone can change them.
  - A running server gets users, C(maxmemory) and C(maxmemory-policy) at once, and no client of another user loses its connection.
    For anything else it says that the unit has to be restarted, and does not restart it.
  - Users that it is not told of stay as they are.
options:
  server: {description: "Which server it is.", type: str, choices: [redis, valkey], required: true}
  config: {description: "The whole configuration.", type: str, required: true}
  unit: {description: "What is added to the unit of the distribution.", type: str, required: true}
  addresses: {description: "What O(config) listens on; has to be the host's own.", type: list, elements: str, required: true}
  users: {description: "App to the patterns of its keys and channels.", type: dict, required: true}
  absent: {description: "Apps that have no user any more.", type: list, elements: str, default: []}
  secret: {description: "The secret of the fleet; the host makes and keeps one when it is empty.", type: str, default: ""}
  certificate: {description: "Where O(config) has the certificates with the key, if there are any.", type: path}
  pem: {description: "What is in O(certificate); no output shows it.", type: str, default: ""}
  directory: {description: "The directory of O(config).", type: path, default: /etc/tornado_app/redis}
  secret_file: {description: "Where the secret is kept.", type: path, default: /etc/tornado_app/redis_secret}
  unit_file: {description: "Where O(unit) is; by default in the directory of the server's unit.", type: path}
  data: {description: "The directory of its data; by default that of the distribution.", type: path}
  group: {description: "Who may read O(directory); by default the group of the distribution.", type: str}
  program: {description: "The server; by default that of the distribution.", type: path}
attributes:
  check_mode:
    description: Where the server is not installed, it counts as one that will be.
    support: full
  diff_mode:
    description: Shows neither a secret nor the hash of one.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Configure Redis
  tornado_app.deploy.redis_config:
    server: redis
    config: "{{ lookup('ansible.builtin.template', 'redis.conf.j2') }}"
    unit: "{{ lookup('ansible.builtin.template', 'unit.conf.j2') }}"
    addresses: [127.0.0.1, 10.0.0.9]
    users: {shop: ["shop:*"]}
"""

RETURN = r"""
paths:
  description: The files that changed, or in check mode would.
  type: list
  elements: path
  returned: success
restart:
  description: Whether the unit has to be restarted, or started.
  type: bool
  returned: success
msg:
  description: What cannot work. Nothing is changed then.
  type: str
  returned: failure
"""

import grp
import re
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.haproxy import unavailable
from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis import Redis, RefusedError, UnreachableError
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_server import (
    CONFIG_DIRECTORY,
    FULL,
    LIVE,
    bring_users,
    differing,
    entered,
    is_older,
    socket_of,
)
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_users import (
    FUNCTIONS,
    SECRET_FILE,
    Version,
    held_or_made,
    rules,
    users_file,
    without_hashes,
)
from ansible_collections.tornado_app.deploy.plugins.module_utils.root_file import PUBLIC, SECRET, install, is_own, text

FOR_SERVER = 0o640


class File(NamedTuple):
    """A file as it is to be, and what a diff shows of it."""

    path: Path
    content: str
    mode: int = PUBLIC
    group: int = -1
    shown: str = ""

    def differs(self) -> bool:
        """Whether it is not there like that."""
        return text(self.path) != self.content or not is_own(self.path, self.mode, self.group)


class Configuration:
    """What is wanted, and what is there."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        given = module.params
        server = given["server"]
        self.program = Path(given["program"] or f"/usr/bin/{server}-server")
        self.directory, self.secret_file = Path(given["directory"]), Path(given["secret_file"])
        self.data = Path(given["data"] or f"/var/lib/{server}")
        self.unit = File(Path(given["unit_file"] or f"/etc/systemd/system/{server}-server.service.d/tornado_app.conf"), given["unit"])
        self.version = self.version_of_program()
        self.group = self.id_of(given["group"] or server)
        self.held = (text(self.secret_file) or "").strip()
        self.secret = given["secret"] or held_or_made(self.secret_file, keep=False)
        users = self.directory / "users.acl"
        self.wanted = rules(self.secret, given["users"], self.version)
        self.files = [self.unit, self.of_server(self.directory / "redis.conf", given["config"])]
        self.files.append(self.of_server(users, users_file(self.wanted, text(users) or "", given["absent"]), hidden=True))
        if given["certificate"]:
            self.files.append(self.of_server(Path(given["certificate"]), given["pem"], hidden=True))
        self.files.append(File(self.secret_file, f"{self.secret}\n", SECRET, shown="(a secret)\n"))
        self.missing = [file for file in self.files if file.differs()]

    def of_server(self, path: Path, content: str, *, hidden: bool = False) -> File:
        """A file that the server reads."""
        shown = without_hashes(content) if path.suffix == ".acl" else "(a certificate and its key)\n" if hidden else content
        return File(path, content, FOR_SERVER, self.group, shown)

    def version_of_program(self) -> Version:
        """The version of the installed server."""
        if not self.program.exists() and self.module.check_mode:
            return FUNCTIONS
        _, output, _ = self.module.run_command([str(self.program), "--version"])
        found = re.search(r"v=(\d+)\.(\d+)", output)
        if found is None:
            raise SystemExit(self.module.fail_json(msg=f"{self.program} does not say its version: is its package installed?"))
        return int(found[1]), int(found[2])

    def id_of(self, group: str) -> int:
        """The group of the server; in check mode it may still be made."""
        try:
            return grp.getgrnam(group).gr_gid
        except KeyError:
            return 0

    def refuse(self, *, running: bool) -> None:
        """Fail with all that would keep the server from its next start with what it gets, or one that is not the role's from its data."""
        problems = [
            f"{address} is not an address of this host ({why}): give redis_bind those that it has, or redis_address the right one"
            for address in self.module.params["addresses"]
            if (why := unavailable(address, 0))
        ]
        snapshot, logs = self.data / "dump.rdb", [self.data / name for name in ("appendonlydir", "appendonly.aof")]
        if not running and snapshot.exists() and not any(log.exists() for log in logs):
            problems.append(
                f"{snapshot} has data of a Redis without a log (AOF), which would be lost: have the running one write it, "
                "by `redis-cli config set appendonly yes`, or move the file away"
            )
        if problems:
            self.module.fail_json(msg="\n".join(problems))

    @property
    def has_new_settings(self) -> bool:
        """Whether the server is to have other settings than those of its file."""
        return any(file.path == self.directory / "redis.conf" for file in self.missing)

    def install(self) -> None:
        """Put the files that differ in place; remove former certificates."""
        for folder in (self.directory.parent, self.directory):  # whatever the umask is, the server has to pass
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        for file in self.missing:
            install(file.path, file.content, file.mode, file.group)
        for path in set(self.directory.glob("*.pem")) - {file.path for file in self.files}:
            path.unlink()

    def bring(self, server: Redis) -> tuple[bool, bool]:
        """Bring a running server to what is wanted, where it can take that: whether this changes it, and whether it has to restart."""
        config, absent = self.module.params["config"], self.module.params["absent"]
        differs = differing(server, config)
        live = {name: value for name, value in differs.items() if name in LIVE}
        restart = bool(differs.keys() - live.keys()) or self.unit in self.missing or is_older(server, self.unit.path)
        if self.module.check_mode:
            return bool(live), restart
        users = bring_users(server, self.wanted, absent)
        for name, value in live.items():
            server.ask("CONFIG", "SET", name, value)
        return users or bool(live), restart

    def diff(self) -> list[dict[str, str]]:
        """What changes, without a secret."""
        return [
            {
                "before_header": str(file.path),
                "after_header": str(file.path),
                "before": self.before(file),
                "after": file.shown or file.content,
            }
            for file in self.missing
        ]

    def before(self, file: File) -> str:
        """What a diff shows of what is there."""
        found = text(file.path) or ""
        if file.path.suffix == ".acl":
            return without_hashes(found)
        return found if file.shown in ("", file.content) else "(another one)\n" if found else ""


def main() -> None:
    """Run the module."""
    options = {name: {"type": "path"} for name in ("certificate", "unit_file", "data", "program")}
    module = QuietModule(
        argument_spec={
            "server": {"type": "str", "choices": ["redis", "valkey"], "required": True},
            **{name: {"type": "str", "required": True} for name in ("config", "unit")},
            "addresses": {"type": "list", "elements": "str", "required": True},
            "users": {"type": "dict", "required": True},
            "absent": {"type": "list", "elements": "str", "default": []},
            "secret": {"type": "str", "default": "", "no_log": True},
            "pem": {"type": "str", "default": "", "no_log": True},
            "directory": {"type": "path", "default": CONFIG_DIRECTORY},
            "secret_file": {"type": "path", "default": SECRET_FILE},
            "group": {"type": "str"},
            **options,
        },
        supports_check_mode=True,
    )
    wanted = Configuration(module)
    result: dict[str, Any] = {"diff": wanted.diff(), "paths": [str(file.path) for file in wanted.missing]}
    try:
        # The former secret is that of the running server, when there is a new one.
        with entered(Path(socket_of(module.params["config"])), dict.fromkeys([wanted.secret, wanted.held or wanted.secret])) as server:
            wanted.refuse(running=bool(server))
            changed, restart = wanted.bring(server) if server else (True, True)
    except (RefusedError, UnreachableError) as problem:
        if FULL not in str(problem) or not wanted.has_new_settings:
            module.fail_json(msg=f"Redis does not take what is wanted, and keeps its files: {problem}; see journalctl -u redis-server")
        wanted.refuse(running=True)
        changed = restart = True  # more clients may be what is wanted, and a restart lets the role in
    if wanted.missing and not module.check_mode:
        wanted.install()
    module.exit_json(changed=bool(wanted.missing or changed), restart=restart, **result)


if __name__ == "__main__":
    main()
