"""The types of settings: what the role's argument specs say of each, defaults filled in, and what YAML has read as something else."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

Settings = dict[str, Any]  # of an app, with all defaults, after their types are checked

_SPECS = yaml.safe_load((Path(__file__).parents[2] / "roles/tornado_app/meta/argument_specs.yml").read_text(encoding="utf-8"))
APP_OPTIONS: dict[str, Any] = _SPECS["argument_specs"]["app"]["options"]
INPUTS: dict[str, Any] = _SPECS["argument_specs"]["main"]["options"]

# What YAML makes of a word without quotes; the conversion of types would hide that it is not what was written.
KINDS: dict[type, str] = {bool: "a boolean", float: "a number", datetime.date: "a date", list: "a list", Mapping: "a dictionary"}

# What stands before the host of a URL. A / in a password ends no URL, though it should be written as %2F; one behind a port does.
USERINFO = re.compile(r"(?<=://)([^/?#]*|[^/?#@]*:(?!\d+[/?#]).*)@")

Problems = list[str]


def plain(value: Any) -> Any:
    """The same in plain dictionaries and lists: a deep copy of Ansible's own, which the validation of types makes, copies the host's
    variables with it and takes a second."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def merged(default: Any, given: Any) -> Any:
    """``given`` over ``default``; dictionaries of the argument specs (health, drain) are merged key by key."""
    if isinstance(default, Mapping) and isinstance(given, Mapping):
        return {**default, **{key: merged(default.get(key), value) for key, value in given.items()}}
    return given


def unknown_keys(where: str, given: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[str]:
    for key in given:
        if key not in options:
            near = difflib.get_close_matches(str(key), options, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(options)}"
            yield f"{where}.{key} is not a setting; {hint}"
        elif isinstance(given[key], Mapping) and "options" in options[key]:
            yield from unknown_keys(f"{where}.{key}", given[key], options[key]["options"])


def kind_of(value: Any) -> str:
    """What a value is that is neither text nor a whole number, which has kept all of its digits."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return ""
    return next((kind for cls, kind in KINDS.items() if isinstance(value, cls)), "empty" if value is None else "not text")


def _misread(where: str, value: Any, option: Mapping[str, Any]) -> Iterator[str]:
    """What of a setting YAML has read as something else than text or a number that is wanted: of 3.10 it makes 3.1."""
    if option["type"] == "list":
        for index, item in enumerate(value) if isinstance(value, list) else [(0, value)]:
            yield from [f"{where}[{index}] is empty"] if item is None else _misread(f"{where}[{index}]", item, {"type": option["elements"]})
    elif value is None:  # a key without a value is not given
        return
    elif isinstance(value, Mapping) and "options" in option:
        for key, item in value.items():
            yield from _misread(f"{where}.{key}", item, option["options"][key])
    elif option["type"] == "str" and (kind := kind_of(value)):
        shown = str(value).lower() if isinstance(value, bool) else USERINFO.sub("…@", str(value))
        yield f"{where} is {shown}, {kind}: {'text is needed' if isinstance(value, (list, Mapping)) else 'write it in quotes'}"
    elif option["type"] in ("int", "float", "bytes") and isinstance(value, (bool, datetime.date)):
        yield f"{where} is {str(value).lower()}, {kind_of(value)}: a number is needed"


def input_problems(inputs: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the role's own inputs as they were given; nothing converts these, so text has to be text."""
    for name, value in inputs.items():
        yield from _misread(name, value, INPUTS[name])
        if INPUTS[name]["type"] == "str" and isinstance(value, int) and not isinstance(value, bool):
            yield f"{name} is {value}, a number: write it in quotes"


def typed(where: str, app: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[Settings, Problems]:
    """Fill the defaults and convert the types of one app, by the role's argument specs."""
    problems = list(unknown_keys(where, app, APP_OPTIONS))
    app = {key: value for key, value in app.items() if value is not None}  # a key without a value is not given
    missing = [key for key, option in APP_OPTIONS.items() if key not in app and not option.get("required") and key not in defaults]
    problems += [f"tornado_app_defaults.{key} is missing: a tornado_app_defaults of your own has every key" for key in missing]
    problems += [f"{where}.{key} is missing" for key, option in APP_OPTIONS.items() if option.get("required") and not app.get(key)]
    if problems:
        return {}, problems
    settings = {key: merged(defaults.get(key), app[key]) if key in app else defaults[key] for key in APP_OPTIONS}
    return converted(where, settings)


def converted(where: str, settings: Mapping[str, Any]) -> tuple[Settings, Problems]:
    """Convert the types of some settings of an app, and fill what their dictionaries lack, by the role's argument specs."""
    typed: Settings = {}
    problems: Problems = []
    for key in settings:  # one by one, so that a message can name its setting
        option = APP_OPTIONS[key]
        if misread := list(_misread(f"{where}.{key}", settings[key], option)):
            problems += misread
            continue
        # Nothing is logged here, and the search for what no log may show fails at a date.
        result = ArgumentSpecValidator({key: {**option, "no_log": False}}).validate({key: settings[key]})
        problems += [f"{where}.{key}: {message}" for message in result.error_messages]
        typed[key] = result.validated_parameters.get(key)
    return typed, problems
