"""Documentation of the action of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_urls
short_description: Say which URL of Redis each app gets
description:
  - Makes the URLs of the secret of the inventory, or of the host of Redis. Where nobody says it, or Redis does not take the URL, an app
    keeps the one that most hosts have.
  - Runs on the controller alone. Call it with C(run_once) and C(no_log).
options:
  plan:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.plan).
    type: str
    required: true
  asked:
    description: The result of M(tornado_app.deploy.redis_secret), also of a host that did not answer.
    type: dict
    required: true
  refused:
    description: Of the answers of M(tornado_app.deploy.redis_ping) to these URLs those with an C(error).
    type: list
    elements: dict
    default: []
  present:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.redis_urls_info). It may have none.
    type: str
    default: ""
attributes:
  check_mode:
    description: Does the same, since it changes nothing.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Choose the URLs of the apps
  tornado_app.deploy.redis_urls:
    plan: __tornado_app_plan
    asked: "{{ __tornado_app_redis_secret }}"
    present: __tornado_app_redis_present
  run_once: true
  register: __tornado_app_redis
  no_log: true
"""

RETURN = r"""
urls:
  description: App to its URL, of those that have the fleet's Redis.
  type: dict
  returned: success
note:
  description: Which apps keep the URL that they have, and why; empty when none does.
  type: str
  returned: success
"""
