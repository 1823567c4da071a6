"""What the actions that look at the hosts behind a balancer document of these."""

from __future__ import annotations


class ModuleDocFragment:
    """The options ``hosts`` and ``tls``."""

    DOCUMENTATION = r"""
options:
  hosts:
    description: The hosts of the fleet.
    type: list
    elements: str
    required: true
  tls:
    description: Where TLS ends, at the balancer (V(terminate)) or at the hosts (V(pass)).
    type: str
    choices: [terminate, pass]
    default: terminate
"""
