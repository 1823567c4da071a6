"""The addresses by which hosts of the inventory are known to others."""

from __future__ import annotations

DOCUMENTATION = r"""
name: addresses
short_description: The addresses by which hosts of the inventory are known to others
description:
  - Takes the address of each host from the inventory. That is C(load_balancer_address), else C(ansible_host), else its name.
  - A name is resolved on the controller. Fails when it cannot be.
  - Asks no host, so that a run that leaves a host out comes to the same result.
options:
  _terms:
    description: Names of hosts of the inventory.
    type: list
    elements: str
    required: true
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Show the addresses of the balancers
  ansible.builtin.debug:
    msg: "{{ query('tornado_app.deploy.addresses', *groups['balancer']) }}"
"""

RETURN = r"""
_raw:
  description: The addresses, of IPv4 and IPv6, in their order. A network that is given as an address stays one.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible.plugins.lookup import LookupBase

from ansible_collections.tornado_app.deploy.plugins.plugin_utils.addresses import resolved


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """The lookup."""

    def run(self, terms: list[str], variables: Mapping[str, Any], **kwargs: object) -> list[str]:  # noqa: ARG002  the base class's
        """See DOCUMENTATION."""
        found: set[str] = set()
        for host in terms:
            own = variables["hostvars"][host]
            address = str(own.get("load_balancer_address") or own.get("ansible_host") or host)
            found |= resolved(host, address, "load_balancer_address")
        return sorted(found)
