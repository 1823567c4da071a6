"""The values of what nobody else may see. They are in no plan, fact or result, but are put together where they are written."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_url import REDIS_URL
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.layout import COOKIE_SECRET

BYTES = 32  # as many as Tornado's documentation makes one of


def cookie_secrets(plans: Iterable[Mapping[str, Mapping[str, Any]]], found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """App -> the cookie secret of the fleet: the one that most hosts have, or a new one.

    ``plans`` are those of all hosts; ``found`` says of each host that was asked which secret it has, app by app.
    """
    votes: dict[str, Counter[str]] = {name: Counter() for plan in plans for name in plan}
    for host in found:
        for name, secret in host.items():
            if secret and name in votes:
                votes[name][secret] += 1
    return {name: count.most_common(1)[0][0] if count else secrets.token_urlsafe(BYTES) for name, count in votes.items()}


def htpasswds(plan: Mapping[str, Mapping[str, Any]], apps: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, str]:
    """App -> what nginx's file of its users says, of those that have some."""
    found = {}
    for name, app in plan.items():
        if app["basic_auth"]:
            hashes = {**defaults["basic_auth"], **(apps[name].get("basic_auth") or {})}
            found[name] = "".join(f"{user}:{hashes[user]}\n" for user in app["basic_auth"])
    return found


def secret_values(
    plan: Mapping[str, Mapping[str, Any]],
    apps: Mapping[str, Any],
    defaults: Mapping[str, Any],
    cookies: Mapping[str, str],
    redis: Mapping[str, str],
) -> dict[str, dict[str, str]]:
    """App -> variable -> value, for each name that the plan has; ``redis`` is app -> URL, and an app whose URL nobody knows has none."""
    found = {}
    for name, app in plan.items():
        made = {COOKIE_SECRET: cookies[name], **({REDIS_URL: redis[name]} if name in redis else {})}
        values = {**made, **defaults["secrets"], **(apps[name].get("secrets") or {})}
        unknown = {REDIS_URL} - values.keys()
        found[name] = {variable: str(values[variable]) for variable in app["secrets"] if variable not in unknown}
    return found
