"""Write docs/variables.md, the reference of inputs, from the role's argument specs and defaults.

`python tools/docs.py` writes the page; `python tools/docs.py --check` only tells whether it is up to date.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
ROLE = ROOT / "roles/tornado_app"
BALANCER_ROLE = ROOT / "roles/load_balancer"
REDIS_ROLE = ROOT / "roles/redis"
PAGE = ROOT / "docs/variables.md"
WIDTH = 120

# Defaults that are Jinja expressions, and what they mean. Keyed by the expression: whoever changes one says it again.
MEANINGS = {
    "{{ ansible_facts['processor_nproc'] }}": "one for each CPU that the host may use",
    "{{ [inventory_hostname, ansible_facts['fqdn']] + ansible_facts['all_ipv4_addresses'] }}": (
        "the host's inventory name, its fully qualified name and its IPv4 addresses"
    ),
    "{{ ansible_facts['memtotal_mb'] // 2 }}M": "half of the host's memory",
}

HEAD = """\
# Variables

<!-- Made by tools/docs.py from meta/argument_specs.yml of the roles: change these files, then run `make docs`. -->

Every input has its type and description in `roles/tornado_app/meta/argument_specs.yml` and its default in
`roles/tornado_app/defaults/main.yml`. A value of another type ends a run before it changes anything. So does an unknown
key of an app.
"""
HOST = """\
## Inputs of a host

Write them where Ansible looks for variables: `inventories/prod/group_vars/tornado/`, `host_vars/`, the inventory.
[Operations](operations.md#options) lists those of the command line.
"""
BALANCER = """\
## Inputs of a balancer

Of the role `load_balancer`, for the group `balancer`; [the edge](edge.md#a-balancer) says how it works.
"""
REDIS = """\
## Inputs of Redis

Of the role `redis`, for the one host of the group `redis`; [realtime](realtime.md#redis) says how it works.
"""
APP = """\
## Keys of an app

Each entry of [`tornado_apps`](#tornado_apps) takes these. [`tornado_app_defaults`](#tornado_app_defaults) gives the keys
that an entry has not. Keys of dictionaries are taken one by one.

```yaml
tornado_apps:
  shop:
    source: files/app
    command: "{python} app.py --port={port}"
    server_names: [shop.example.com]
    health:
      path: /healthz
```
"""


def render() -> str:
    """The whole page."""
    specs = load("meta/argument_specs.yml")["argument_specs"]
    defaults = load("defaults/main.yml")
    inputs = [*section(specs["main"]["options"], {**defaults, "tornado_app_defaults": None})]
    keys = [*section(specs["app"]["options"], defaults["tornado_app_defaults"])]
    return "\n".join([HEAD, HOST, *inputs, APP, *keys, BALANCER, *of_role(BALANCER_ROLE), REDIS, *of_role(REDIS_ROLE)]).rstrip("\n") + "\n"


def of_role(role: Path) -> Iterator[str]:
    """The entries of a role whose inputs need no default."""
    options = load("meta/argument_specs.yml", role)["argument_specs"]["main"]["options"]
    yield from section(options, {**dict.fromkeys(options, ""), **load("defaults/main.yml", role)})


def load(path: str, role: Path = ROLE) -> Any:
    """A YAML file of a role."""
    return yaml.safe_load((role / path).read_text(encoding="utf-8"))


def section(options: Mapping[str, Any], defaults: Mapping[str, Any], parent: str = "") -> Iterator[str]:
    """The entries of some options, each followed by those of its own options."""
    for name, option in options.items():
        yield entry(f"{parent}{name}", option, defaults.get(name))
        if "options" in option:
            yield from section(option["options"], defaults[name], f"{parent}{name}.")


def entry(name: str, option: Mapping[str, Any], default: Any) -> str:
    """One option: heading, type, default, description."""
    description = option["description"]
    sentences = [description] if isinstance(description, str) else description
    kind = f"list of {option['elements']}" if option["type"] == "list" else option["type"]
    facts = f"Type: {kind}. " + ("Required." if option.get("required") else f"Default: {shown(option, default)}.")
    return f"### `{name}`\n\n{wrapped(facts)}\n\n{wrapped(' '.join(map(markdown, sentences)))}\n"


def shown(option: Mapping[str, Any], default: Any) -> str:
    """A default for a reader."""
    if "options" in option:
        return "that of each key"
    if default is None:
        return "the defaults of the [keys of an app](#keys-of-an-app)"
    if isinstance(default, str) and "{{" in default:
        return MEANINGS[default]
    return f"`{default if isinstance(default, str) and default else json.dumps(default)}`"


def markdown(text: str) -> str:
    """Ansible's markup as Markdown: O() leads to the option's entry, the others are code."""

    def replaced(found: re.Match[str]) -> str:
        kind, content = found.groups()
        if kind == "O":
            name = content.rpartition(":")[2]
            return f"[`{name}`](#{anchor(name)})"
        return f"`{content.partition('#')[0] if kind == 'P' else content}`"

    return re.sub(r"\b([CEFOPV])\(([^()]*)\)", replaced, text)


def anchor(heading: str) -> str:
    """The fragment under which a Markdown heading is reached."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def wrapped(text: str) -> str:
    """Text in lines that are not too long; code and links stay whole."""
    lines = [""]
    for word in re.findall(r"(?:\[`[^`]*`\]\([^)]*\)|`[^`]*`|\S)+", text):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when the page is out of date")
    page = render()
    present = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if parser.parse_args().check:
        if page != present:
            print(f"{PAGE.relative_to(ROOT)} is out of date: run `make docs`", file=sys.stderr)
        return int(page != present)
    if page != present:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
