"""Argument specs, defaults and what ansible-doc makes of them do not drift apart."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/tornado_app"
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


def test_preflight_takes_what_main_takes() -> None:
    assert SPECS["preflight"]["options"] == MAIN


def test_ansible_doc_reads_the_role() -> None:
    assert set(ansible_doc("-t", "role", f"{COLLECTION}.tornado_app")[f"{COLLECTION}.tornado_app"]["entry_points"]) == set(SPECS)


@pytest.mark.parametrize(("kind", "folder"), [("module", "modules"), ("lookup", "lookup")])
def test_ansible_doc_shows_every_plugin(kind: str, folder: str) -> None:
    names = sorted(f"{COLLECTION}.{path.stem}" for path in (ROOT / "plugins" / folder).glob("*.py"))
    assert sorted(ansible_doc("-t", kind, *names)) == names
