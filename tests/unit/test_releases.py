"""What a fleet is built from, and what of it a host has already."""

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App, Apps
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import releases
from tests.unit.builders import OLD, PLAN, SHOP_PLAN, WANTED, A, B, C, artifact, host, release, state, unfinished

REQUIRING = {"shop": release(B, environment="f" * 12)}  # an environment that is not there


def shop(**changed: Any) -> App:
    """The plan of shop with other settings."""
    return {**SHOP_PLAN, **changed}  # type: ignore[typeddict-item]  # a test gives settings that there are


def test_an_environment_follows_from_requirements_and_python_alone() -> None:
    digest = releases.environment_digest
    assert digest("r1", "3.11") == digest("r1", "3.11")
    assert len({digest("r1", "3.11"), digest("r1", "3.13"), digest("r2", "3.11")}) == 3


def test_each_source_of_a_fleet_is_built_once() -> None:
    elsewhere = {"shop": shop(source="/srv/sources/shop")}
    found = releases.sources([PLAN, PLAN, elsewhere], "/project", "/cache")
    assert [(source["path"], source["repository"]) for source in found] == [("/project/files/app", ""), ("/srv/sources/shop", "")]
    results = [{"item": source, "release": f"r{index}"} for index, source in enumerate(found)]
    assert releases.artifacts_of(PLAN, results, "/project")["shop"]["release"] == "r0"
    assert releases.artifacts_of(elsewhere, results, "/project")["shop"]["release"] == "r1"


@pytest.mark.parametrize(
    "source", ["https://git.test/shop.git", "ssh://git@git.test/shop", "git@git.test:shop.git", "git://git.test/x", "file:///srv/shop.git"]
)
def test_what_is_on_another_machine_is_a_repository(source: str) -> None:
    (found,) = releases.sources([{"shop": shop(source=source)}], "/project", "/cache")
    assert (found["repository"], found["version"], found["path"][:7]) == (source, "HEAD", "/cache/")


def test_a_bare_repository_is_one_and_a_directory_is_when_its_version_is_named(tmp_path: Path) -> None:
    for name in ("HEAD", "objects", "refs"):
        (tmp_path / "bare" / name).mkdir(parents=True)
    assert releases.is_repository(str(tmp_path / "bare"), "")
    assert releases.is_repository(str(tmp_path), "v1")
    assert not releases.is_repository(str(tmp_path), "")


def test_two_versions_of_a_repository_are_two_sources() -> None:
    apps: Apps = {name: shop(source="https://git.test/shop.git", version=name) for name in ("v1", "v2")}
    found = releases.sources([apps], "/project", "/cache")
    assert len({source["path"] for source in found}) == 2
    results = [{"item": source, "release": f"of {source['version']}"} for source in found]
    assert {name: built["release"] for name, built in releases.artifacts_of(apps, results, "/project").items()} == {
        "v1": "of v1",
        "v2": "of v2",
    }


# Environments


def test_an_app_without_requirements_gets_an_empty_environment() -> None:
    (environment,) = releases.new_environments(PLAN, state(), REQUIRING, {"shop": artifact()})
    assert (environment["install"], environment["python"]) == ([], "/usr/bin/python3")
    (environment,) = releases.new_environments(PLAN, state(), REQUIRING, {"shop": artifact(requirements_digest="abc")})
    assert environment["install"] == ["--requirement=/srv/shop/releases/bbbbbbbbbbbb/requirements.txt"]


def test_without_requirements_the_dependencies_of_the_project_are_installed_with_the_python_that_it_wants() -> None:
    wanted = {"shop": release(B, environment="f" * 12, python="3.12")}
    built = {"shop": artifact(requirements_digest="abc", dependencies=["tornado>=6.5"])}
    (environment,) = releases.new_environments(PLAN, state(), wanted, built)
    assert (environment["install"], environment["python"]) == (["tornado>=6.5"], "/usr/bin/python3.12")
    assert (environment["app"], environment["path"]) == ("shop", "/srv/shop/environments/ffffffffffff")


def test_only_environments_that_are_missing_are_installed() -> None:
    assert releases.new_environments(PLAN, state(), WANTED, {"shop": artifact(requirements_digest="abc")}) == []


# Releases


def test_a_release_knows_its_python_and_the_lines_of_its_procfile() -> None:
    work = {"worker": {"command": "python work.py", "variables": []}}
    built = artifact(B, requirements_digest="abc", python="3.12", processes=work, version="v2", commit="c0ffee")
    wanted = releases.wanted_releases(PLAN, {"shop": built}, "3.11")["shop"]
    assert (wanted["release"], wanted["python"], wanted["commands"]) == (B, "3.12", {"worker": "python work.py"})
    assert (wanted["version"], wanted["commit"]) == ("v2", "c0ffee")
    assert wanted["environment"] == releases.environment_digest("abc", "3.12")
    assert releases.wanted_releases({"shop": shop(python="3.13")}, {"shop": built}, "3.11")["shop"]["python"] == "3.13"
    assert releases.wanted_releases(PLAN, {"shop": {**built, "python": ""}}, "3.11")["shop"]["python"] == "3.11"


@pytest.mark.parametrize(
    ("app", "built", "told"),
    [
        ({}, {"alone": "chat.py"}, True),
        ({"balance": "cookie"}, {"alone": "chat.py"}, False),
        ({"processes": 1}, {"alone": "chat.py"}, False),
        ({}, {"alone": ""}, False),
        ({}, {"alone": "chat.py", "release": A}, False),
    ],
    ids=["apart", "sticky", "one process", "shared, or no websockets", "not new"],
)
def test_an_operator_hears_that_visitors_of_two_processes_do_not_see_each_other(
    app: dict[str, Any], built: dict[str, Any], told: bool
) -> None:
    found = host(state(), apps={"shop": shop(**app)})
    texts = releases.apart([found], {found.name: {"shop": artifact(B, **built)}})
    assert [text.partition(":")[0] for text in texts] == ["tornado_apps.shop"] * told
    assert all("chat.py handles websockets" in text and "processes: 1" in text for text in texts)


def test_one_process_on_each_of_two_hosts_are_two() -> None:
    fleet = [host(state(), name=name, apps={"shop": shop(processes=1)}) for name in ("web-1", "web-2")]
    artifacts = {one.name: {"shop": artifact(B, alone="chat.py")} for one in fleet}
    assert len(releases.apart(fleet, artifacts)) == 1


def test_only_releases_that_are_missing_are_installed() -> None:
    assert releases.new_releases(state(), WANTED) == ["shop"]
    assert releases.new_releases(state(), OLD) == []


def test_a_restart_takes_what_is_live_and_a_rollback_what_is_kept() -> None:
    assert releases.live_releases(host(unfinished())) == WANTED
    assert releases.kept_releases(host(unfinished()), {"shop": A}) == OLD


def test_a_rollback_of_an_app_that_a_host_does_not_have_is_none_there() -> None:
    assert releases.kept_releases(host(unfinished()), {"shop": A, "api": C}) == OLD


def test_a_release_that_is_on_the_host_knows_its_procfile_without_its_source() -> None:
    commands = {"web": "python app.py", "worker": "python work.py"}
    found = state()
    found["apps"]["shop"]["records"][A] |= {"commands": commands}
    assert releases.live_releases(host(found))["shop"]["commands"] == commands
    assert releases.kept_releases(host(found), {"shop": A})["shop"]["commands"] == commands
