"""A module whose arguments stay out of the host's log."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule


class QuietModule(AnsibleModule):  # type: ignore[misc]  # Ansible carries no types
    """For arguments that may be secret: `no_log` in the argument spec would blank the diff as well, on a task the errors too."""

    def _log_invocation(self) -> None:
        self.log("Invoked")
