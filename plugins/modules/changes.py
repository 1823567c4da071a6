"""Documentation of the action of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: changes
short_description: Decide what a run changes on the hosts of the fleet
description:
  - Looks at what all hosts have and at the releases that they shall run, and decides which slots are filled, started, switched and
    retired. What has to happen follows from what is there, also from what an earlier run has left that was cut short.
  - A deploy fills a slot when another release is wanted, when a file of the live slot would be another one now, or when it does not run
    as planned. A restart always does. A rollback takes the slot that was live before, when that still runs the release.
  - Fails where a host has no memory for a second set of processes beside the live ones, by what these use.
  - Runs on the controller alone. Call it with C(run_once).
options:
  operation:
    description: What the run does to the apps.
    type: str
    choices: [deploy, restart, rollback]
    required: true
  run:
    description: This run, as P(tornado_app.deploy.holder#filter) names it. It is noted in the histories.
    type: dict
    required: true
  plan:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.plan).
    type: str
    required: true
  state:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.state).
    type: str
    required: true
  releases:
    description: RV(tornado_app.deploy.releases#module:hosts), what each host shall run.
    type: dict
    required: true
  compared:
    description: Name of the variable in which each host has the result of M(tornado_app.deploy.slot_files) with C(state=compared). A
      deploy needs it.
    type: str
attributes:
  check_mode:
    description: Does the same, since it changes nothing.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Decide which slots are filled
  tornado_app.deploy.changes:
    operation: "{{ __tornado_app_operation }}"
    run: "{{ __tornado_app_run }}"
    plan: __tornado_app_plan
    state: __tornado_app_state
    releases: "{{ __tornado_app_releases.hosts }}"
    compared: __tornado_app_compared
  run_once: true
  register: __tornado_app_changes
"""

RETURN = r"""
hosts:
  description: Host to what the run does to it. Slots have the form that the modules of this collection take.
  type: dict
  returned: success
  contains:
    changes:
      description:
        - The apps that get another live slot. Each with C(app), C(release) (what it is going to run, see
          RV(tornado_app.deploy.releases#module:hosts)), C(before) (the release that it serves; empty when it serves none), C(slot) (what
          becomes live), C(former) (what is live now), C(running) (whether the slot runs already) and C(history) (what is noted of the
          slot; none where all is written already).
      type: list
      elements: dict
    slots: {description: The slots that become live., type: list, elements: dict}
    starting: {description: Those of them that have to be started., type: list, elements: dict}
    former: {description: The slots that are live now., type: list, elements: dict}
    left:
      description: Slots that have to be emptied before they are filled, because an earlier run has left something in them.
      type: list
      elements: dict
    retiring: {description: Slots that are emptied when the others are live., type: list, elements: dict}
    interrupted:
      description: Slots that were live, where an earlier run has switched a part of the fleet only, and this run wants something else.
      type: list
      elements: dict
    releasing: {description: "The apps whose release command this host runs, for the fleet.", type: list, elements: str}
any:
  description: Whether anything is to be done to the slots of any host.
  type: bool
  returned: success
changing:
  description: Whether any app gets another live slot, on any host.
  type: bool
  returned: success
interrupted:
  description: Whether any host goes back to a slot that was live before.
  type: bool
  returned: success
releasing:
  description: Whether any host runs a release command.
  type: bool
  returned: success
msg:
  description: Which host has no result of a name that was given.
  type: str
  returned: failure
"""
