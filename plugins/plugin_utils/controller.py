"""What the action plugins share: their arguments in plain Python, the hosts of the fleet, the templates of the role, a module's result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, cast

from ansible.errors import AnsibleActionFail, AnsibleError, AnsibleFileNotFound
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible.template import trust_as_template

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import Slot
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.certificates import Pair, UnusableError, chain_of, key_of, problems
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import Host
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.files import served, sites

COLLECTION = "tornado_app.deploy"

# What Ansible hands over and takes back has no types of its own: an argument spec, arguments that it has checked, a task's result.
Spec = dict[str, Any]
Arguments = dict[str, Any]
Result = dict[str, Any]


def plain(value: Any) -> Any:
    """The same in plain dictionaries and lists, without Ansible's own types, which copy all variables of a host when they are copied."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


class CollectionAction(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """An action of this collection. A subclass says its options (``SPEC``) and what it does (``act``)."""

    SPEC: ClassVar[Spec] = {}
    PROJECT: ClassVar[str] = "__tornado_app_project"  # the variable with the directory at which relative paths of the controller start
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Arguments | None = None) -> Result:
        """Check the arguments and act."""
        super().run(tmp, task_vars)
        del tmp
        _, arguments = self.validate_argument_spec(argument_spec=dict(self.SPEC))
        self.variables = task_vars or {}
        return {"changed": False, **self.act(plain(arguments))}

    def act(self, arguments: Arguments) -> Result:
        """What the action is for; returns the task's result."""
        raise NotImplementedError

    def refuse(self, problems: Iterable[str], **result: Any) -> None:
        """Fail with all problems at once, one a line, if there are any."""
        found = list(dict.fromkeys(problems))
        if found:
            raise AnsibleActionFail("\n".join(found), result=result)

    def module(self, name: str, **arguments: Any) -> Result:
        """Run a module of the collection on the host."""
        result: Result = self._execute_module(module_name=f"{COLLECTION}.{name}", module_args=arguments, task_vars=self.variables)
        return result

    def of_each_host(self, name: str) -> dict[str, Result]:
        """Host -> its variable of that name, of the hosts of the play that have not failed; without those that have none."""
        found = {}
        for host in self.variables["ansible_play_hosts"]:
            own = self.variables["hostvars"][host]
            if name in own:
                found[str(host)] = plain(own[name])
        return found

    def fleet(
        self, plan: str, state: str, releases: Mapping[str, Any] | None = None, differing: Mapping[str, Any] | None = None
    ) -> list[Host]:
        """The hosts of the play that have not failed, with the results of those names; one without is an error."""
        plans, states = self.of_each_host(plan), self.of_each_host(state)
        self.refuse(
            f"{host} has no result {name}"
            for host in self.variables["ansible_play_hosts"]
            for name, results in ((plan, plans), (state, states))
            if str(host) not in results
        )
        return [
            Host(
                name=name,
                apps=plans[name]["apps"],
                state=cast(State, state),
                releases=(releases or {}).get(name, {}),
                differing=frozenset((differing or {}).get(name, {}).get("apps", [])),
            )
            for name, state in states.items()
        ]

    def render(self, template: str, **variables: Any) -> str:
        """A template of the role as text."""
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        return str(lookup.run([template], self.variables, template_vars=variables)[0])

    def value(self, name: str, **variables: Any) -> Any:
        """A variable of the role, with others that it is made of."""
        templar = self._templar.copy_with_new_env(available_variables={**self.variables, **variables})
        return plain(templar.template(trust_as_template(f"{{{{ {name} }}}}")))

    def nginx_files(self, apps: Apps) -> dict[str, str]:
        """Path in nginx's tree -> content, of all that serves these apps but their upstreams."""
        whole = list(served(apps).values())
        found = {
            "nginx.conf": self.render("nginx.conf.j2"),
            "conf.d/tornado_app.conf": self.render("nginx_default.conf.j2", apps=whole, sites=[together[0] for together in sites(apps)]),
        }
        for together in sites(apps):
            found[together[0]["site_config"]] = self.render("nginx_site.conf.j2", apps=together, all_apps=whole)
        return found

    def upstreams(self, slots: Iterable[Slot]) -> dict[str, str]:
        """Path in nginx's tree -> content, of the upstreams of these slots."""
        return {slot["upstream_config"]: self.render("nginx_upstream.conf.j2", slot=slot) for slot in slots if slot["addresses"]}

    def certificate_problems(self, app: str, tls: Mapping[str, Any], names: Iterable[str]) -> list[str]:
        """What stands against the certificate of files for these names, if that is what an app has."""
        if not tls["certificate"]:
            return []
        try:
            return list(problems(f"tornado_apps.{app}.tls", self.pair(f"tornado_apps.{app}.tls", tls), names, datetime.now(UTC)))
        except UnusableError as problem:
            return [str(problem)]

    def pair(self, where: str, tls: Mapping[str, Any]) -> Pair:
        """The certificate and the key that a setting names; raises UnusableError, with the setting, where they are none."""
        found = {}
        readers: tuple[tuple[str, str, Callable[[bytes], Any]], ...] = (
            ("chain", "certificate", chain_of),
            ("key", "key", key_of),
        )
        for part, setting, parsed in readers:
            path = tls[setting]
            try:
                found[part] = parsed(self.controller_file(path))
            except UnusableError as problem:
                raise UnusableError(f"{where}.{setting} {path} {problem}") from None
        return Pair(**found)

    def controller_file(self, path: str) -> bytes:
        """A file of the controller, which ansible-vault may have encrypted; a relative path starts where the project does."""
        full = Path(path).expanduser()
        if not full.is_absolute():
            full = Path(self.value(self.PROJECT), full)
        try:
            text = self._loader.get_text_file_contents(str(full))
        except AnsibleFileNotFound:
            raise UnusableError("is not there, on the controller") from None
        except AnsibleError as problem:
            raise UnusableError(f"cannot be read: {problem}") from None
        return str(text).encode("utf-8", "surrogateescape")

    def read(self, file: str) -> str:
        """A file of the role as text."""
        lookup = lookup_loader.get("ansible.builtin.file", loader=self._loader, templar=self._templar)
        return str(lookup.run([file], self.variables, rstrip=False)[0])
