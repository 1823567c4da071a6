#!/usr/bin/python
"""Ansible module: ask Redis as the processes of slots do."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_ping
short_description: Ask Redis as the processes of slots do
description:
  - Connects from this host, with the C(REDIS_URL) that the processes of each slot have got, or are to get. Shows no password.
options:
  slots:
    description: The slots, of apps that have the fleet's Redis.
    type: list
    elements: dict
    default: []
  urls:
    description: App to the URL that it is to get. Call it with C(no_log).
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Ask Redis as the apps do
  tornado_app.deploy.redis_ping:
    slots: "{{ __tornado_app_state.live }}"
"""

RETURN = r"""
answers:
  description: Of each slot and each URL its C(app), and as C(error) what is wrong, with the way out; empty when Redis has answered.
  type: list
  elements: dict
  returned: success
  sample:
    - {"app": "shop", "error": "shop does not reach Redis at 10.0.0.9:6379: [Errno 111] Connection refused; see --tags status, redis_bind
        and the firewall between them"}
"""

from urllib.parse import urlsplit

from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis import PORT, RefusedError, UnreachableError, at_url
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_url import url_of


def problem(app: str, url: str, away: dict[str, str]) -> str:
    """What stands between the processes of an app and Redis; empty when nothing does. ``away`` is who did not answer, and is asked once."""
    if not url:
        return f"{app} has no REDIS_URL yet; run --tags provision,deploy"
    parts = urlsplit(url)
    where = f"Redis at {parts.hostname}:{parts.port or PORT}"
    try:
        if where in away:
            raise UnreachableError(away[where])
        with at_url(url) as server:
            server.ask("PING")
    except RefusedError as refused:
        way_out = "run --tags provision,deploy, which bring both to one password" if "WRONGPASS" in str(refused) else "see --tags status"
        return f"{app} is refused by {where}: {refused}; {way_out}"
    except UnreachableError as problem:
        away[where] = str(problem)
        return f"{app} does not reach {where}: {problem}; see --tags status, redis_bind and the firewall between them"
    return ""


def main() -> None:
    """Run the module."""
    module = QuietModule(
        argument_spec={
            "slots": {"type": "list", "elements": "dict", "default": []},
            "urls": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    urls = [*((slot["app"], url_of(slot)) for slot in module.params["slots"]), *module.params["urls"].items()]
    away: dict[str, str] = {}
    module.exit_json(changed=False, answers=[{"app": app, "error": problem(app, url, away)} for app, url in urls])


if __name__ == "__main__":
    main()
