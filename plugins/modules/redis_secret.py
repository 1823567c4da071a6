#!/usr/bin/python
"""Ansible module: read the secret of a fleet's Redis, or make it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_secret
short_description: Read the secret of a fleet's Redis, or make it
description:
  - From this secret follow the passwords of all users of Redis. Where there is none yet, one is made, and kept for root alone.
  - Call it with C(no_log), on the host of Redis.
options:
  path:
    description: The file of the secret.
    type: path
    default: /etc/tornado_app/redis_secret
attributes:
  check_mode:
    description: What it makes then is kept by nobody.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Ask for the secret of Redis
  tornado_app.deploy.redis_secret: {}
  delegate_to: redis-1
  register: __tornado_app_redis_secret
  no_log: true
"""

RETURN = r"""
secret:
  description: The secret.
  type: str
  returned: success
"""

from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_users import SECRET_FILE, held_or_made
from ansible_collections.tornado_app.deploy.plugins.module_utils.root_file import text


def main() -> None:
    """Run the module."""
    module = QuietModule(argument_spec={"path": {"type": "path", "default": SECRET_FILE}}, supports_check_mode=True)
    path = Path(module.params["path"])
    missing = not text(path)
    module.exit_json(changed=missing, secret=held_or_made(path, keep=not module.check_mode))


if __name__ == "__main__":
    main()
