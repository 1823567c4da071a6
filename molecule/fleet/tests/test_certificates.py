"""TLS that ends at the balancers, with certificates that an ACME server issues to each of them."""

import socket
import ssl
from typing import Any

import pytest
from cryptography import x509

from tests import pebble
from tests.balanced import BALANCERS, Balanced
from tests.fleet import folded
from tests.unit.certified import authority

pytestmark = pytest.mark.slow

PLAYBOOK = "playbooks/balance.yml"


@pytest.fixture(scope="module")
def tls(fleet: Balanced) -> dict[str, Any]:
    """The setting, for a server on a host that asks for proofs at the second balancer, whoever wants the certificate."""
    ca, address = authority(), fleet.addresses["web-1"]
    directory = pebble.start(fleet.hosts["web-1"], ca, {"shop.test": fleet.entrances["lb-2"]}, address)
    for host in fleet.balancers.values():
        pebble.trust(host, ca)
    return {"acme": {"email": "ops@shop.test", "directory": directory}, "redirect": False}


def shown(fleet: Balanced, balancer: str) -> x509.Certificate:
    """The certificate that clients of a balancer get."""
    plain = socket.create_connection((fleet.entrances[balancer], 443), timeout=30)
    with ssl._create_unverified_context().wrap_socket(plain, server_hostname="shop.test") as over:
        return x509.load_der_x509_certificate(over.getpeercert(binary_form=True) or b"")


def test_each_balancer_has_one_issued_and_hosts_have_nothing_to_do_with_it(fleet: Balanced, tls: dict[str, Any]) -> None:
    with fleet.clients():
        fleet.play("--tags", "provision", tls=tls)
    certificates = [shown(fleet, balancer) for balancer in BALANCERS]
    assert all(each.issuer.rfc4514_string().startswith("CN=Pebble Intermediate") for each in certificates)
    assert len({each.serial_number for each in certificates}) == 2
    assert not any(host.socket("tcp://0.0.0.0:443").is_listening for host in fleet.hosts.values())
    before = [fleet.process(balancer) for balancer in BALANCERS]
    output = folded(fleet.play("--diff", tls=tls))
    assert "Nothing differs on any host" in output
    assert [fleet.process(balancer) for balancer in BALANCERS] == before
    for balancer in BALANCERS:
        assert f"{balancer}: shop's certificate has 9 days left" in output


def test_a_renewal_reloads_nothing(fleet: Balanced) -> None:
    before = [(shown(fleet, balancer).serial_number, fleet.process(balancer)) for balancer in BALANCERS]
    with fleet.clients():
        for host in fleet.balancers.values():
            assert host.check_output("systemctl is-active tornado_app-acme.timer") == "active"
            done = host.run("systemctl start tornado_app-acme.service")
            assert done.rc == 0, host.check_output("journalctl --unit=tornado_app-acme.service --no-pager")
    after = [(shown(fleet, balancer).serial_number, fleet.process(balancer)) for balancer in BALANCERS]
    assert [one[0] != other[0] and one[1] == other[1] for one, other in zip(before, after, strict=True)] == [True, True]


def test_a_renewal_that_fails_keeps_the_certificate_and_is_reported(fleet: Balanced, tls: dict[str, Any]) -> None:
    before = shown(fleet, "lb-1").serial_number
    fleet.hosts["web-1"].check_output("systemctl stop pebble.service")
    assert fleet.balancers["lb-1"].run("systemctl start tornado_app-acme.service").rc != 0
    assert shown(fleet, "lb-1").serial_number == before
    said = folded(fleet.play("--tags", "verify", tls=tls))
    assert "lb-1: shop's certificate, which has 9 days left, was not renewed: " in said


def test_without_an_app_that_needs_it_nothing_of_it_stays(fleet: Balanced) -> None:
    with fleet.clients():
        fleet.play(playbook=PLAYBOOK)
    left = "/var/lib/tornado_app/certbot /opt/tornado_app/lib /etc/systemd/system/tornado_app-acme.timer /etc/haproxy/tornado_app/*.pem"
    for host in fleet.balancers.values():
        assert host.check_output(f"ls -d {left} 2>/dev/null || true") == ""
        assert host.run("systemctl is-active tornado_app-acme.timer").stdout.strip() == "inactive"
