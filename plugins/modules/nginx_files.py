"""Documentation of the action of the same name, which calls the module nginx_config on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_files
short_description: Configure nginx for apps
description:
  - Renders nginx's own file, the sites of apps and the upstreams of slots on the controller, from the templates of the role, and hands them
    to M(tornado_app.deploy.nginx_config) in one call. nginx judges them as a whole before the first is in place.
options:
  run:
    description: This run, which has to hold the lock (see M(tornado_app.deploy.run_lock)) where O(users_of) names apps.
    type: str
    required: true
  plan:
    description:
      - The result of M(tornado_app.deploy.plan). With it, everything of nginx is configured. Sites of absent apps are removed.
      - Without it, O(upstreams) alone are written.
    type: dict
  state:
    description: The result of M(tornado_app.deploy.state), needed with O(plan). Upstreams name the processes that slots have there.
    type: dict
  users_of:
    description:
      - Apps of O(plan) whose file of the users that nginx lets in is written, or removed where there are none. nginx reads it at each
        request, so it is written before all else, and removed when nginx does not ask for passwords any more.
    type: list
    elements: str
    default: []
  settings:
    description: The apps as in C(tornado_apps), for the hashes of passwords.
    type: raw
  defaults:
    description: The settings of an app that does not say them itself, for the same.
    type: dict
    default: {}
  upstreams:
    description: Slots whose upstreams are written as the slots are given.
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    description: Validates too where nginx is installed.
    support: full
  diff_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Configure nginx and the sites of the apps
  tornado_app.deploy.nginx_files:
    run: 20260102T030405Z-ana-build-1-4711
    plan: "{{ __tornado_app_plan }}"
    state: "{{ __tornado_app_state }}"

- name: Give nginx the processes of the idle slots
  tornado_app.deploy.nginx_files:
    run: 20260102T030405Z-ana-build-1-4711
    upstreams: "{{ __tornado_app_own.starting }}"
"""

RETURN = r"""
reloaded:
  description: Whether nginx was reloaded.
  type: bool
  returned: success
msg:
  description: What nginx refuses, or which names somebody else's site has too. The configuration of before stays then.
  type: str
  returned: failure
"""
