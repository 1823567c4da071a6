"""A directory of the controller that is its user's alone."""

from __future__ import annotations

DOCUMENTATION = r"""
name: private_directory
short_description: Make a directory of the controller that is its user's alone
description:
  - Makes the directory when it is not there. Fails when it is a link, belongs to somebody else, or can be written by others, so that what
    is in it may be somebody else's.
  - Tasks that put something there, or take something from there, name it by this lookup. So it is looked at before each of them.
options:
  _terms:
    description: Paths; a C(~) at the beginning is the user's home.
    type: list
    elements: str
    required: true
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Fetch a repository
  ansible.builtin.git:
    repo: https://git.example.com/shop.git
    dest: "{{ lookup('tornado_app.deploy.private_directory', '~/.cache/shop') }}/repository"
  delegate_to: localhost
"""

RETURN = r"""
_raw:
  description: The paths.
  type: list
  elements: path
"""

from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.tornado_app.deploy.plugins.module_utils.cache import CacheError, private


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """The lookup."""

    def run(self, terms: list[str], variables: object = None, **kwargs: object) -> list[str]:  # noqa: ARG002  the base class's
        """See DOCUMENTATION."""
        found = [Path(term).expanduser() for term in terms]
        try:
            for path in found:
                private(path)
        except CacheError as problem:
            raise AnsibleError(str(problem)) from None
        except OSError as problem:
            raise AnsibleError(f"{problem.filename} cannot be made: {problem.strerror}") from None
        return [str(path) for path in found]
