#!/usr/bin/python
"""Ansible module: read the cookie secrets of apps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cookie_secrets
short_description: Read the cookie secrets of apps
description:
  - Reads the secrets that the role has made for a fleet. Whoever calls it sets C(no_log).
options:
  files:
    description: App to the file with its secret, which need not be there.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Read the cookie secrets
  tornado_app.deploy.cookie_secrets:
    files: {shop: /etc/shop/cookie_secret}
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
    """What the file says; empty when it is not there."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def main() -> None:
    """Run the module."""
    module = QuietModule(argument_spec={"files": {"type": "dict", "required": True}}, supports_check_mode=True)
    module.exit_json(changed=False, secrets={app: secret(Path(path)) for app, path in module.params["files"].items()})


if __name__ == "__main__":
    main()
