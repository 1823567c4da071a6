"""A Redis that runs with the files that the role renders and its module writes, below a directory of a test."""

from __future__ import annotations

import contextlib
import grp
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import redis
from ansible.template import trust_as_template
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.unit.loading import ROOT
from tests.redis_server import TOOLS, environment
from tests.unit.conftest import process, run_module, templar, utils, wait_until

ROLE = ROOT / "roles/redis"
FLEET = "s3cret-of-the-fleet-with-32-characters"
NO_RETRY = Retry(NoBackoff(), 0)
users = utils("redis_users")


def rendered(template: str, **variables: Any) -> str:
    """What Ansible makes of a template of the role."""
    text = trust_as_template(f"{{{{ lookup('ansible.builtin.template', {template!r}) }}}}")
    return str(templar({"ansible_search_path": [str(ROLE)], **variables}).template(text))


class RedisHost:
    """A host with one Redis."""

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.port = root, port
        self.directory, self.data, self.socket = root / "redis", root / "data", root / "tornado_app.sock"
        self.secret_file, self.unit_file = root / "redis_secret", root / "unit.d/tornado_app.conf"
        self.data.mkdir()
        # The package has all programs under one name; a script is not in the way of how they are called.
        self.program = root / "redis-server"
        self.program.write_text(f'#!/bin/bash\nexec -a redis-server {TOOLS}/bin/redis-check-rdb "$@"\n')
        self.program.chmod(0o755)
        os.environ["LD_LIBRARY_PATH"] = environment()["LD_LIBRARY_PATH"]

    def config(self, **changed: Any) -> str:
        """The configuration, with other values of the template's."""
        common = {"addresses": ["127.0.0.1"], "port": self.port, "certificate": "", "run": str(self.root), "data": str(self.data)}
        more = {
            "server": "redis",
            "directory": str(self.directory),
            "maxclients": 100,
            "maxmemory": 100_000_000,
            "maxmemory_policy": "noeviction",
        }
        return rendered("redis.conf.j2", **{**common, **more, **changed})

    def configure(self, apps: Mapping[str, list[str]], *, absent: tuple[str, ...] = (), pem: str = "", **given: Any) -> dict[str, Any]:
        """Run the module for these apps; what is left of ``given`` goes to the template."""
        options: dict[str, Any] = {name: given.pop(name) for name in ("check", "addresses", "secret", "unit") if name in given}
        certificate: dict[str, Any] = {}
        if pem:
            given["certificate"] = str(self.directory / given.pop("pem_file", "c.pem"))
            certificate = {"certificate": given["certificate"], "pem": pem}
        paths: dict[str, Any] = {name: str(getattr(self, name)) for name in ("directory", "secret_file", "unit_file", "data", "program")}
        common: dict[str, Any] = {"server": "redis", "config": self.config(**given), "users": dict(apps), "absent": list(absent)}
        common |= {"group": grp.getgrgid(os.getegid()).gr_name, "addresses": ["127.0.0.1"], "secret": FLEET, "unit": "[Service]\n"}
        return run_module("redis_config", **{**common, **paths, **certificate, **options})

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The server, as its unit starts it."""
        with (self.root / "log").open("ab") as log, process(self.program, self.directory / "redis.conf", stdout=log, stderr=log) as server:
            wait_until(lambda: self.socket.exists() or server.poll() is not None, "the socket of Redis")
            assert server.poll() is None, (self.root / "log").read_text()
            yield
        self.socket.unlink(missing_ok=True)

    def client(self, app: str, secret: str = FLEET) -> Any:
        """A client as an app has it."""
        password = users.password(secret, app)
        return redis.Redis(port=self.port, username=app, password=password, decode_responses=True, retry=NO_RETRY)

    def info(self) -> dict[str, Any]:
        """What the role's module finds."""
        return run_module("redis_info", directory=str(self.directory), secret_file=str(self.secret_file))
