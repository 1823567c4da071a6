"""What a newcomer types first: the example inventory is valid, and a mistyped one is an error."""

import json
import subprocess

import pytest

from tests.unit.loading import ROOT, plugin
from tests.unit.test_plan import DEFAULTS, HOST


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_example_fleet_has_a_group_and_a_valid_app() -> None:
    listed = json.loads(run("ansible-inventory", "-i", "prod", "--list").stdout)
    assert listed["tornado"]["hosts"]
    for host in listed["tornado"]["hosts"]:
        assert plugin("plugin_utils", "plan").plan_problems(listed["_meta"]["hostvars"][host]["tornado_apps"], DEFAULTS, HOST) == []


@pytest.mark.parametrize("tag", ["provision", "deploy", "restart", "rollback", "status", "verify", "stop", "start"])
def test_every_operation_is_a_tag_that_selects_tasks(tag: str) -> None:
    listed = run("ansible-playbook", "site.yml", "-i", "prod", "--list-tasks", "--tags", tag)
    assert listed.returncode == 0
    assert f"TAGS: [{tag}" in listed.stdout or f", {tag}]" in listed.stdout


def test_a_bare_run_provisions_deploys_and_verifies_and_stops_nothing() -> None:
    listed = run("ansible-playbook", "site.yml", "-i", "prod", "--list-tasks").stdout
    tasks = [line for line in listed.splitlines() if " : " in line]
    for step in ("Host | Install", "Slot | Wait until", "Verify | Report"):
        assert any(step in task for task in tasks)
    for step in ("Stop | Stop", "Start | Start", "Restart | Take", "Rollback | Take", "Status | Show"):
        assert not any(step in task for task in tasks)


def test_a_mistyped_inventory_is_an_error() -> None:
    assert run("ansible-playbook", "site.yml", "-i", "prd", "--list-hosts").returncode != 0
