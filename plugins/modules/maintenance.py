#!/usr/bin/python
"""Ansible module: put apps into maintenance, or end it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance
short_description: Put apps into maintenance, or end it
description:
  - Creates or removes the flag file of each app, whose presence nginx looks at as each request comes. What is under way goes on.
  - Refuses where an app's site in nginx, as it is on disk, does not look at that file, since it would answer as before.
  - Refuses when the lock of the host is not this run's any more.
options:
  flags:
    description: App to its flag file.
    type: dict
    required: true
  state:
    description: Whether the apps are to be in maintenance.
    type: str
    choices: [present, absent]
    default: present
  sites:
    description: Directory with the apps' sites.
    type: path
    default: /etc/nginx/conf.d
extends_documentation_fragment: [tornado_app.deploy.lock]
attributes:
  check_mode:
    description: Refuses too what nginx would not heed.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Put the shop into maintenance
  tornado_app.deploy.maintenance:
    run: 20260102T030405Z-ana-build-1-4711
    flags: {shop: /srv/shop/live/maintenance}
"""

RETURN = r"""
apps:
  description: The apps for which this changed, or in check mode would.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.flag_file import put
from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED, held
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import exact


def unheeded(flags: dict[str, Path], sites: Path) -> list[str]:
    """The apps at whose flag no site looks."""
    texts = [exact(file) for file in sites.glob("*.conf") if file.is_file()]
    return [app for app, flag in flags.items() if not any(f" {flag};" in text for text in texts)]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "flags": {"type": "dict", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "sites": {"type": "path", "default": "/etc/nginx/conf.d"},
            **LOCKED,
        },
        supports_check_mode=True,
    )
    params = module.params
    present = params["state"] == "present"
    flags = {app: Path(flag) for app, flag in params["flags"].items()}
    if present and (deaf := unheeded(flags, Path(params["sites"]))):
        module.fail_json(msg=f"nginx would not heed that {', '.join(deaf)} is in maintenance: run --tags provision,maintenance")
    wanted = {app: flag for app, flag in flags.items() if flag.exists() != present}
    if wanted and not module.check_mode:
        try:
            with held(Path(params["lock"]), params["run"]):
                for flag in wanted.values():
                    put(flag, present)
        except NotHeldError as problem:
            module.fail_json(msg=f"nothing is changed: {problem}")
    module.exit_json(changed=bool(wanted), apps=list(wanted))


if __name__ == "__main__":
    main()
