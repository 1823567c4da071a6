"""The balancers as their machine and their clients see them."""

import json
import re

import pytest

from tests.balanced import BALANCERS, Balanced


@pytest.mark.parametrize("balancer", BALANCERS)
def test_the_app_sees_the_client_and_believes_nobody_else(fleet: Balanced, balancer: str) -> None:
    forged = {"X_Forwarded_For": "192.0.2.66", "X_Real_IP": "192.0.2.66", "X_Forwarded_Proto": "https"}
    found = fleet.told(balancer, **forged)
    plain = fleet.told(balancer)
    assert found["remote_ip"] == plain["remote_ip"]
    assert ":" not in found["remote_ip"]  # as ::ffff:192.0.2.7 has
    assert found["remote_ip"] not in {"192.0.2.66", "127.0.0.1", *fleet.entrances.values(), *fleet.addresses.values()}
    assert found["scheme"] == "http"


def test_what_a_stranger_says_of_itself_is_not_believed(fleet: Balanced) -> None:
    request = f"u.Request('http://{fleet.addresses['web-2']}/api/info', headers={{'Host': 'shop.test', 'X-Forwarded-For': '192.0.2.66'}})"
    told = fleet.hosts["web-1"].check_output(f'python3 -c "import urllib.request as u; print(u.urlopen({request}).read().decode())"')
    assert json.loads(told)["remote_ip"] == fleet.addresses["web-1"]


@pytest.mark.parametrize("balancer", BALANCERS)
def test_requests_are_spread_over_the_hosts(fleet: Balanced, balancer: str) -> None:
    assert {fleet.told(balancer)["host"] for _ in range(30)} == {"web-1", "web-2", "web-3"}


@pytest.mark.parametrize("balancer", BALANCERS)
def test_a_request_is_found_in_the_log_of_its_host_by_its_id(fleet: Balanced, balancer: str) -> None:
    """The balancer makes it; a client cannot."""
    path = f"/api/info?by={balancer}"
    assert fleet.asked(balancer, path, X_Request_Id="forged").status == 200
    logs = "".join(host.check_output("cat /var/log/nginx/shop.access.log") for host in fleet.hosts.values())
    (line,) = [line for line in logs.splitlines() if path in line]
    assert re.search(r'"request_id":"[0-9a-f]{32}"', line)


@pytest.mark.parametrize("balancer", BALANCERS)
def test_haproxy_has_its_limits_and_a_page_for_its_own_machine_alone(fleet: Balanced, balancer: str) -> None:
    host = fleet.balancers[balancer]
    pid = fleet.process(balancer)
    limit = host.check_output(f"grep 'open files' /proc/{pid}/limits").split()[3]
    assert int(limit) > 2 * 2000
    assert host.check_output(f"stat --format=%U /proc/{pid}") == "haproxy"
    assert host.socket("tcp://127.0.0.1:8404").is_listening
    assert not host.socket("tcp://0.0.0.0:8404").is_listening
    assert host.service("haproxy").is_enabled
    # Out of where it is shut in.
    assert "Server shop/web-3 is UP" in host.check_output("journalctl --identifier haproxy --no-pager")
