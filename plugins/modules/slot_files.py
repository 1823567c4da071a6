"""Documentation of the action of the same name, which calls the module install_files on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: slot_files
short_description: Write, compare or remove the files of slots
description:
  - Puts together what slots run, with which secrets and how they are supervised, and hands all files to M(tornado_app.deploy.install_files)
    in one call. They are judged as a whole, and no output shows a secret.
  - Refuses when the lock of the host is not this run's any more.
options:
  state:
    description:
      - V(present) writes the slots of O(changes) that have to be started, and the histories of all slots of O(changes).
      - V(compared) is for check mode. It compares the files of the live O(slots) with what they would be now.
      - V(absent) removes the files of O(slots), but the links to their releases, which say what they ran last.
    type: str
    choices: [present, compared, absent]
    default: present
  plan:
    description: The result of M(tornado_app.deploy.plan).
    type: dict
    required: true
  run:
    description: This run, which has to hold the lock (see M(tornado_app.deploy.run_lock)).
    type: str
    required: true
  slots:
    description: The slots that are compared or removed.
    type: list
    elements: dict
    default: []
  changes:
    description: The changes of this host, out of RV(tornado_app.deploy.changes#module:hosts).
    type: list
    elements: dict
    default: []
  releases:
    description: App to its release, out of RV(tornado_app.deploy.releases#module:hosts).
    type: dict
    default: {}
  settings:
    description: The apps as in C(tornado_apps), for the values of their secrets.
    type: raw
  defaults:
    description: The settings of an app that does not say them itself, for the values of secrets.
    type: dict
    default: {}
  cookie_secrets:
    description: App to the cookie secret of the fleet, see M(tornado_app.deploy.cookie_secrets).
    type: dict
    default: {}
  redis_urls:
    description: App to its URL of Redis, see M(tornado_app.deploy.redis_urls).
    type: dict
    default: {}
  noted:
    description: App to its port, as the host's local fact says it.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Needs no lock and writes nothing.
    support: full
  diff_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Compare what is live with what is wanted
  tornado_app.deploy.slot_files:
    state: compared
    slots: "{{ __tornado_app_state.live }}"
    plan: "{{ __tornado_app_plan }}"
    run: "{{ __tornado_app_run.run }}"
    releases: "{{ __tornado_app_wanted }}"
    settings: "{{ tornado_apps }}"
    defaults: "{{ tornado_app_defaults }}"
    cookie_secrets: "{{ __tornado_app_cookie_secrets.secrets }}"
    redis_urls: "{{ __tornado_app_redis_urls }}"
  check_mode: true
  register: __tornado_app_compared

- name: Write the idle slots
  tornado_app.deploy.slot_files:
    changes: "{{ __tornado_app_own.changes }}"
    plan: "{{ __tornado_app_plan }}"
    run: "{{ __tornado_app_run.run }}"
    releases: "{{ __tornado_app_wanted }}"
    settings: "{{ tornado_apps }}"
    defaults: "{{ tornado_app_defaults }}"
    cookie_secrets: "{{ __tornado_app_cookie_secrets.secrets }}"
    redis_urls: "{{ __tornado_app_redis_urls }}"
    noted: "{{ __tornado_app_ports }}"

- name: Remove the files of the drained slots
  tornado_app.deploy.slot_files:
    state: absent
    slots: "{{ __tornado_app_own.retiring }}"
    plan: "{{ __tornado_app_plan }}"
    run: "{{ __tornado_app_run.run }}"
"""

RETURN = r"""
paths:
  description: The paths that changed, or in check mode would.
  type: list
  elements: path
  returned: success
apps:
  description: The apps of whose slots a file changed, or in check mode would.
  type: list
  elements: str
  returned: always, but with O(state=absent)
  sample: [shop]
msg:
  description: Which file is refused, and why. Nothing is changed then.
  type: str
  returned: failure
"""
