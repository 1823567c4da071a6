"""Documentation of the action of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cookie_secrets
short_description: Choose the cookie secrets of a fleet
description:
  - Takes for each app the secret that most hosts have, and makes one where none has any. So a new controller, and a host that comes late,
    get the secret of the fleet.
  - Runs on the controller alone. Call it with C(run_once) and C(no_log).
options:
  plan:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.plan).
    type: str
    required: true
  found:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.cookie_secrets_info).
    type: str
    required: true
  elsewhere:
    description: Results of M(tornado_app.deploy.cookie_secrets_info) of hosts that are not in the play. Those of hosts that did not
      answer have no say.
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    description: Does the same, since it changes nothing. What it makes is kept by nobody.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Choose the cookie secrets
  tornado_app.deploy.cookie_secrets:
    plan: __tornado_app_plan
    found: __tornado_app_cookies
    elsewhere: "{{ __tornado_app_cookies_elsewhere.results | default([]) }}"
  run_once: true
  register: __tornado_app_cookie_secrets
  no_log: true
"""

RETURN = r"""
secrets:
  description: App to its secret.
  type: dict
  returned: success
"""
