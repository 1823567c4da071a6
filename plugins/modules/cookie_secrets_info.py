#!/usr/bin/python
"""Ansible module: read the cookie secrets of apps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cookie_secrets_info
short_description: Read the cookie secrets of apps
description:
  - Reads the secrets that the role has made for a fleet. Call it with C(no_log).
options:
  apps:
    description: The apps, as M(tornado_app.deploy.plan) gives them. A file with a secret need not exist.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Read the cookie secrets
  tornado_app.deploy.cookie_secrets_info:
    apps: "{{ __tornado_app_plan.apps }}"
  register: __tornado_app_cookies
  no_log: true
"""

RETURN = r"""
secrets:
  description: App to its secret; empty when there is none.
  type: dict
  returned: success
"""

from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule


def secret(path: Path) -> str:
    """What the file says; empty when it is not there, or damaged: no process could be given what is not text."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def main() -> None:
    """Run the module."""
    module = QuietModule(argument_spec={"apps": {"type": "dict", "required": True}}, supports_check_mode=True)
    module.exit_json(changed=False, secrets={name: secret(Path(app["cookie_secret"])) for name, app in module.params["apps"].items()})


if __name__ == "__main__":
    main()
