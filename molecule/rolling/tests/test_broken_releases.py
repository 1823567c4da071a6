"""A release that is not well on every host goes live on none, and no client notices that it was tried."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import Fleet

HEALTHY = "self.set_status(503 if self.application.stopping else 200)"
INFO = '"""Answer as JSON."""'
RUNNING = "    await stop.wait()\n"


def break_app(broken: Path, old: str, new: str) -> None:
    """Change the code of a source."""
    code = (broken / "app.py").read_text()
    assert code.count(old) == 1
    (broken / "app.py").write_text(code.replace(old, new))


def with_broken_shop(fleet: Fleet, broken: Path, old: str, new: str, timeout: int = 30) -> dict[str, dict[str, Any]]:
    """The settings of a deploy of all apps, of which one has this change in its code."""
    fleet.change("well")
    break_app(broken, old, new)
    apps = fleet.settings()
    apps["shop"] |= {"source": str(broken), "health": {"path": "/healthz", "timeout": timeout}}
    return apps


# App -> what is wrong with its release: a change of its code, seconds at the gate, and what is said of it.
NOT_WELL = {
    "shop": ("import asyncio\n", "import asyncio\nimport nonexistent\n", 30, "No module named 'nonexistent'"),
    "stubborn": (HEALTHY, "self.set_status(500)", 6, "/healthz answered 500"),
    "abrupt": (HEALTHY, "await asyncio.sleep(60)", 6, "/healthz: timed out"),
}


def test_releases_that_do_not_start_or_answer(fleet: Fleet, tmp_path: Path) -> None:
    apps = fleet.settings()
    for name, (old, new, timeout, _) in NOT_WELL.items():
        source = shutil.copytree(fleet.source, tmp_path / name)
        break_app(source, old, new)
        command = "{python} app.py --port={port}"
        apps[name] |= {"source": str(source), "command": command, "health": {"path": "/healthz", "timeout": timeout}}
    with fleet.unnoticed():
        output = fleet.refused("--tags", "deploy", apps=apps)
    for *_, said in NOT_WELL.values():
        assert said in output
    for host in fleet.hosts:
        assert f"{host} serves what it served before." in output
    assert fleet.leftovers() == {}


@pytest.mark.parametrize(
    ("old", "new", "timeout", "said"),
    [
        pytest.param(
            RUNNING,
            f"    asyncio.get_running_loop().call_later(1, os._exit, 3)\n{RUNNING}",
            120,
            "it died ",
            id="crash-after-1-s",
        ),
        pytest.param(
            HEALTHY,
            'self.set_status(500 if socket.gethostname() == "web-2" else 200)',
            30,
            "Stopped because of web-2.",
            id="one-host",
        ),
    ],
)
def test_a_release_that_does_not_stay_well_everywhere(shop: Fleet, broken: Path, old: str, new: str, timeout: int, said: str) -> None:
    apps = with_broken_shop(shop, broken, old, new, timeout)
    with shop.unnoticed():
        output = shop.refused("--tags", "deploy", apps=apps)
    assert said in output
    for host in shop.hosts:
        assert f"{host} serves what it served before." in output


def test_requirements_that_pip_cannot_resolve(shop: Fleet, broken: Path) -> None:
    (broken / "requirements.txt").write_text("no-such-package-of-any-index==1.0\n")
    apps = shop.settings()
    apps["shop"]["source"] = str(broken)
    with shop.unnoticed():
        output = shop.refused("--tags", "deploy", apps=apps)
    assert "No matching distribution found for no-such-package-of-any-index==1.0" in output


@pytest.mark.parametrize("serial", ["100%", "1"])
def test_an_app_that_is_healthy_but_not_through_nginx(shop: Fleet, broken: Path, serial: str) -> None:
    # With one host at a time the other one has switched when web-2 fails.
    failing = 'self.set_status(500 if "X-Real-IP" in self.request.headers and socket.gethostname() == "web-2" else 200)'
    apps = with_broken_shop(shop, broken, HEALTHY, failing)
    with shop.unnoticed():
        output = shop.refused("--tags", "deploy", "--extra-vars", f"tornado_app_serial={serial}", apps=apps)
    assert "shop through nginx (Host: shop.test): /healthz answered 500" in output
    assert "Stopped because of web-2." in output
    for host in shop.hosts:
        assert f"{host} serves what it served before." in output


BAKE = ("--extra-vars", "tornado_app_bake=10", "--extra-vars", "tornado_app_bake_max_errors=0.05")


def test_a_release_that_fails_while_it_bakes_is_taken_back_on_all_hosts(shop: Fleet, broken: Path) -> None:
    # Nothing but clients can see this one: their requests fail until it is taken back.
    apps = with_broken_shop(shop, broken, INFO, f"{INFO}\n        self.set_status(500)")
    with shop.traffic():
        output = shop.refused("--tags", "deploy", *BAKE, apps=apps)
    assert "500 GET /api/info" in output
    for host in shop.hosts:
        assert f"{host} serves what it served before." in output


def test_a_release_that_dies_when_clients_come_is_taken_back_on_all_hosts(shop: Fleet, broken: Path) -> None:
    # It is well at the gate, and mostly when nginx is asked for it after the switch, too.
    apps = with_broken_shop(shop, broken, INFO, f"{INFO}\n        asyncio.get_running_loop().call_later(4, os._exit, 3)")
    with shop.traffic():
        output = shop.refused("--tags", "deploy", apps=apps)
    for host in shop.hosts:
        assert f"{host} serves what it served before." in output


def test_a_release_without_errors_bakes_and_stays(shop: Fleet) -> None:
    before = shop.release()
    shop.change("baked")
    with shop.unnoticed():
        shop.play("--tags", "deploy", *BAKE)
    assert shop.release() != before
