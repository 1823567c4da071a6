"""A template of the role, rendered several times in one go."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rendered
short_description: Render a template once for each of several sets of variables
description:
  - What a loop over the template lookup gives, as one list, for a module that takes all files of a host in one call.
options:
  _terms:
    description: Name of the template.
    type: list
    elements: str
    required: true
  each:
    description: The sets of variables.
    type: list
    elements: dict
    required: true
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Show the upstreams of both slots
  ansible.builtin.debug:
    msg: "{{ query('tornado_app.deploy.rendered', 'nginx_upstream.conf.j2', each=[{'slot': app.slots.blue}, {'slot': app.slots.green}]) }}"
"""

RETURN = r"""
_raw:
  description: The texts, in the order of O(each).
  type: list
  elements: str
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """The lookup."""

    def run(self, terms: list[str], variables: Any = None, *, each: Sequence[Mapping[str, Any]], **kwargs: object) -> list[str]:  # noqa: ARG002  the base class's
        """See DOCUMENTATION."""
        template = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        return [template.run(terms, variables, template_vars=dict(own))[0] for own in each]
