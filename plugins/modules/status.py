"""Documentation of the action of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Show the apps of all hosts
description:
  - Says of each host which release it serves, with how many processes, what is in the other slot, which releases it keeps and who
    changes it just now. Hosts that did not answer are shown too.
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
  redis:
    description: The result of M(tornado_app.deploy.redis_info), where the fleet has Redis.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Does the same, since it changes nothing.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Look at the fleet
  tornado_app.deploy.status:
    plan: __tornado_app_plan
    state: __tornado_app_state
    redis: "{{ __tornado_app_redis_looked | default({}) }}"
  run_once: true
  register: __tornado_app_status
"""

RETURN = r"""
hosts:
  description: Host to what it has, for programs.
  type: dict
  returned: success
  contains:
    answered: {description: Whether the host answered., type: bool}
    lock: {description: Who changes the host just now (see M(tornado_app.deploy.run_lock)); empty when nobody does., type: dict}
    apps:
      description: App to what the host has of it. Empty when the host did not answer.
      type: dict
      contains:
        live: {description: The live slot; empty when nothing is deployed., type: str}
        release: {description: The release that is served; empty when there is none., type: str}
        processes: {description: Web processes that run., type: int}
        processes_wanted: {description: Web processes that the plan wants., type: int}
        workers: {description: Other processes that run., type: int}
        workers_wanted: {description: Other processes that the plan wants., type: int}
        nofile: {description: Lowest limit of open files of a web process; 0 when none runs., type: int}
        uptime: {description: Seconds since the oldest web process was started., type: int}
        idle:
          description: The other slot. Its C(slot) (name), C(state) (V(empty), V(draining) or V(prepared)), C(release), C(processes) and
            C(connections).
          type: dict
        behind: {description: "The release that the fleet has deployed last, where this host serves another one; else empty.", type: str}
        rollback: {description: What a rollback would go to; empty when there is nothing., type: str}
        untrusted: {description: What the app's supervisord says that cannot be believed., type: list, elements: str}
        outdated: {description: "When its supervisord was started (UTC), where its unit has changed since; else empty.", type: str}
        maintenance: {description: "Since when (UTC) it is in maintenance; else empty.", type: str}
        watchdog: {description: Supervisord's word for the state of the app's watchdog; empty when it knows none., type: str}
        restarts:
          description: Of processes of the live slot that the watchdog has started again, by name, how often (C(restarts)), and of the
            last time C(reason) and C(at) (UTC).
          type: dict
        releases:
          description: The releases that are kept, those that were live last first. Each with C(release), C(live), C(version), C(commit),
            C(at) (UTC), C(by) and C(rolled_back).
          type: list
          elements: dict
text:
  description: The same as tables, for a person, and a line for Redis.
  type: str
  returned: success
msg:
  description: Which host has no result of a name that was given.
  type: str
  returned: failure
"""
