"""Ansible action: say whether the fleet goes on, see the module documentation of the same name."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, CollectionAction, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.fleet import Answers, NoResultError, messages, reasons, text


class ActionModule(CollectionAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "results": {"type": "list", "elements": "str", "required": True},
        "without": {"type": "list", "elements": "str", "default": []},
        "so_far": {"type": "bool", "default": False},
        "label": {"type": "str", "default": "{item}"},
    }
    _requires_connection = False

    def act(self, arguments: Arguments) -> Result:
        """Look at the results of all hosts of the play that have been reached."""
        names: list[str] = arguments["results"]
        reached = self.variables["ansible_play_hosts"]
        lost = [str(host) for host in self.variables["ansible_play_hosts_all"] if host not in reached and host not in arguments["without"]]
        answers = []
        for host in reached:
            own = self.variables["hostvars"][host]
            answers.append(Answers(host=str(host), results={name: own[name] for name in names if name in own}))
        try:
            found = reasons(answers, names, lost, arguments["label"], partial=arguments["so_far"])
        except NoResultError as problem:
            self.refuse([str(problem)])
        return {"passed": not found, "reasons": found, "text": text(found), "messages": messages(found, [str(host) for host in reached])}
