"""Argument specs, defaults, documentation, its examples and the tasks of the role do not drift apart."""

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests.unit.loading import ROLE, ROOT, plugin

SPECS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
APP_DEFAULTS = DEFAULTS["tornado_app_defaults"]
MAIN, APP = SPECS["main"]["options"], SPECS["app"]["options"]
COLLECTION = "tornado_app.deploy"


def is_template(value: Any) -> bool:
    return isinstance(value, str) and "{{" in value


def every_option(options: Mapping[str, Any], where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All options with those in them, by their path."""
    for name, option in options.items():
        yield f"{where}.{name}", option
        yield from every_option(option.get("options", {}), f"{where}.{name}")


def ansible_doc(*arguments: str) -> Any:
    """What ansible-doc says, as JSON."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-doc")), "--json", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_input_has_a_default_in_the_order_of_the_specs() -> None:
    assert list(DEFAULTS) == list(MAIN)


def test_every_key_of_an_app_has_a_default_in_the_order_of_the_specs() -> None:
    assert list(APP_DEFAULTS) == [name for name, option in APP.items() if not option.get("required")]


@pytest.mark.parametrize("name", MAIN)
def test_default_of_an_input_is_that_of_the_specs(name: str) -> None:
    if name == "tornado_app_defaults":  # its keys are those of the entry point `app`, see below
        assert "default" not in MAIN[name]
    elif MAIN[name].get("required"):
        assert "default" not in MAIN[name]
        assert not DEFAULTS[name]
    elif is_template(DEFAULTS[name]):
        assert "default" not in MAIN[name]
    else:
        assert MAIN[name]["default"] == DEFAULTS[name]


@pytest.mark.parametrize("name", APP)
def test_default_of_a_key_is_that_of_the_specs(name: str) -> None:
    if APP[name].get("required") or is_template(APP_DEFAULTS[name]):
        assert "default" not in APP[name]
    else:
        assert APP[name]["default"] == APP_DEFAULTS[name]


@pytest.mark.parametrize("name", [name for name, option in APP.items() if "options" in option])
def test_defaults_in_a_key_are_those_of_the_specs(name: str) -> None:
    assert {key: option["default"] for key, option in APP[name]["options"].items()} == APP_DEFAULTS[name]


@pytest.mark.parametrize(("path", "option"), [*every_option(MAIN, "main"), *every_option(APP, "app")])
def test_option_has_a_type_and_a_description(path: str, option: Mapping[str, Any]) -> None:
    assert option.get("type"), path
    assert option.get("description"), path
    assert option["type"] != "list" or option.get("elements"), path


@pytest.mark.parametrize("name", ["load_balancer", "redis"])
def test_the_other_roles_have_defaults_as_their_specs_say(name: str) -> None:
    role = ROOT / "roles" / name
    options = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8"))
    assert list(defaults) == [key for key in options if not key.endswith("_address")]
    assert {key: option["default"] for key, option in options.items() if "default" in option} == {
        key: value for key, value in defaults.items() if not is_template(value)
    }
    assert all(option["type"] and option["description"] for _, option in every_option(options, name))


def test_begin_takes_what_main_takes() -> None:
    assert SPECS["begin"]["options"] == MAIN


def test_ansible_doc_reads_the_role() -> None:
    assert set(ansible_doc("-t", "role", f"{COLLECTION}.tornado_app")[f"{COLLECTION}.tornado_app"]["entry_points"]) == set(SPECS)


# The plugins of the collection

Spec = Mapping[str, Mapping[str, Any]]


def stems(folder: str) -> list[str]:
    """The plugins of a kind, which are a file each."""
    return sorted(path.stem for path in (ROOT / "plugins" / folder).glob("*.py"))


ACTIONS, MODULES = stems("action"), stems("modules")
FILTERS = plugin("filter", "deploy").FilterModule().filters()
PLUGINS = [
    *(("module", name) for name in MODULES),
    *(("lookup", name) for name in stems("lookup")),
    *(("filter", name) for name in FILTERS),
]
LOCKED = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]["locked"]
TASK_FILES = sorted([*ROOT.glob("roles/*/tasks/*.yml"), *(ROOT / "playbooks").rglob("*.yml")])


@cache
def documented(kind: str) -> Any:
    """What ansible-doc says of all plugins of a kind, with what they take from fragments: name -> ``doc``, ``examples``, ``return``."""
    names = [name for one, name in PLUGINS if one == kind]
    found = ansible_doc("-t", kind, *(f"{COLLECTION}.{name}" for name in names))
    return {name: found[f"{COLLECTION}.{name}"] for name in names}


class SpecFoundError(Exception):
    """A module has come to its argument spec."""


@cache
def spec(name: str) -> Spec:
    """The argument spec of a module or an action."""
    if name in ACTIONS:
        found: Spec = plugin("action", name).ActionModule.SPEC
        return found

    def stop(_: AnsibleModule, argument_spec: Spec, supports_check_mode: bool = False, **options: Any) -> NoReturn:
        assert supports_check_mode  # as all of them are documented to
        assert not options, f"{options} of {name} would have to be documented and tested here too"
        raise SpecFoundError(argument_spec)

    run = plugin("modules", name).main
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnsibleModule, "__init__", stop)
        with pytest.raises(SpecFoundError) as reached:
            run()
    taken: Spec = reached.value.args[0]
    return taken


def plain_option(option: Mapping[str, Any], below: str) -> dict[str, Any]:
    """What an option is, whether its documentation says so or its argument spec."""
    return {
        "type": option.get("type", "str"),
        "elements": option.get("elements"),
        "required": option.get("required", False),
        "default": option.get("default"),
        "choices": option.get("choices"),
        "options": {name: plain_option(own, below) for name, own in (option.get(below) or {}).items()},
    }


def argument_problems(options: Spec, given: Any, where: str) -> Iterator[str]:
    """What a module would refuse of its arguments. A template counts as any value."""
    if is_template(given):
        return
    if not isinstance(given, Mapping):
        yield f"{where} is not a dictionary"
        return
    yield from (f"{where}.{name} is not known" for name in given if name not in options)
    yield from (f"{where}.{name} is missing" for name, option in options.items() if option.get("required") and name not in given)
    for name in given.keys() & options.keys():
        option, value = options[name], given[name]
        if is_template(value):
            continue
        if "options" in option:
            for element in value if option["type"] == "list" else [value]:
                yield from argument_problems(option["options"], element, f"{where}.{name}")
            continue
        if option["type"] == "list" and isinstance(value, list):
            value = [element for element in value if not is_template(element)]
        checked = {key: option[key] for key in ("type", "elements", "choices") if key in option}
        messages = ArgumentSpecValidator({name: {**checked, "no_log": False}}).validate({name: value}).error_messages
        yield from (f"{where}.{name}: {message}" for message in messages)


def every_value(returned: Mapping[str, Any], where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All values that a plugin returns with those in them, by their path."""
    for name, value in returned.items():
        yield f"{where}.{name}", value
        yield from every_value(value.get("contains", {}), f"{where}.{name}")


def flat(tasks: Any) -> Iterator[Mapping[str, Any]]:
    """All tasks of a list of plays, tasks and blocks."""
    for task in tasks:
        yield task
        for key in ("block", "rescue", "always", "pre_tasks", "tasks", "post_tasks"):
            yield from flat(task.get(key) or [])


def calls(tasks: Any) -> list[tuple[str, str, Any]]:
    """Each call of a module or an action of the collection: the task's name, the plugin's, the arguments."""
    known = {f"{COLLECTION}.{name}": name for name in MODULES}
    return [(task.get("name", "?"), known[key], task[key]) for task in flat(tasks) for key in task if key in known]


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_ansible_doc_shows_every_plugin(kind: str, name: str) -> None:
    """With examples, and a description for all that it has."""
    found = documented(kind)[name]
    assert f"{COLLECTION}.{name}" in found["examples"]
    assert found["doc"]["short_description"]
    assert found["doc"]["description"]
    assert found["return"]
    for path, value in every_value(found["return"], name):
        assert value["description"], path
        assert value["type"], path
        assert value["type"] != "list" or value.get("elements"), path


def test_every_action_is_documented() -> None:
    assert set(ACTIONS) <= set(MODULES)
    assert {path.stem for path in (ROOT / "plugins/filter").glob("*.yml")} == set(FILTERS)


@pytest.mark.parametrize("name", MODULES)
def test_documentation_has_the_options_of_the_argument_spec(name: str) -> None:
    """Each with the same type, default and choices."""
    options = documented("module")[name]["doc"].get("options", {})
    assert {key: plain_option(option, "suboptions") for key, option in options.items()} == {
        key: plain_option(option, "options") for key, option in spec(name).items()
    }


def test_documentation_of_the_state_has_all_that_it_has() -> None:
    """In the same words as its types, by which all other plugins read it."""
    returned, types = documented("module")["state_info"]["return"], plugin("module_utils", "state")
    assert set(returned) == set(types.State.__annotations__)
    assert set(returned["host"]["contains"]) == set(types.HostState.__annotations__)
    assert set(returned["apps"]["contains"]) == set(types.AppState.__annotations__)
    assert set(returned["apps"]["contains"]["slots"]["contains"]) == set(types.SlotState.__annotations__)


@pytest.mark.parametrize("name", MODULES)
def test_documentation_says_what_check_mode_does(name: str) -> None:
    assert documented("module")[name]["doc"]["attributes"]["check_mode"]["support"] == "full"


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_tasks_that_the_plugin_takes(name: str) -> None:
    found = calls(yaml.safe_load(documented("module")[name]["examples"]))
    assert name in {called for _, called, _ in found}
    assert [problem for task, called, given in found for problem in argument_problems(spec(called), given, task)] == []


@pytest.mark.parametrize("path", TASK_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_tasks_give_what_the_plugin_takes(path: Path) -> None:
    """Those that act under the lock get the name of the run from `module_defaults`."""
    found = calls(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert [
        problem
        for task, called, given in found
        for problem in argument_problems(spec(called), {**({"run": "r"} if called in LOCKED else {}), **(given or {})}, task)
    ] == []


def test_what_acts_under_the_lock_gets_the_name_of_the_run() -> None:
    """`changes` takes the run as a whole, which is no name."""
    assert {name for name in MODULES if spec(name).get("run", {}).get("type") == "str"} == set(LOCKED)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"text": "a", "items": [{"size": 1}]}, ""),
        ({"text": "{{ a }}", "items": "{{ b }}"}, ""),
        ({"text": "a", "items": ["{{ b }}", {"size": "{{ c }}"}], "list": ["{{ d }}", 2]}, ""),
        ({"items": []}, "it.text is missing"),
        ({"text": "a", "items": [{"size": 1}, {}]}, "it.items.size is missing"),
        ({"text": "a", "items": [{"size": "much"}]}, "it.items.size: "),
        ({"text": "c", "items": []}, "it.text: "),
        ({"text": "a", "items": [], "list": ["much"]}, "it.list: "),
        ({"text": "a", "items": [], "other": 1}, "it.other is not known"),
        ({"text": "a", "items": ["b"]}, "it.items is not a dictionary"),
        (["text"], "it is not a dictionary"),
    ],
)
def test_what_a_plugin_would_refuse_is_found(given: Any, problem: str) -> None:
    options: Spec = {
        "text": {"type": "str", "required": True, "choices": ["a", "b"]},
        "items": {"type": "list", "elements": "dict", "required": True, "options": {"size": {"type": "int", "required": True}}},
        "list": {"type": "list", "elements": "int"},
    }
    found = list(argument_problems(options, given, "it"))
    assert len(found) == bool(problem)
    assert "".join(found).startswith(problem)


@pytest.mark.parametrize("name", FILTERS)
def test_documentation_of_a_filter_has_its_arguments(name: str) -> None:
    """In their order; those without a default are needed."""
    doc = documented("filter")[name]["doc"]
    first, *others = inspect.signature(FILTERS[name]).parameters.values()
    assert first.default is inspect.Parameter.empty
    assert doc.get("positional", "").replace(" ", "").split(",") == ([other.name for other in others] or [""])
    assert set(doc["options"]) == {"_input", *(other.name for other in others)}
    for other in others:
        assert doc["options"][other.name].get("required", False) == (other.default is inspect.Parameter.empty)
