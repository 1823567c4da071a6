"""Documentation of the action of the same name, which calls the module haproxy_info on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: balancer_shortfalls
short_description: Look at what a balancer does not deliver
description:
  - Asks the running HAProxy for all apps of the inventory, and looks at their certificates, with M(tornado_app.deploy.haproxy_info).
  - Changes nothing. Takes the options of M(tornado_app.deploy.balancer) that it needs.
extends_documentation_fragment: [tornado_app.deploy.balanced]
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Look at the balancer
  tornado_app.deploy.balancer_shortfalls:
    hosts: "{{ groups['tornado'] }}"
"""

RETURN = r"""
shortfalls:
  description: What is missing, one sentence each, with the way out.
  type: list
  elements: str
  returned: success
  sample: ["lb-1: shop has no host that is ready, of web-1, web-2; see http://127.0.0.1:8404/ there"]
certificates:
  description: How long the certificates last, and what else of them is worth a word.
  type: list
  elements: str
  returned: success
"""
