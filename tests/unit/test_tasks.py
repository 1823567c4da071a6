"""Tasks and actions agree: on names of results, which are text to Ansible and checked by nobody else, and on arguments."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.unit.loading import COLLECTION, ROLE, ROOT

TASKS = sorted((ROLE / "tasks").glob("*.yml"))
# Where an action takes a result by its name.
BY_NAME = {
    "check": {"plan", "state", "locked"},
    "changes": {"plan", "state", "compared"},
    "releases": {"plan", "state"},
    "status": {"plan", "state"},
    "summary": {"gate", "switched", "drained"},
    "cookie_secrets": {"plan", "found"},
    "redis_urls": {"plan", "present"},
    "verdict": {"results"},
}


def tasks(found: Any) -> Iterator[dict[str, Any]]:
    """All tasks of a file, those in blocks too."""
    for task in found:
        yield task
        for block in ("block", "rescue", "always"):
            yield from tasks(task.get(block, []))


ALL = [task for path in TASKS for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8")))]


OTHERS = [
    task
    for role in ("load_balancer", "redis")
    for path in (ROOT / f"roles/{role}/tasks").glob("*.yml")
    for task in tasks(yaml.safe_load(path.read_text()))
]


def set_somewhere() -> set[str]:
    """The names under which tasks leave a result on hosts."""
    registered = {task["register"] for task in ALL if "register" in task}
    return registered.union(*(task["ansible.builtin.set_fact"] for task in ALL if "ansible.builtin.set_fact" in task))


def given(action: str) -> Iterator[str]:
    """The names that tasks give to an action; those in an expression are taken out of it."""
    for task in ALL:
        arguments = task.get(f"tornado_app.deploy.{action}", {})
        for key in BY_NAME[action] & set(arguments):
            for name in [arguments[key]] if isinstance(arguments[key], str) else arguments[key]:
                yield from re.findall(r"'(\w+)'", name) if "{{" in name else [name]


def spec(action: str) -> dict[str, Any]:
    """The options of an action."""
    found: dict[str, Any] = importlib.import_module(f"{COLLECTION}.plugins.action.{action}").ActionModule.SPEC
    return found


@pytest.mark.parametrize("action", BY_NAME)
def test_every_name_that_a_task_gives_to_an_action_is_set_by_a_task(action: str) -> None:
    names = set(given(action))
    assert names
    assert names <= set_somewhere()


def test_no_result_has_the_name_of_a_variable_of_the_role() -> None:
    """It would be in its place from then on."""
    names = {
        name
        for path in ROOT.glob("roles/*/*/main.yml")
        if path.parent.name in ("vars", "defaults")
        for name in yaml.safe_load(path.read_text())
    }
    assert names
    assert not names & (set_somewhere() | {task["register"] for task in OTHERS if "register" in task})


@pytest.mark.parametrize("action", BY_NAME)
def test_every_name_of_a_result_that_an_action_takes_is_looked_at_here(action: str) -> None:
    """All that is text, or a list of texts, and not something else."""
    others = {"operation", "operations", "group", "release", "project", "without", "label"}
    texts = {key for key, option in spec(action).items() if "str" in (option["type"], option.get("elements"))}
    assert texts - others == BY_NAME[action]


def test_every_hosts_own_results_are_taken_by_the_names_of_tasks_alone() -> None:
    """A result that no task sets is read nowhere."""
    read = {name for path in TASKS for name in re.findall(r"\b(__tornado_app_\w+)", path.read_text(encoding="utf-8"))}
    own = set(yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8")))
    local = {
        name
        for task in ALL
        for name in [*task.get("vars", {}), *([task["loop_control"].get("loop_var")] if "loop_control" in task else [])]
    }
    assert read <= set_somewhere() | own | local


@pytest.mark.parametrize("action", sorted(path.stem for path in (ROOT / "plugins/action").glob("*.py")))
def test_every_argument_that_a_task_gives_to_an_action_is_one(action: str) -> None:
    """And those that an action needs are given; `run` comes from the play."""
    required = {name for name, option in spec(action).items() if option.get("required")}
    found = [set(task[f"tornado_app.deploy.{action}"]) for task in [*ALL, *OTHERS] if f"tornado_app.deploy.{action}" in task]
    assert found
    for arguments in found:
        assert arguments <= set(spec(action))
        assert required <= {*arguments, "run"}


def test_where_hosts_come_in_batches_no_verdict_asks_for_those_that_have_not_had_their_turn() -> None:
    """The play of switch.yml has `serial`, and its verdicts look at all hosts of the play."""
    found = list(tasks(yaml.safe_load((ROLE / "tasks/switch_slots.yml").read_text(encoding="utf-8"))))
    verdicts = [task["tornado_app.deploy.verdict"] for task in found if "tornado_app.deploy.verdict" in task]
    assert verdicts
    assert all(arguments.get("so_far") for arguments in verdicts)
