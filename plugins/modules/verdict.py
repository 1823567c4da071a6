"""Documentation of the action of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verdict
short_description: Say whether the fleet goes on
description:
  - Looks at the results of a step on all hosts of the play at once. One that failed, or whose host is lost, is a reason not to go on.
  - Does not fail when the fleet must not go on, so that the next tasks can take it back together. Fails when a host was reached and has no
    result of a name, since that is never a pass.
  - Runs on the controller alone. Call it with C(run_once).
options:
  results:
    description: Names of the variables in which each host has the results of the step. Without any, only lost hosts count.
    type: list
    elements: str
    required: true
  without:
    description: Hosts that the run goes on without.
    type: list
    elements: str
    default: []
  so_far:
    description: Whether a host may have none of a result yet, because its turn comes later.
    type: bool
    default: false
  label:
    description: What a command of a loop is called in a message. C({item}) stands for what the loop gave to it.
    type: str
    default: "{item}"
attributes:
  check_mode:
    description: Does the same, since it changes nothing.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Ask whether every host is ready
  tornado_app.deploy.verdict:
    results: [__tornado_app_gate]
    without: "{{ __tornado_app_checked.missing }}"
  run_once: true
  register: __tornado_app_verdict

- name: Ask whether the hosts so far are well
  tornado_app.deploy.verdict:
    results: [__tornado_app_switched, __tornado_app_probed, __tornado_app_watched]
    without: "{{ __tornado_app_checked.missing }}"
    so_far: true
  run_once: true
  register: __tornado_app_verdict

- name: Ask whether the release commands have succeeded
  tornado_app.deploy.verdict:
    results: [__tornado_app_released]
    without: "{{ __tornado_app_checked.missing }}"
    label: "tornado_apps.{item[app]}: the line release of its Procfile"
  run_once: true
  register: __tornado_app_verdict
"""

RETURN = r"""
passed:
  description: Whether the fleet goes on.
  type: bool
  returned: success
reasons:
  description: Host to why the fleet does not go on; of those hosts that are the reason.
  type: dict
  returned: success
text:
  description: The reasons as text.
  type: str
  returned: success
messages:
  description: Host to what it says when the fleet does not go on; empty when it does.
  type: dict
  returned: success
msg:
  description: Which host has no result of a name that was given.
  type: str
  returned: failure
"""
