"""The module maintenance: the flag of each app, for the run that holds the lock alone, where nginx heeds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import make_plan, run_module
from tests.unit.rendering import API, SHOP, nginx_files

RUN = "r-ana"
PLAN = make_plan({"shop": SHOP, "api": API})


class Host:
    """Two apps, whose sites are in nginx's tree, and the lock of a run."""

    def __init__(self, root: Path) -> None:
        self.flags = {app: root / app / "live/maintenance" for app in PLAN}
        self.lock, self.sites = root / "run/lock", root / "conf.d"
        for app, flag in self.flags.items():
            flag.parent.mkdir(parents=True)
            PLAN[app]["maintenance_flag"] = str(flag)
        self.sites.mkdir()
        for path, text in nginx_files(PLAN).items():
            if path.startswith("conf.d/"):
                (self.sites.parent / path).write_text(text)
        run_module("run_lock", path=str(self.lock), run=RUN, holder={"user": RUN}, lease=900)

    def run(self, *apps: str, run: str = RUN, **options: Any) -> dict[str, Any]:
        flags = {app: str(self.flags[app]) for app in apps or self.flags}
        return run_module("maintenance", flags=flags, sites=str(self.sites), run=run, lock=str(self.lock), **options)

    def there(self) -> list[str]:
        return [app for app, flag in self.flags.items() if flag.exists()]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_it_begins_and_ends_and_twice_is_once(host: Host) -> None:
    assert host.run("shop")["apps"] == ["shop"]
    begun = host.flags["shop"].stat().st_mtime_ns
    assert host.run()["apps"] == ["api"]
    again = host.run()
    assert (again["changed"], again["apps"], host.there()) == (False, [], ["shop", "api"])
    assert host.flags["shop"].stat().st_mtime_ns == begun  # since when, is told by it
    assert host.run("api", state="absent")["apps"] == ["api"]
    assert host.there() == ["shop"]
    assert not host.run("api", state="absent")["changed"]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_changes_nothing(host: Host, state: str) -> None:
    if state == "absent":
        host.run()
    before = host.there()
    assert host.run(state=state, check=True)["apps"] == ["shop", "api"]
    assert host.there() == before


def test_another_run_has_taken_the_lock(host: Host) -> None:
    result = host.run(run="r-bob")
    assert result["failed"]
    assert result["msg"].startswith("nothing is changed: this host's lock is now that of ")
    assert host.there() == []


@pytest.mark.parametrize("check", [False, True])
def test_a_site_that_does_not_heed_the_flag_is_told_of(host: Host, check: bool) -> None:
    """One of an earlier version, or none."""
    site = host.sites / "shop.conf"
    site.write_text(site.read_text().replace("live/maintenance;", "live/other;"))
    result = host.run(check=check)
    assert result["msg"] == "nginx would not heed that shop is in maintenance: run --tags provision,maintenance"
    assert host.there() == []
    site.unlink()
    assert host.run("shop")["failed"]
    assert not host.run("shop", state="absent").get("failed")
