"""The rules for the settings that say how requests come to an app."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import plan
from tests.unit.builders import DEFAULTS, HOST, SHOP


def problems(**settings: Any) -> list[str]:
    return plan.plan_problems({"shop": {**SHOP, **settings}}, DEFAULTS, HOST)


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("asked", ["/jupyter/api", "/jupyter/", "/jupyter"])
def test_a_health_path_with_the_prefix_is_refused(asked: str, strip: bool) -> None:
    """The app would be healthy below a second prefix, where no client asks."""
    assert problems(path="/jupyter/", strip_path=strip, health={"path": asked}) == [
        f"tornado_apps.shop.health.path {asked!r} begins with the app's path, which comes before it anyway: leave that out; when the app "
        "has it in its own paths, give it strip_path: false"
    ]


@pytest.mark.parametrize("asked", ["/", "/api", "/jupyterhub", "/api/jupyter/"])
def test_other_health_paths_are_not(asked: str) -> None:
    assert problems(path="/jupyter/", health={"path": asked}) == []
    assert problems(health={"path": asked}) == []


@pytest.mark.parametrize("balance", ["ip_hash", "cookie"])
@pytest.mark.parametrize("listen", ["shared", "fork"])
def test_processes_that_share_a_port_are_not_nginxs_to_choose(listen: str, balance: str) -> None:
    assert problems(listen=listen, balance=balance) == [
        f"tornado_apps.shop.balance is {balance}, and processes that share a port are chosen by the kernel: it takes listen: ports, or "
        "sockets"
    ]
    assert problems(listen=listen, balance="least_conn") == problems(balance=balance) == []
    assert problems(listen="sockets", balance=balance, command="{python} app.py {socket}") == []
    (found,) = problems(balance="random")
    assert found.startswith("tornado_apps.shop.balance: ")
