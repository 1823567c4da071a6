#!/usr/bin/python
"""Ansible module: read the URLs of Redis that slots have."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_urls_info
short_description: Read the URLs of Redis that slots have
description:
  - Reads what processes of slots got as C(REDIS_URL), which has a password. Call it with C(no_log).
options:
  slots:
    description: The slots.
    type: list
    elements: dict
    required: true
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Read what the live slots have
  tornado_app.deploy.redis_urls_info:
    slots: "{{ __tornado_app_state.live }}"
  register: __tornado_app_redis_present
  no_log: true
"""

RETURN = r"""
urls:
  description: App to its URL; empty when it has none.
  type: dict
  returned: success
"""

from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_url import url_of


def main() -> None:
    """Run the module."""
    module = QuietModule(argument_spec={"slots": {"type": "list", "elements": "dict", "required": True}}, supports_check_mode=True)
    module.exit_json(changed=False, urls={slot["app"]: url_of(slot) for slot in module.params["slots"]})


if __name__ == "__main__":
    main()
