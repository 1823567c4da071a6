"""Documentation of the action of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: check
short_description: Check that a run can be carried out
description:
  - Looks at the plans and the states of all hosts of the play at once, and fails with everything that is in the way of the run, one line
    each. Such are hosts that are missing, an operating system that is not supported, ports, users and paths that are somebody else's,
    limits that a host cannot give.
  - Before a provision it reads the certificates and keys of the controller, and says what nginx or clients would not take. It refuses an
    ACME server's certificates for a name that several hosts have, unless the inventory has a group C(balancer).
  - With O(locked) it also says whether another run may have changed a host since its state was read.
  - Runs on the controller alone. Call it with C(run_once).
options:
  plan:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.plan).
    type: str
    required: true
  state:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.state).
    type: str
    required: true
  operations:
    description: What the run is going to do. What it does not touch is not checked.
    type: list
    elements: str
    required: true
  max_missing:
    description: Number of hosts that may be missing, because they did not answer or have failed.
    type: int
    default: 0
  group:
    description: Group of the fleet, for the way out that a message names.
    type: str
    required: true
  locked:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.run_lock).
    type: str
attributes:
  check_mode:
    description: Does the same, since it changes nothing.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Check that the run can be carried out
  tornado_app.deploy.check:
    plan: __tornado_app_plan
    state: __tornado_app_state
    operations: "{{ __tornado_app_run.operations }}"
    max_missing: "{{ tornado_app_max_missing }}"
    group: "{{ tornado_app_group }}"
  run_once: true
  register: __tornado_app_checked

- name: Ask whether anybody was here in between
  tornado_app.deploy.check:
    plan: __tornado_app_plan
    state: __tornado_app_state
    operations: "{{ __tornado_app_run.operations }}"
    max_missing: "{{ tornado_app_max_missing }}"
    group: "{{ tornado_app_group }}"
    locked: __tornado_app_locked
  run_once: true
  register: __tornado_app_checked
"""

RETURN = r"""
stale:
  description: Whether another run may have changed a host between the look at its state and its lock; V(false) without O(locked).
  type: bool
  returned: success
missing:
  description: Hosts of the play that did not answer or have failed.
  type: list
  elements: str
  returned: success
differs:
  description: Whether anything differs from its plan on any host.
  type: bool
  returned: success
alive:
  description: Runs that hold the lock of a host, see O(tornado_app.deploy.run_lock#module:alive).
  type: list
  elements: str
  returned: success
msg:
  description: What is in the way, one line each.
  type: str
  returned: failure
"""
