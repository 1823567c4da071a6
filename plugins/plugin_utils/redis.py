"""Redis of the fleet: what the inventory says of it, what stands against that, and the URL that an app gets. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import is_address
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis import PORT
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_users import password
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.status_text import duration

CA = "redis_ca.pem"  # on the apps' hosts, below the role's root
SECRET_MIN = 32  # characters
TLS = ("certificate", "key", "ca")

Patterns = Mapping[str, list[str]]  # app -> patterns of its keys and channels


@dataclass(frozen=True, kw_only=True, slots=True)
class Redis:
    """What the inventory says of it; ``secret`` is empty where the host makes it, and ``tls`` without TLS."""

    host: str
    address: str
    secret: str
    tls: Mapping[str, str]


def group_problems(hosts: Sequence[str]) -> Iterator[str]:
    """More than one host is somebody else's to run."""
    if len(hosts) > 1:
        yield (
            f"the group redis has {', '.join(hosts)}, and the role runs one Redis: leave one host there, or none, and give apps the URL of "
            "your Sentinel or cluster as tornado_apps.<app>.secrets.REDIS_URL"
        )


def setting_problems(redis: Redis) -> Iterator[str]:
    """What is wrong with the settings of its host. No message shows the secret."""
    if redis.secret and (len(redis.secret) < SECRET_MIN or not redis.secret.isprintable() or " " in redis.secret):
        yield f"redis_secret of {redis.host} has to be at least {SECRET_MIN} characters without spaces, as `openssl rand -hex 32` makes"
    for key in redis.tls:
        if key not in TLS:
            yield f"redis_tls.{key} of {redis.host} is not a setting; known keys: {', '.join(TLS)}"
    for key in ("certificate", "key"):
        if redis.tls and not redis.tls.get(key):
            yield f"redis_tls.{key} of {redis.host} is missing: give certificate and key, or leave redis_tls out"


def patterns(hosts: Mapping[str, Patterns]) -> Patterns:
    """App -> its patterns, of all hosts."""
    return {app: own for found in hosts.values() for app, own in found.items()}


def pattern_problems(hosts: Mapping[str, Patterns]) -> Iterator[str]:
    """An app is one user, whichever host it is on."""
    for app, wanted in patterns(hosts).items():
        which = [host for host, own in hosts.items() if app in own]
        if any(hosts[host][app] != wanted for host in which):
            yield f"tornado_apps.{app}.redis_keys is not the same on all of {', '.join(which)}, as for one user it has to be"


def url(redis: Redis, app: str, secret: str, root: str) -> str:
    """What an app gets as REDIS_URL; ``root`` is where its host has the files of the role."""
    where = f"[{redis.address}]" if is_address(redis.address) and ":" in redis.address else redis.address
    # Celery takes no rediss:// without the first; the second is what redis-py calls the file.
    query = {"ssl_cert_reqs": "required", **({"ssl_ca_certs": f"{root}/{CA}"} if redis.tls.get("ca") else {})}
    tail = f"?{urlencode(query, safe='/')}" if redis.tls else ""
    return f"redis{'s' if redis.tls else ''}://{app}:{password(secret, app)}@{where}:{PORT}/0{tail}"


def most_common(found: Iterable[Mapping[str, str]], apps: Iterable[str]) -> dict[str, str]:
    """App -> the URL that most hosts have, of those that any has."""
    votes = {app: Counter(own[app] for own in hosts if own.get(app)) for hosts in [list(found)] for app in apps}
    return {app: count.most_common(1)[0][0] for app, count in votes.items() if count}


def unasked(host: str, unknown: Sequence[str]) -> str:
    """That the secret is not known, for a person; ``unknown`` are the apps whose URL no host has either."""
    without = f"; {', '.join(unknown)} goes without one until a later run" if unknown else ""
    return f"{host} does not say the secret of Redis, and apps keep the REDIS_URL that they have{without}"


def refused(errors: Sequence[str]) -> str:
    """That apps keep their URL since Redis does not take another one, for a person."""
    return f"Redis does not take a REDIS_URL as the inventory has it, and apps keep the one that they have: {'; '.join(errors)}"


def line(host: str, found: Mapping[str, Any]) -> str:
    """Redis in the status; ``found`` is the result of redis_info."""
    if "running" not in found:
        return f"Redis on {host} cannot be asked: {found.get('msg', 'its host does not answer')}"
    shortfalls = found["shortfalls"]
    if not found["running"]:
        return f"Redis on {host} is down: {'; '.join(shortfalls)}"
    facts = [
        f"{found['version']}, up for {duration(found['uptime'])}",
        f"{found['memory'] / 1e6:.1f} of {found['maxmemory'] / 1e6:.0f} MB",
        f"{found['clients']} clients",
        f"last snapshot {found['saved']}",
        "; ".join(shortfalls) or "log (AOF) written",
    ]
    return f"Redis on {host}: {', '.join(facts)}"
