"""Documentation of the action of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: summary
short_description: Say what a run has made live
description:
  - Makes a table with a row for each host and app that got another live slot, and says for each app how long it took from the first
    switch to the last.
  - Runs on the controller alone. Call it with C(run_once).
options:
  changes:
    description: RV(tornado_app.deploy.changes#module:hosts), what the run did to each host.
    type: dict
    required: true
  gate:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.wait_for_health), before the switch.
    type: str
    required: true
  switched:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.switch_slot).
    type: str
    required: true
  drained:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.wait_for_drain).
    type: str
    required: true
attributes:
  check_mode:
    description: Does the same, since it changes nothing.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Say what was made live
  tornado_app.deploy.summary:
    changes: "{{ __tornado_app_changes.hosts }}"
    gate: __tornado_app_gate
    switched: __tornado_app_switched
    drained: __tornado_app_drained
  run_once: true
  register: __tornado_app_summary
"""

RETURN = r"""
text:
  description: The table and the times.
  type: str
  returned: success
"""
