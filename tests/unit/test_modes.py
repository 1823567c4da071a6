"""release_modes: an app reads its releases, nginx what it serves of them, and a call that is cut short is done again."""

from __future__ import annotations

import grp
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.app_on_disk import App, app, run
from tests.unit.artifacts import build, write
from tests.unit.conftest import run_module, utils

__all__ = ["app"]  # a fixture

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another group")
modes = utils("modes")
GROUP, GROUP_ID = "games", grp.getgrnam("games").gr_gid

WANTED = {
    ".": "0751",
    "app.py": "0640",
    "bin": "0751",
    "bin/run": "0750",
    "icons": "0751",
    "icons/logo.svg": "0644",
    "icons/other.svg": "0640",
    "static": "0751",
    "static/app.css": "0644",
    "static/deep": "0751",
    "static/deep/tool": "0755",
    "web": "0751",
    "web/page.html": "0640",
}
SERVED = [path for path, mode in WANTED.items() if mode in ("0644", "0755")]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release as it was unpacked, of a source that its user alone could read; a link among the static files leads beside them."""
    texts = ("app.py", "icons/logo.svg", "icons/other.svg", "static/app.css", "web/page.html")
    source = write(tmp_path / "source", dict.fromkeys(texts, "SECRET"))
    write(source, dict.fromkeys(("bin/run", "static/deep/tool"), (b"#!/bin/sh\n", True)))
    (source / "static/logo.svg").symlink_to("../icons/logo.svg")
    (source / "static/again").symlink_to("deep")
    for path in source.rglob("*"):
        if path.is_file():
            path.chmod(path.stat().st_mode & 0o700)
    found = tmp_path / "releases/.r-ana"
    found.mkdir(parents=True)
    found.chmod(0o700)
    subprocess.run(["tar", "--extract", "--file", build(source, tmp_path / "cache")["path"], "--directory", found], check=True)
    return found


def close(path: Path, *others: Path, static: str = "static", check: bool = False, holder: str = "r-ana", group: str = GROUP) -> Any:
    """Run the module under a lock."""
    lock = path.parent / ".run/lock"
    run_module("run_lock", path=str(lock), run=holder)
    paths = [str(one) for one in (path, *others)]
    return run_module("release_modes", check=check, paths=paths, group=group, static=static, run="r-ana", lock=str(lock))


def found(release: Path) -> dict[str, str]:
    """Path in the release -> its mode; of links none."""
    paths = [release, *sorted(release.rglob("*"))]
    return {str(path.relative_to(release)): f"{path.stat().st_mode & 0o7777:04o}" for path in paths if not path.is_symlink()}


def test_a_new_release_is_its_apps_but_for_what_nginx_serves(release: Path) -> None:
    for check in (True, False):
        assert close(release, check=check)["paths"] == [str(release)]
    assert found(release) == WANTED
    assert not close(release)["changed"]


def test_a_release_without_static_files_has_nothing_for_others(release: Path) -> None:
    close(release, static="")
    assert {mode[-1] for mode in found(release).values()} == {"0", "1"}
    assert not close(release, static="")["changed"]


def test_a_check_changes_nothing(release: Path) -> None:
    before = found(release)
    assert close(release, check=True)["changed"]
    assert found(release) == before


def test_a_release_of_an_older_version_is_closed(release: Path) -> None:
    release.chmod(0o755)
    close(release)
    assert found(release) == WANTED


def test_another_directory_of_static_files_is_opened_and_none_is_closed(release: Path) -> None:
    """nginx serves the former one until it is reloaded."""
    close(release)
    assert close(release, static="web")["changed"]
    assert found(release) == {**WANTED, "web/page.html": "0644"}
    assert not close(release, static="web")["changed"]
    assert not close(release)["changed"]


def test_static_files_may_be_deep_inside_or_a_link(release: Path) -> None:
    (release / "public").symlink_to("icons")
    close(release, static="public")
    assert {path for path, mode in found(release).items() if mode == "0644"} == {"icons/logo.svg", "icons/other.svg"}
    close(release, static="static/deep")
    assert found(release)["static/deep/tool"] == "0755"


def test_nothing_outside_of_a_release_is_touched(release: Path) -> None:
    outside = write(release.parent / "outside", {"secret": "s", "folder/secret": "s"})
    for name in ("secret", "folder"):
        (outside / name).chmod(0o700)
        (release / "static" / name).symlink_to(outside / name)
    (release / "static/circle").symlink_to("circle")
    close(release)
    assert {path.stat().st_mode & 0o777 for path in (outside / "secret", outside / "folder")} == {0o700}


@pytest.mark.parametrize("first", ["", "static"], ids=["new", "other static files"])
def test_what_is_cut_short_is_done_again(release: Path, first: str) -> None:
    """After each file and directory, or when one has its group but not its mode yet."""
    if first:
        close(release)
    else:
        os.chown(release / "app.py", 0, GROUP_ID)
    closed = {} if first else {path: f"{WANTED[path][:-1]}0" for path in SERVED}
    wanted, path = {**WANTED, **closed, "web/page.html": "0644"}, str(release)
    while changes := list(modes.wrong(path, "web", GROUP_ID)):
        assert not modes.fits(path, "web", GROUP_ID)
        modes.give(*changes[0])
    assert found(release) == wanted


def test_what_pip_has_left_in_a_closed_release_is_closed(release: Path) -> None:
    """It builds packages of a source in the source."""
    close(release)
    write(release, {"build/lib/shop.py": "SECRET", "static/made.css": "a {}"})
    assert close(release)["changed"]
    made = {"build": "0751", "build/lib": "0751", "build/lib/shop.py": "0640", "static/made.css": "0644"}
    assert found(release) == {**WANTED, **made}
    assert not close(release)["changed"]


def test_files_beside_a_release_are_roots_alone(release: Path) -> None:
    record = release.with_name("aaa.json")
    record.write_text("{}")
    record.chmod(0o644)
    assert close(release, record)["paths"] == [str(release), str(record)]
    assert record.stat().st_mode & 0o777 == 0o600
    assert not close(release, record)["changed"]


def test_a_run_that_has_lost_the_lock_changes_nothing(release: Path) -> None:
    before = found(release)
    assert close(release, holder="r-bob")["msg"].startswith("nothing is changed: this host's lock is now that of ")
    assert found(release) == before


def test_a_group_that_is_not_there_yet_is_for_a_check_alone(release: Path) -> None:
    assert close(release, group="no-such-group", check=True)["changed"]
    assert close(release, group="no-such-group")["msg"] == "there is no group no-such-group"


def test_the_state_of_a_host_tells_what_is_open(app: App, release: Path) -> None:
    app["user"] = GROUP
    releases = Path(app["releases"])
    releases.parent.mkdir(parents=True)
    release.parent.rename(releases)
    release = (releases / release.name).rename(releases / "aaa")
    history = Path(app["slots"]["blue"]["history"])
    history.parent.mkdir()
    for file in (releases / "aaa.json", history):
        file.write_text("{}")
        file.chmod(0o644)
    wrong = run(app)["wrong_modes"]
    assert wrong == [str(path) for path in (release, releases / "aaa.json", history)]
    close(*map(Path, wrong))
    assert run(app)["wrong_modes"] == []
    assert run({**app, "static": "web"})["wrong_modes"] == [str(release)]
    assert run({**app, "static": "none"})["wrong_modes"] == run({**app, "static": ""})["wrong_modes"] == []
