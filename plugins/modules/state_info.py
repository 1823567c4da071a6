#!/usr/bin/python
"""Ansible module: read what a host has of the apps, and compare it with what it is to have."""

from __future__ import annotations

DOCUMENTATION = r"""
module: state_info
short_description: Read what a host has of the apps, and compare it with what it is to have
description:
  - Reads the host once, as a whole, live processes as the kernel sees them, and changes nothing.
  - What a later step does follows from this, never from what an earlier run did.
  - M(tornado_app.deploy.state) calls it with what the plan wants.
options:
  apps:
    description: The apps of the host, as M(tornado_app.deploy.plan) gives them.
    type: dict
    required: true
  things:
    description:
      - What the host is to have. Each with C(kind) and C(name), and C(check), which says how it is looked at and what else it has. See
        F(plugins/module_utils/things.py).
    type: list
    elements: dict
    default: []
  lock:
    description: The lock file of M(tornado_app.deploy.run_lock).
    type: path
    default: /run/tornado_app/lock
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Read what a host has
  tornado_app.deploy.state_info:
    apps: "{{ __tornado_app_plan.apps }}"
  register: __tornado_app_state
"""

RETURN = r"""
host:
  description: What is the host's own.
  type: dict
  returned: always
  contains:
    python: {description: Version of C(/usr/bin/python3), major and minor., type: str, sample: "3.11"}
    pythons: {description: "Version of Python to its path, of those that the host has.", type: dict, sample: {"3.11": /usr/bin/python3}}
    nginx_version: {description: Version of the installed nginx; empty when there is none., type: str, sample: 1.22.1}
    nginx: {description: nginx's workers that take requests. Each with pid nofile uid unit and uptime., type: list, elements: dict}
    python_apt: {description: Whether Ansible's apt module can work in check mode., type: bool}
    nofile_ceiling: {description: Open files that systemd can give a service now., type: int}
    nofile_raisable: {description: Whether root can raise that ceiling., type: bool}
    sysctls: {description: Kernel settings as text., type: dict}
    sysctl_file: {description: The kernel settings that the role's own file sets., type: dict}
    environments: {description: Digests of the environments of supervisord that are whole., type: list, elements: str}
    units: {description: The apps whose units the role has installed., type: list, elements: str}
    begun: {description: "The same, and those that it was cut short before.", type: list, elements: str}
    sites:
      description: Of the apps that have a file of nginx, its C(server_names), and the C(apps) that are served by them.
      type: list
      elements: dict
    users: {description: The apps whose users the role has made., type: list, elements: str}
    port_80: {description: Who listens on port 80; empty when nobody does., type: str, sample: nginx (pid 812)}
    port_443: {description: The same of port 443., type: str, sample: nginx (pid 812)}
    free_bytes: {description: Free space where the apps live., type: int}
    memory: {description: Bytes of memory and swap that processes can still take., type: int}
    drained: {description: "Since when (UTC) the host wants no requests; empty when it does.", type: str}
    lock_mark: {description: Changes with each change of the lock file., type: str}
    lock: {description: Who changes the host just now (see M(tornado_app.deploy.run_lock)); empty when nobody does., type: dict}
apps:
  description: One entry an app.
  type: dict
  returned: always
  contains:
    foreign_user: {description: Whether the user was there before the role made it., type: bool}
    foreign_group: {description: "The same of a group of the app's name, which is not its user's.", type: bool}
    foreign_unit: {description: Path of a unit of that name that the distribution ships; empty when there is none., type: str}
    missing_paths: {description: What the sandbox is to have and the host has not., type: list, elements: str}
    foreign_paths: {description: Paths of the app that were there before the role made its user., type: list, elements: str}
    fresh: {description: Whether nothing was ever deployed., type: bool}
    flagged: {description: Whether the flag file is there., type: bool}
    provisioned: {description: Whether the app's directories and its unit are there., type: bool}
    live: {description: The slot that nginx sends new requests to., type: str}
    supervisord: {description: The running supervisord (pid nofile uid unit uptime) or none., type: dict}
    untrusted: {description: What supervisord answers that cannot be believed., type: list, elements: str}
    outdated: {description: "When supervisord was started (UTC), where its unit has changed since; else empty.", type: str}
    maintenance: {description: "Since when (UTC) it is in maintenance; else empty.", type: str}
    watchdog:
      description: Supervisord's word for the C(state) of the app's watchdog, empty when it knows none; and C(processes), name to how often
        it has started one again (C(restarts)), and of the last time C(reason) and C(at) (UTC).
      type: dict
    slots:
      description: One entry a slot.
      type: dict
      contains:
        deployed: {description: Whether the slot's configuration is there., type: bool}
        release: {description: Its release; empty when it has none., type: str}
        environment: {description: Digest of its release's environment; empty when it has none., type: str}
        processes:
          description: Its web processes. Each with name port children state pid nofile uid unit and uptime.
          type: list
          elements: dict
        workers: {description: Its other processes. Each with name state pid nofile uid unit uptime., type: list, elements: dict}
        addresses: {description: Where its web processes listen., type: list, elements: str}
        connections: {description: Established connections to its processes., type: int}
        memory: {description: Bytes that its processes and their children use., type: int}
        sequence: {description: The higher the later the slot was filled; 0 when it never was., type: int}
    environments: {description: Digests of the environments that are whole., type: list, elements: str}
    releases: {description: "Release on the host to the digest of its environment; empty when that is not whole.", type: dict}
    records: {description: "Release on the host to what is noted of it: environment, python and commands.", type: dict}
    wrong_modes:
      description: Paths of releases, records and histories that others can read, or of releases that nginx cannot.
      type: list
      elements: str
    history: {description: "What was live, latest first. Each with release at by version commit run withdrawn.", type: list, elements: dict}
    previous: {description: What a rollback goes to; empty when there is nothing., type: str}
    foreign_ports: {description: Port (text) to another user's process that listens on it., type: dict}
    tls:
      description:
        - Of an app with TLS, C(source) (files, acme or self_signed), when its certificate C(expires) (UTC), C(days_left), of
          how many C(days), and in C(renewal)
          what is wrong with its renewal. None without TLS.
      type: dict
    jobs:
      description:
        - Of an app with singletons or cron, whether this host C(leads), which one is C(leader), the C(problem) that keeps it from
          that, for how many seconds it was C(leaderless); and C(jobs), name to kind host at ended code release restarts tries
          seconds skipped next. None when the process that runs them is not there.
      type: dict
    static_file: {description: One static file of the live slot; empty when there is none., type: str}
    static_digest: {description: "SHA-512 of its content, in hexadecimal.", type: str}
    assets: {description: "Release whose static files have names in the store to its directory of static files.", type: dict}
differences:
  description: The things that are not as they are to be. Each with C(kind), C(name) and the C(reason).
  type: list
  elements: dict
  returned: always
"""

from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.app_state import all_supervised, app_state
from ansible_collections.tornado_app.deploy.plugins.module_utils.host_state import host_state
from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule
from ansible_collections.tornado_app.deploy.plugins.module_utils.things import differences


def main() -> None:
    """Run the module."""
    module = QuietModule(
        argument_spec={
            "apps": {"type": "dict", "required": True},
            "things": {"type": "list", "elements": "dict", "default": []},
            "lock": {"type": "path", "default": "/run/tornado_app/lock"},
        },
        supports_check_mode=True,
    )
    apps = module.params["apps"]
    host = host_state(Path(module.params["lock"]))  # first: what changes after this look at the lock is noticed
    answers = all_supervised(apps)
    module.exit_json(
        changed=False,
        host=host,
        apps={name: app_state(app, answers[name]) for name, app in apps.items()},
        differences=differences(module.params["things"]),
    )


if __name__ == "__main__":
    main()
