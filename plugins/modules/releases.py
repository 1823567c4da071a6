"""Documentation of the action of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: releases
short_description: Decide which release each app of the fleet shall run
description:
  - A deploy takes the releases that were built, a restart those that are live, a rollback those that were live before, the same on all
    hosts.
  - Fails with everything that is in the way, one line each, such as a source that cannot be built, a command that needs a variable that
    it does not get, too little room on a disk, or hosts that would go back to different releases.
  - Runs on the controller alone. Call it with C(run_once).
options:
  operation:
    description: What the run does to the apps.
    type: str
    choices: [deploy, restart, rollback]
    required: true
  plan:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.plan).
    type: str
    required: true
  state:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.state).
    type: str
    required: true
  release:
    description: Id of the release to go back to. Without it, a rollback chooses. A deploy and a restart take none.
    type: str
    default: ""
  built:
    description: The results of M(tornado_app.deploy.build_artifact), of a loop over the sources (see
      P(tornado_app.deploy.sources#filter)).
    type: list
    elements: dict
    default: []
  project:
    description: Directory on the controller where relative sources start.
    type: str
    default: ""
  prepared:
    description: Whether the hosts have to be provisioned already, since this run does not do it.
    type: bool
    default: true
attributes:
  check_mode:
    description: Does the same, since it changes nothing.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Choose what each app shall run
  tornado_app.deploy.releases:
    operation: "{{ __tornado_app_operation }}"
    plan: __tornado_app_plan
    state: __tornado_app_state
    release: "{{ tornado_app_release }}"
    built: "{{ __tornado_app_built.results | default([]) }}"
    project: "{{ __tornado_app_project }}"
    prepared: "{{ 'provision' not in __tornado_app_run.operations and not ansible_check_mode }}"
  run_once: true
  register: __tornado_app_releases
"""

RETURN = r"""
any:
  description: Whether any host has to get a release or an environment.
  type: bool
  returned: success
hosts:
  description: Host to what it shall run and what of that it does not have yet.
  type: dict
  returned: success
  contains:
    releases:
      description: App to its release, with the id (C(release)), C(environment), C(python), C(commands), C(version) and C(commit).
      type: dict
    new:
      description: Releases that are not on the host, as M(tornado_app.deploy.install_releases) takes them.
      type: list
      elements: dict
    environments:
      description: Virtual environments that are not on the host. Each with C(app), C(path), C(python) (the interpreter's path),
        C(install) (arguments of pip), C(chdir) and C(setting), which messages name.
      type: list
      elements: dict
    records:
      description: What is to be noted of the releases, as files of M(tornado_app.deploy.install_files). Of a deploy alone.
      type: list
      elements: dict
msg:
  description: What is in the way, one line each.
  type: str
  returned: failure
"""
