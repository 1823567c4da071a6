"""Documentation of the action of the same name, which calls the module redis_config on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis
short_description: Configure Redis for the apps of the fleet
description:
  - Renders the configuration on the controller, from the templates of the role C(redis), and hands it to
    M(tornado_app.deploy.redis_config) with a user for each app.
  - Takes apps, address, secret and TLS from the inventory, so that hosts count which this run leaves out or cannot reach.
  - Fails with everything that cannot work, one line each, before anything of the host is touched.
options:
  state:
    description: With V(checked) it only fails with what cannot work, and asks no host.
    type: str
    choices: [present, checked]
    default: present
  server:
    description: Which server the host has.
    type: str
    choices: [redis, valkey]
    required: true
  hosts:
    description: The hosts of the fleet, whose apps get a user.
    type: list
    elements: str
    required: true
  bind:
    description: Addresses to listen on beside loopback; the one by which apps reach it when there is none.
    type: list
    elements: str
    default: []
  maxmemory:
    description: Memory for data, a number of bytes or a size like C(512M).
    type: bytes
    required: true
  maxmemory_policy:
    description: What happens when that is used up, in the words of Redis.
    type: str
    choices:
      [noeviction, allkeys-lru, allkeys-lfu, allkeys-random, volatile-lru, volatile-lfu, volatile-random, volatile-ttl]
    default: noeviction
  maxclients:
    description: Connections at the same time.
    type: int
    default: 10000
attributes:
  check_mode:
    support: full
  diff_mode:
    description: Shows neither a secret nor the hash of one.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Configure Redis
  tornado_app.deploy.redis:
    server: redis
    hosts: "{{ groups['tornado'] }}"
    maxmemory: 512M
"""

RETURN = r"""
restart:
  description: Whether the unit has to be restarted, or started.
  type: bool
  returned: success, unless O(state=checked)
paths:
  description: The files that changed, or in check mode would.
  type: list
  elements: path
  returned: success
msg:
  description: What cannot work, one line each.
  type: str
  returned: failure
  sample: "the group redis has redis-1, redis-2, and the role runs one Redis: leave one host there, or none, and give apps the URL of your
    Sentinel or cluster as tornado_apps.<app>.secrets.REDIS_URL"
"""
