"""Ansible action: check that a run can be carried out, see the module documentation of the same name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import acme, balancer_rules, checks, work
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import Host
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.controller import Arguments, Result, Spec
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.redis_inventory import RedisAction


def was_touched(host: Host, lock: Mapping[str, Any]) -> bool:
    """Whether another run may have changed a host between the look at its state and the moment in which it was locked."""
    return bool(lock["replaced"]) or lock["mark"] != host.state["host"]["lock_mark"]


class ActionModule(RedisAction):
    """The action."""

    SPEC: ClassVar[Spec] = {
        "plan": {"type": "str", "required": True},
        "state": {"type": "str", "required": True},
        "operations": {"type": "list", "elements": "str", "required": True},
        "max_missing": {"type": "int", "default": 0},
        "group": {"type": "str", "required": True},
        "locked": {"type": "str"},
    }
    _requires_connection = False

    def act(self, arguments: Arguments) -> Result:
        """Fail with all that stands against the run on any host."""
        operations = set(arguments["operations"])
        reached = self.variables["ansible_play_hosts"]
        missing = [str(host) for host in self.variables["ansible_play_hosts_all"] if host not in reached]
        plans, fleet = self.of_each_host(arguments["plan"]), self.fleet(arguments["plan"], arguments["state"])
        problems: list[str] = []
        if operations & {"provision", "deploy", "restart", "rollback"}:  # who stops or starts apps does so where they can be reached
            problems += self.redis_group_problems()
            problems += checks.missing_problems(missing, arguments["max_missing"], arguments["group"])
            for host in fleet:
                problems += checks.host_problems(host.apps, host.state, plans[host.name]["host"])
                problems += work.serving_problems(host.apps, host.state, host.name)
                if "deploy" in operations and "provision" not in operations:
                    problems += checks.version_problems(host.state, host.name)
                if operations & {"deploy", "restart"} and "provision" not in operations:
                    problems += checks.socket_problems(host.apps, host.state, host.name)
                if not operations & {"restart", "rollback"}:
                    problems += checks.name_problems(host.apps, plans[host.name]["absent"], host.state, host.name)
        if operations & {"provision", "deploy"}:
            apps = {host.name: host.apps for host in fleet}
            names = {name for own in apps.values() for name in work.with_jobs(own)}
            problems += work.lease_problems(apps, {name: self.hosts_of(name, arguments["group"]) for name in names})
        if "provision" in operations:
            problems += acme.shared_names({host.name: host.apps for host in fleet})
            problems += [problem for host in fleet for problem in self.of_certificates(host.apps)]
            problems += self.balancer_problems(arguments["group"])
            problems += self.redis_problems(self.variables["groups"].get(arguments["group"], []))
        self.refuse(problems)
        locks = self.of_each_host(arguments["locked"]) if arguments["locked"] else {}
        return {
            "stale": any(was_touched(host, locks[host.name]) for host in fleet if host.name in locks),
            "missing": missing,
            "differs": any(host.state["differences"] for host in fleet),
            "alive": sorted({host.state["host"]["lock"]["run"] for host in fleet if host.state["host"]["lock"]}),
        }

    def of_certificates(self, apps: Apps) -> Iterator[str]:
        """What stands against bringing the apps' certificates to their host."""
        for name, app in apps.items():
            yield from self.certificate_problems(name, app["tls"], app["tls"]["names"])

    def balancer_problems(self, group: str) -> list[str]:
        """What a balancer would refuse once the hosts have changed."""
        groups = self.variables["groups"]
        if not (balancers := groups.get("balancer")):
            return []
        tls = self.said("load_balancer_tls | default('terminate')", "load_balancer_tls", self.inventory(balancers[0]))
        return balancer_rules.problems([self.host(name) for name in groups[group]], tls)
