"""Ansible action: configure Redis for the apps of the fleet, see the module documentation of the same name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import ClassVar

from ansible.errors import AnsibleActionFail, AnsibleError

from ansible_collections.tornado_app.deploy.plugins.module_utils.redis import PORT
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_server import CONFIG_DIRECTORY
from ansible_collections.tornado_app.deploy.plugins.module_utils.sandbox import of_redis
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import redis
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.addresses import resolved
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.redis_inventory import RedisAction

POLICIES = [
    "noeviction",
    *(f"allkeys-{which}" for which in ("lru", "lfu", "random")),
    *(f"volatile-{which}" for which in ("lru", "lfu", "random", "ttl")),
]
CLIENTS_MIN = 16


class ActionModule(RedisAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "server": {"type": "str", "choices": ["redis", "valkey"], "required": True},
        "state": {"type": "str", "choices": ["present", "checked"], "default": "present"},
        "hosts": {"type": "list", "elements": "str", "required": True},
        "bind": {"type": "list", "elements": "str", "default": []},
        "maxmemory": {"type": "bytes", "required": True},
        "maxmemory_policy": {"type": "str", "choices": POLICIES, "default": POLICIES[0]},
        "maxclients": {"type": "int", "default": 10000},
    }
    PROJECT: ClassVar[str] = "__redis_project"

    def act(self, arguments: Arguments) -> Result:
        """Fail with all that cannot work, or hand configuration and users to the module redis_config."""
        found = self.fleet_redis()
        if not found:
            raise AnsibleActionFail("the group redis has no host")
        self.refuse([*self.redis_problems(arguments["hosts"]), *self.input_problems(arguments)])
        if arguments["state"] == "checked":
            return {}
        pem = self.redis_pair(found).file() if found.tls else ""
        server, users = arguments["server"], redis.patterns(self.patterns(arguments["hosts"]))
        common = {"server": server, "directory": CONFIG_DIRECTORY, "maxclients": arguments["maxclients"]}
        certificate = f"{CONFIG_DIRECTORY}/{hashlib.sha256(pem.encode()).hexdigest()[:12]}.pem" if pem else ""
        own = self.addresses(found, arguments["bind"])
        # Who listens on all addresses cannot listen on one of them besides.
        addresses = own if "0.0.0.0" in own else list(dict.fromkeys(["127.0.0.1", *own]))
        config = self.render(
            "redis.conf.j2",
            **common,
            addresses=addresses,
            port=PORT,
            certificate=certificate,
            run=f"/run/{server}",
            data=f"/var/lib/{server}",
            maxmemory=arguments["maxmemory"],
            maxmemory_policy=arguments["maxmemory_policy"],
        )
        return self.module(
            "redis_config",
            server=server,
            config=config,
            unit=self.render("unit.conf.j2", **common, properties=of_redis(server)),
            addresses=addresses,
            users=users,
            absent=sorted(self.known(arguments["hosts"]) - users.keys()),
            secret=found.secret,
            **({"certificate": certificate, "pem": pem} if pem else {}),
        )

    def input_problems(self, arguments: Arguments) -> Iterator[str]:
        """What is wrong with the sizes."""
        for setting, least in (("maxmemory", 1_000_000), ("maxclients", CLIENTS_MIN)):
            if arguments[setting] < least:
                yield f"redis_{setting} is {arguments[setting]}: at least {least} is needed"

    def addresses(self, found: redis.Redis, bind: Iterable[str]) -> list[str]:
        """What Redis listens on: the addresses that are given, and those of names."""
        try:
            return sorted({own for address in bind or [found.address] for own in resolved(found.host, address, "redis_address")})
        except AnsibleError as problem:
            raise AnsibleActionFail(problem.message) from None

    def known(self, hosts: Iterable[str]) -> set[str]:
        """All apps, whether or not they are to be there, and have a user."""
        return {app for host in hosts for app in self.listed(host)}
