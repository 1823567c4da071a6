"""What an app may do: one list of properties of systemd, and the narrow ways to more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import SHOP, planned
from tests.unit.conftest import render
from tests.unit.test_settings import problem, problems

# The rest of the unit: how supervisord is started and ended, and its directories.
OTHERS = (
    *(
        "Description",
        "After",
        "Wants",
        "WantedBy",
        "Type",
        "ExecStartPre",
        "ExecStart",
        "ExecStartPost",
        "TimeoutStartSec",
        "KillMode",
        "TimeoutStopSec",
        "Restart",
        "RestartSec",
    ),
    *("LogRateLimitIntervalSec", "LogRateLimitBurst"),
    *("RuntimeDirectory", "RuntimeDirectoryMode", "LogsDirectory", "LogsDirectoryMode"),
)


def sandbox(**wanted: Any) -> dict[str, Any]:
    return {"netlink": False, "devices": [], "writable": [], **wanted}


def properties(**wanted: Any) -> list[str]:
    return planned({"shop": {**SHOP, "sandbox": sandbox(**wanted)}})["shop"]["properties"]


def test_the_unit_has_the_whole_sandbox_and_nothing_else_that_bears_on_it() -> None:
    app = planned({"shop": SHOP})["shop"]
    lines = render("app.service.j2", {"app": app}).splitlines()
    begin = lines.index(app["properties"][0])
    end = begin + len(app["properties"])
    assert lines[begin:end] == app["properties"]
    rest = (line for line in [*lines[:begin], *lines[end:]] if "=" in line and not line.startswith("#"))
    assert {line.partition("=")[0] for line in rest} == set(OTHERS)


def test_an_app_sees_of_srv_its_own_directory_and_writes_what_is_shared() -> None:
    found = properties()
    assert {
        "TemporaryFileSystem=/srv:ro /dev/shm:mode=1777,nosuid,nodev",
        "BindReadOnlyPaths=/srv/shop",
        "BindPaths=/srv/shop/shared",
        "PrivateDevices=yes",
    } <= set(found)
    assert "ReadWritePaths=-/run/tornado_app/sockets/shop" in found


def test_each_key_adds_what_it_names_and_nothing_else() -> None:
    usual = set(properties())
    assert set(properties(netlink=True)) - usual == {"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"}
    assert set(properties(writable=["/mnt/uploads"])) - usual == {"BindPaths=/srv/shop/shared /mnt/uploads"}
    assert set(properties(devices=["/dev/ttyUSB0"])) - usual == {"DevicePolicy=closed", "DeviceAllow=/dev/ttyUSB0 rw"}


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/",
            "/etc",
            "/etc/shop",
            "/usr/local",
            "/home/ana",
            "/run/shop",
            "/var",
            "/srv",
            "/opt",
            "/opt/tornado_app/x",
            "/var/lib/tornado_app",
        ),
        *("mnt", "/mnt/../etc", "/mnt/./x", "/mnt/with space", "/mnt/%h", "/mnt/a:/etc", "/mnt//x", "/var/log/nginx"),
    ],
)
def test_what_belongs_to_the_system_cannot_be_made_writable(path: str) -> None:
    assert "is needed, like /mnt/uploads" in problem(sandbox=sandbox(writable=[path]))


@pytest.mark.parametrize("path", ["/mnt/uploads", "/data", "/srv/uploads", "/var/lib/shop", "/opt/shop/cache.d"])
def test_other_directories_can(path: str) -> None:
    assert problems({"shop": {**SHOP, "sandbox": sandbox(writable=[path])}}) == []


def test_another_apps_directory_cannot() -> None:
    writable = sandbox(writable=["/srv/api/shared"])
    (found,) = problems({"shop": {**SHOP, "sandbox": writable}, "api": {**SHOP, "server_names": ["api.test"]}})
    assert "tornado_apps.shop.sandbox.writable: /srv/api/shared belongs to api" in found


@pytest.mark.parametrize("other", ["shop", "api"])
def test_what_an_app_could_replace_cannot(other: str) -> None:
    """systemd would follow a link that is there when the unit starts."""
    apps = {name: {**SHOP, "server_names": [f"{name}.test"], "sandbox": sandbox()} for name in ("shop", "api")}
    apps["shop"]["sandbox"]["writable"] = ["/mnt/uploads"]
    apps[other]["sandbox"]["writable"] = [*apps[other]["sandbox"]["writable"], "/mnt/uploads/new"]
    (found,) = problems(apps)
    assert f"tornado_apps.{other}.sandbox.writable: /mnt/uploads/new lies in /mnt/uploads, where shop can replace it" in found


@pytest.mark.parametrize("path", ["/mnt/x", "/dev", "/dev/../etc", "/dev/tty USB", "ttyUSB0"])
def test_a_device_is_a_file_below_dev(path: str) -> None:
    assert "device files are needed" in problem(sandbox=sandbox(devices=[path]))
