"""After a check run on bare hosts they are as bare as before."""

import pytest
from testinfra.host import Host


@pytest.mark.parametrize("name", ["nginx", "python3-venv"])
def test_no_package_is_installed(host: Host, name: str) -> None:
    assert not host.package(name).is_installed


@pytest.mark.parametrize(
    "path",
    [
        "/srv/shop",
        "/etc/shop",
        "/etc/nginx",
        "/etc/systemd/system/shop.service",
        "/etc/security/limits.d/shop.conf",
        "/var/log/shop",
        "/run/shop",
        "/opt/tornado_app",
        "/var/lib/tornado_app",
        "/etc/sysctl.d/10-tornado_app.conf",
    ],
)
def test_nothing_is_written(host: Host, path: str) -> None:
    assert not host.file(path).exists


def test_the_app_has_no_user(host: Host) -> None:
    assert not host.user("shop").exists
    assert not host.group("shop").exists


def test_only_ssh_listens(host: Host) -> None:
    listening = host.check_output("ss -Hltn | awk '{print $4}'").split()
    assert {address.rpartition(":")[2] for address in listening} == {"22"}
