"""What a newcomer types first: the example inventory is valid, every operation is there, and a mistyped inventory is an error."""

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.unit.loading import ROOT
from ansible_collections.tornado_app.deploy.plugins.module_utils.procfile import processes
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import plan, setting_types
from tests.unit.builders import DEFAULTS, HOST

SWITCHING = ["Begin", "Fill the idle slots", "Switch", "Finish", "End"]
# What each operation is made of.
OPERATIONS = {
    "provision": ["Begin", "Redis", "Provision", "End", "Balance", "Have certificates issued", "Verify Redis"],
    "deploy": SWITCHING,
    "restart": SWITCHING,
    "rollback": SWITCHING,
    "maintenance": ["Begin", "Maintenance", "End"],
    "live": ["Begin", "Live", "End"],
    "stop": ["Begin", "Stop", "End"],
    "start": ["Begin", "Start", "End"],
    "drain": ["Begin", "Drain"],
    "undrain": ["Begin", "Undrain"],
    "status": ["Begin", "Status"],
    "verify": ["Begin", "End", "Verify the balancers", "Verify Redis"],
}

DEFAULT_INPUTS = yaml.safe_load((ROOT / "roles/tornado_app/defaults/main.yml").read_text(encoding="utf-8"))
# What has a playbook and no tag: one host after the other.
UPKEEP = ("reboot", "upgrade")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def plays(*arguments: str) -> list[str]:
    """The plays of site.yml that have a task to carry out."""
    listed = run("ansible-playbook", "site.yml", "-i", "prod", "--list-tasks", *arguments)
    assert listed.returncode == 0
    found = re.split(r"^  play #\d+ \(.*\): ", listed.stdout, flags=re.MULTILINE)[1:]
    return [play.split("\t")[0] for play in found if play.split("tasks:", 1)[1].strip()]


def playbook(name: str) -> list[dict[str, Any]]:
    """The plays that a playbook imports."""
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "playbooks" / name).read_text(encoding="utf-8"))
    return found


def parts(imports: list[dict[str, Any]]) -> list[str]:
    return [play["ansible.builtin.import_playbook"] for play in imports]


def test_the_example_fleet_has_a_group_and_a_valid_app() -> None:
    listed = json.loads(run("ansible-inventory", "-i", "prod", "--list").stdout)
    assert listed["tornado"]["hosts"]
    for host in listed["tornado"]["hosts"]:
        assert plan.plan_problems(listed["_meta"]["hostvars"][host]["tornado_apps"], DEFAULTS, HOST) == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_a_tag_that_selects_its_plays(operation: str) -> None:
    assert plays("--tags", operation) == OPERATIONS[operation]


def test_a_bare_run_provisions_deploys_and_verifies_and_stops_nothing() -> None:
    assert plays() == [
        *("Begin", "Redis", "Provision", *SWITCHING[1:]),
        *("Balance", "Have certificates issued", "Verify the balancers", "Verify Redis"),
    ]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_a_playbook_of_its_own_that_does_the_same(operation: str) -> None:
    own = playbook(f"{operation}.yml")
    assert own[0]["vars"]["tornado_app_operations"] == [operation]
    assert parts(own) == parts([play for play in playbook("site.yml") if {operation, "always"} & set(play["tags"])])


def test_the_operations_are_those_that_the_role_knows() -> None:
    assert set(setting_types.INPUTS["tornado_app_operations"]["choices"]) == {*OPERATIONS, *UPKEEP}


@pytest.mark.parametrize("operation", UPKEEP)
def test_upkeep_looks_at_all_hosts_before_the_first_one_goes_down(operation: str) -> None:
    """And what is done to a host is of the role's tasks."""
    (own,) = playbook(f"{operation}.yml")
    assert own["vars"]["tornado_app_operations"] == [operation]
    look, upkeep = playbook(own["ansible.builtin.import_playbook"])
    assert (look["any_errors_fatal"], look.get("serial")) == (True, None)
    assert upkeep["serial"] == "{{ tornado_app_upkeep_serial | default(1) }}"
    assert "ansible_play_hosts_all | difference(ansible_play_hosts)" in upkeep["tasks"][0]["vars"]["lost"]
    assert DEFAULT_INPUTS["tornado_app_upkeep_serial"] == 1  # a role that is imported gives its defaults to the play
    assert (ROOT / f"roles/tornado_app/tasks/{operation}.yml").exists()


def test_a_mistyped_inventory_is_an_error() -> None:
    assert run("ansible-playbook", "site.yml", "-i", "prd", "--list-hosts").returncode != 0


def test_inventories_start_the_example_app_as_its_procfile_does() -> None:
    """Whoever copies it to a platform that reads the Procfile gets the same processes."""
    started = processes((ROOT / "files/app/Procfile").read_text(encoding="utf-8"))
    assert list(started) == ["web", "worker"]
    files = [path for path in ROOT.glob("*/**/group_vars/tornado/main.yml") if not path.relative_to(ROOT).parts[0].startswith(".")]
    apps = [app for path in files for app in (yaml.safe_load(path.read_text(encoding="utf-8")).get("tornado_apps") or {}).values()]
    commands = {app["command"] for app in apps if app["source"] == "files/app"}
    assert {command.format(python="python", port="$PORT") for command in commands} == {started["web"]["command"]}
