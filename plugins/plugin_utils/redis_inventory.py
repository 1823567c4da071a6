"""What the inventory says of Redis and of the apps that use it, whether or not a run reaches their hosts: for actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import redis
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.certificates import Pair, UnusableError, chain_of, issued, problems
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.inventory import InventoryAction

ADDRESS = "redis_address | default(ansible_host | default(inventory_hostname), true)"
SETTINGS = f"[{ADDRESS}, redis_secret | default('', true), redis_tls | default({{}}, true)]"


class RedisAction(InventoryAction):
    """An action that knows the fleet's Redis."""

    def fleet_redis(self) -> redis.Redis | None:
        """What the inventory says of it; None where the inventory has none."""
        hosts = self.variables.get("groups", {}).get("redis") or []
        if not hosts:
            return None
        address, secret, tls = self.said(SETTINGS, f"redis_address, redis_secret or redis_tls of {hosts[0]}", self.inventory(hosts[0]))
        given = {key: value for key, value in tls.items() if value}
        return redis.Redis(host=hosts[0], address=str(address), secret=str(secret), tls=given)

    def patterns(self, hosts: Iterable[str]) -> dict[str, redis.Patterns]:
        """Host -> app -> patterns of its keys and channels, of the apps that have a user."""
        found = {host: self.apps(host, ("redis_keys",)) for host in hosts}
        return {
            host: {app: settings["redis_keys"] for app, settings in own.items() if settings["redis_keys"]} for host, own in found.items()
        }

    def redis_group_problems(self) -> list[str]:
        """Whether it is too many hosts that are to run it."""
        return list(redis.group_problems(self.variables.get("groups", {}).get("redis") or []))

    def redis_problems(self, hosts: Iterable[str]) -> list[str]:
        """What stands against bringing Redis to its host."""
        found = self.fleet_redis()
        if not found:
            return []
        stands = [*self.redis_group_problems(), *redis.setting_problems(found), *redis.pattern_problems(self.patterns(hosts))]
        return stands or list(self.tls_problems(found))

    def tls_problems(self, found: redis.Redis) -> Iterator[str]:
        """What stands against its certificate."""
        if not found.tls:
            return
        try:
            pair, trusted = self.redis_pair(found), self.redis_ca(found)
        except UnusableError as problem:
            yield str(problem)
            return
        authorities = chain_of(trusted.encode()) if trusted else ()
        issuer = next((own for own in authorities if issued(pair.chain[-1], own)), next(iter(authorities), None))
        whole = Pair(chain=(*pair.chain, *([issuer] if issuer else [])), key=pair.key)
        yield from problems("redis_tls", whole, [found.address], datetime.now(UTC), whose="redis_address")

    def redis_pair(self, found: redis.Redis) -> Pair:
        """Its certificate and key; raises UnusableError."""
        return self.pair("redis_tls", found.tls)

    def redis_ca(self, found: redis.Redis) -> str:
        """The certificate of its authority, if it has one of its own; raises UnusableError."""
        path = found.tls.get("ca", "")
        if not path:
            return ""
        try:
            content = self.controller_file(path)
            chain_of(content)
        except UnusableError as problem:
            raise UnusableError(f"redis_tls.ca {path} {problem}") from None
        return content.decode()
