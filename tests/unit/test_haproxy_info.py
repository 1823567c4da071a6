"""haproxy_info, asked of a running HAProxy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.certified import authority
from tests.unit.conftest import run_module
from tests.unit.haproxy_host import Balancer, balancer, config, haproxy, host

__all__ = ["balancer", "haproxy"]  # fixtures


def look(balancer: Balancer, **arguments: Any) -> dict[str, Any]:
    return run_module("haproxy_info", backends=["shop", "other"], socket=str(balancer.socket), **arguments)


def test_servers_that_are_up_and_a_backend_that_is_not_there(balancer: Balancer) -> None:
    balancer.start_hosts(1)
    balancer.start(config(host(1), host(2)))
    balancer.wait_for(1)
    found = look(balancer, timeout=0)
    assert (found["changed"], found["running"]) == (False, True)
    assert found["servers"] == {"shop": {"web-1": True, "web-2": False}, "other": {}}


def test_a_host_that_is_about_to_come_back_is_waited_for(balancer: Balancer) -> None:
    balancer.start(config(host(1)))
    balancer.wait_for()
    balancer.start_hosts(1)
    found = run_module("haproxy_info", backends=["shop"], socket=str(balancer.socket), timeout=60)
    assert found["servers"] == {"shop": {"web-1": True}}


def test_nobody_is_waited_for_where_haproxy_does_not_run(balancer: Balancer) -> None:
    found = look(balancer, timeout=10**6)
    assert (found["running"], found["servers"]) == (False, {"shop": {}, "other": {}})


def test_a_certificate_says_how_long_it_lasts(balancer: Balancer, tmp_path: Path) -> None:
    leaf = authority().leaf("shop.test", days=20.5)
    (tmp_path / "shop.pem").write_text(leaf.pem + leaf.key_pem)
    found = look(balancer, certificates=[{"app": "shop", "source": "files", "path": str(tmp_path / "shop.pem")}])
    assert (found["certificates"]["shop"]["days_left"], found["certificates"]["shop"]["renewal"]) == (20, "")
