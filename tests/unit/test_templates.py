"""Every template has its test, and a rendered file is the same whoever renders it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.unit.loading import ROLE
from tests.unit.conftest import make_plan, render
from tests.unit.rendering import SHOP, WORKERS


def test_each_template_has_its_test() -> None:
    """A new template needs tests in a file of its kind: nginx, site, supervisord, systemd."""
    tested = {"nginx.conf", "nginx_default.conf", "nginx_site.conf", "nginx_upstream.conf"}
    tested |= {"supervisord.conf", "slot.conf", "slot.logrotate", "app.service", "logs.service", "logs.timer", "acme.service", "acme.timer"}
    tested |= {"limits.conf", "needrestart.conf", "tmpfiles.conf"}
    assert {path.name for path in (ROLE / "templates").glob("*.j2")} == {f"{name}.j2" for name in tested}


def test_each_part_is_included() -> None:
    """And so goes through the parsers with the template that includes it."""
    folder = ROLE / "templates"
    parts = {str(path.relative_to(folder)) for path in folder.glob("*/**/*") if path.is_file()}
    included = {part for path in folder.rglob("*.j2") for part in re.findall(r"{% include '([^']+)' %}", path.read_text())}
    assert parts == included


# What somebody else's ansible.cfg says


def every_file(**variables: Any) -> dict[str, str]:
    """All templates, rendered."""
    app = make_plan({"shop": {**SHOP, "processes": 1}})["shop"]
    more = {"app": app, "apps": [app], "all_apps": [app], "sites": [app], "slot": {**app["slots"]["blue"], "workers": WORKERS}, **variables}
    more |= {
        "root": "/opt/tornado_app",
        "server": "nginx",
        "properties": ["User=%i"],
        "logs": ["/var/log/shop/8000.log"],
        "max_bytes": 7_000_000,
    }
    return {path.name: render(path.name, more) for path in sorted((ROLE / "templates").glob("*.j2"))}


@pytest.mark.parametrize("managed", ["Managed by ana@build-1", "Two lines\nserver {", "%Y-%m-%d", ""])
def test_a_file_is_the_same_whatever_ansible_managed_is(managed: str) -> None:
    """It may differ from one operator to the next, and with it a file, whose processes would be started again for that."""
    assert every_file(ansible_managed=managed) == every_file()


def test_a_file_says_in_its_first_line_who_writes_it() -> None:
    """In the words that the default of ansible_managed has always had: an upgrade changes no file."""
    first = {name: text.partition("\n")[0] for name, text in every_file().items()}
    ini = {"slot.conf.j2", "supervisord.conf.j2"}
    assert first == {name: "; Ansible managed" if name in ini else "# Ansible managed" for name in first}
    assert not [path.name for path in (ROLE / "templates").rglob("*.j2") if "ansible_managed" in path.read_text()]
