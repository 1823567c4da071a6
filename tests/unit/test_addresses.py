"""The addresses by which hosts are known: of the inventory, resolved where it has names; the hosts believe their balancers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.template import trust_as_template

from ansible_collections.tornado_app.deploy.plugins.lookup.addresses import LookupModule
from tests.unit.conftest import templar

HOSTS: dict[str, dict[str, Any]] = {
    "lb-1": {"ansible_host": "192.0.2.1"},
    "lb-2": {"ansible_host": "192.0.2.2", "load_balancer_address": "10.0.0.2"},
    "lb-3": {"load_balancer_address": "2001:db8::/64"},
    "localhost": {},
    "lb-5": {"ansible_host": "lb-5.invalid"},
}


def addresses(*hosts: str) -> list[str]:
    return LookupModule().run(list(hosts), {"hostvars": HOSTS})


@pytest.mark.parametrize(("host", "found"), [("lb-1", ["192.0.2.1"]), ("lb-2", ["10.0.0.2"]), ("lb-3", ["2001:db8::/64"])])
def test_an_address_is_the_one_of_the_inventory(host: str, found: list[str]) -> None:
    assert addresses(host) == found


def test_a_name_is_resolved() -> None:
    assert "127.0.0.1" in addresses("localhost")


def test_a_name_that_nobody_knows_is_an_error_with_a_way_out() -> None:
    with pytest.raises(AnsibleError, match=r"lb-5\.invalid has no address .*: give lb-5 one in the inventory, by load_balancer_address"):
        addresses("lb-5")


@pytest.mark.parametrize(
    ("given", "trusted"),
    [
        ({}, []),
        ({"groups": {"balancer": ["lb-1", "lb-2"]}}, ["10.0.0.2", "192.0.2.1"]),
        ({"groups": {"balancer": ["lb-1"]}, "tornado_app_trusted_proxies": "10.0.7.0/24"}, ["192.0.2.1", "10.0.7.0/24"]),
        ({"tornado_app_trusted_proxies": ["10.0.7.0/24"]}, ["10.0.7.0/24"]),
    ],
)
def test_the_hosts_believe_the_group_balancer_and_who_is_named(given: dict[str, Any], trusted: list[str]) -> None:
    found = templar({"hostvars": HOSTS, **given}).template(trust_as_template("{{ __tornado_app_trusted_proxies }}"))
    assert found == trusted
