"""Documentation of the action of the same name, which calls the module state_info on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: state
short_description: Read a host and compare it with its plan
description:
  - Puts together what the host is to have, lets M(tornado_app.deploy.state_info) read the host and compare it, and adds what only the
    controller can compare. Changes nothing.
  - The files that the plan wants are rendered on the controller, from the templates of the role. Their digests go to the host.
  - Looks once more when the host's own Python is another one than O(python), since units name its version.
options:
  plan:
    description: The result of M(tornado_app.deploy.plan).
    type: dict
    required: true
  python:
    description: Version of the host's C(/usr/bin/python3), major and minor, as far as it is known.
    type: str
    required: true
  packages:
    description: Packages of the distribution that the host is to have.
    type: list
    elements: str
    required: true
  own_files:
    description: Names of files of the role that the host is to have in the directory C(root) of the plan's C(host).
    type: list
    elements: str
    required: true
  noted:
    description: App to its port, as the host's local fact says it.
    type: dict
    default: {}
  settings:
    description: The apps as in C(tornado_apps), for the hashes of passwords, which are in no result.
    type: raw
  defaults:
    description: The settings of an app that does not say them itself, for the same.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Does the same, since it changes nothing.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Compare the host with its plan
  tornado_app.deploy.state:
    plan: "{{ __tornado_app_plan }}"
    python: "{{ ansible_facts['python']['version']['major'] }}.{{ ansible_facts['python']['version']['minor'] }}"
    packages: "{{ __tornado_app_packages }}"
    own_files: "{{ __tornado_app_own_files }}"
    noted: "{{ __tornado_app_ports }}"
  register: __tornado_app_state
"""

RETURN = r"""
host:
  description: What is the host's own. See M(tornado_app.deploy.state_info).
  type: dict
  returned: success
apps:
  description: What the host has of each app. See M(tornado_app.deploy.state_info).
  type: dict
  returned: success
differences:
  description: The things that are not as planned, each with its C(kind), its C(name) and the C(reason).
  type: list
  elements: dict
  returned: success
  sample: [{kind: directory, name: /srv/shop, reason: mode is 0700 instead of 0755}]
differs:
  description: Kind to the names of what differs. A kind of which nothing differs is not in it.
  type: dict
  returned: success
  sample: {directory: [/srv/shop]}
reasons:
  description: The differences as lines for a person. Of a host that has next to nothing, the first of them.
  type: list
  elements: str
  returned: success
  sample: ["directory /srv/shop: mode is 0700 instead of 0755"]
directories:
  description: The directories that differ, as they are to be. Each with C(path), C(owner), C(group) and C(mode).
  type: list
  elements: dict
  returned: success
files:
  description: The files that differ, as M(tornado_app.deploy.install_files) takes them, by the step that writes them. C(host), C(role) (the
    collection's own), C(acme) and C(supervisord) (its configuration, watchdogs, units and what belongs to them).
  type: dict
  returned: success
static_files:
  description: App to the static file that nginx is asked for, as M(tornado_app.deploy.probe_nginx) takes it.
  type: dict
  returned: success
sysctls:
  description: Kernel settings as they are to be; empty when the host's settings must not be raised.
  type: dict
  returned: success
removals:
  description: The apps that are to be absent and of which something is on the host. See RV(tornado_app.deploy.plan#module:absent).
  type: list
  elements: dict
  returned: success
unlisted:
  description: Names of apps that are on the host, and that the settings do not list any more.
  type: list
  elements: str
  returned: success
outdated:
  description: Which apps wait for their next start, because their unit has changed since the last one, and how to bring it.
  type: list
  elements: str
  returned: success
maintenance:
  description: Which apps are in maintenance, since when, and how that ends.
  type: list
  elements: str
  returned: success
certificates:
  description: Which certificates end soon, or were not renewed though they do not, a line each.
  type: list
  elements: str
  returned: success
provisioned:
  description: Names of the apps that a provision has brought to the host.
  type: list
  elements: str
  returned: success
live:
  description: The live slot of each app that has a release, with the processes that it really has.
  type: list
  elements: dict
  returned: success
"""
