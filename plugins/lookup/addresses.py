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

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase


def resolved(host: str, address: str) -> set[str]:
    """All addresses of what may be a name."""
    try:
        return {str(ipaddress.ip_network(address)).removesuffix("/32").removesuffix("/128")}
    except ValueError:
        pass
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)}
    except OSError as problem:
        raise AnsibleError(
            f"{address} has no address ({problem.strerror}): give {host} one in the inventory, by load_balancer_address or ansible_host"
        ) from None


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """The lookup."""

    def run(self, terms: list[str], variables: Mapping[str, Any], **kwargs: object) -> list[str]:  # noqa: ARG002  the base class's
        """See DOCUMENTATION."""
        found: set[str] = set()
        for host in terms:
            own = variables["hostvars"][host]
            found |= resolved(host, str(own.get("load_balancer_address") or own.get("ansible_host") or host))
        return sorted(found)
