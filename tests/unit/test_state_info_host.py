"""state_info: what it reads of the host itself, and of this machine."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.loading import plugin
from tests.unit.app_on_disk import App, app
from tests.unit.conftest import PYTHON, make_plan, render, run_module, utils

__all__ = ["app"]  # a fixture

hosts = plugin("module_utils", "host_state")
things = plugin("module_utils", "things")


def below(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the files of the host below a directory."""
    monkeypatch.setattr(hosts, "Path", lambda *parts: root.joinpath(*(str(part).lstrip("/") for part in parts)))


def test_host(app: App) -> None:
    result = run_module("state_info", apps={"shop": app}, things=[{"kind": "package", "name": "no-such-package", "check": "package"}])
    host = result["host"]
    version = subprocess.run(
        [PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True
    )
    assert host["python"] == version.stdout.strip()
    assert host["pythons"][host["python"]] == PYTHON
    assert result["differences"] == [{"kind": "package", "name": "no-such-package", "reason": "not installed"}]
    assert (host["nofile_ceiling"], host["nofile_raisable"]) == utils("host_state").nofile_ceiling()
    assert host["sysctls"]["fs.nr_open"] == Path("/proc/sys/fs/nr_open").read_text().strip()
    assert host["free_bytes"] > 0
    assert isinstance(host["python_apt"], bool)


def test_the_lock_is_told_with_the_host(tmp_path: Path) -> None:
    lock = tmp_path / "run/lock"
    assert run_module("state_info", apps={}, lock=str(lock))["host"]["lock"] == {}
    assert not lock.parent.exists()
    run_module("run_lock", path=str(lock), run="r1", holder={"user": "ana"})
    found = run_module("state_info", apps={}, lock=str(lock))["host"]["lock"]
    assert (found["run"], found["user"]) == ("r1", "ana")


def test_sysctls_have_no_tabs() -> None:
    """The kernel writes a range with a tab; Ansible's sysctl module compares with a space."""
    first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert hosts.sysctls()["net.ipv4.ip_local_port_range"] == f"{first} {last}"


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="no dpkg here")
def test_missing_packages() -> None:
    assert things.missing_packages(["dpkg", "no-such-package", "base-files", "n"]) == ["no-such-package", "n"]
    assert things.missing_packages([]) == []


def test_output_of_both_streams_and_of_nothing() -> None:
    assert things.output("sh", "-c", "echo out; echo err >&2; exit 3") == "out\nerr\n"
    assert things.output("no-such-command") == ""


def test_nearest(tmp_path: Path) -> None:
    assert hosts.nearest(tmp_path / "a/b/c") == tmp_path
    assert hosts.nearest(tmp_path) == tmp_path


def test_user_id() -> None:
    assert utils("users").user_id(getpass.getuser()) == os.getuid()
    assert utils("users").user_id("no-such-user") == -1


def test_sysctl_file(tmp_path: Path) -> None:
    """As Ansible's module writes it, and as a person might."""
    path = tmp_path / "10-tornado_app.conf"
    assert hosts.sysctl_file(path) == {}
    text = "# a = 1\n; b = 2\nfs.nr_open=1048576\n net.ipv4.ip_local_port_range = 32768\t60999 \n\nno setting\n"
    path.write_bytes(text.encode() + b"# f\xfcr\n")
    assert hosts.sysctl_file(path) == {"fs.nr_open": "1048576", "net.ipv4.ip_local_port_range": "32768 60999"}


def test_the_apps_of_a_host_are_known_by_their_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below(tmp_path, monkeypatch)
    assert hosts.installed_units() == []
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    app = make_plan({"shop": {"source": "app", "command": "{python} app.py {port}"}})["shop"]
    unit = render("app.service.j2", {"app": app})
    (units / "shop.service").write_text(unit)
    (units / "other.service").write_bytes(b"[Unit]\nDescription=f\xfcr Tornado app mail (supervisord\n")
    (units / "directory.service").mkdir()
    assert hosts.installed_units() == ["shop"]


# What others have written, in whatever encoding


def test_a_site_that_is_not_utf_8_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below(tmp_path, monkeypatch)
    (tmp_path / "etc/nginx/conf.d").mkdir(parents=True)
    (tmp_path / "etc/nginx/conf.d/shop.conf").write_bytes(b"# f\xfcr alle\nlog_format tornado_app_shop x;\n    server_name a.test;\n")
    assert hosts.sites(["shop"]) == [{"server_names": ["a.test"], "apps": ["shop"]}]


def test_output_that_is_not_utf_8() -> None:
    assert things.output("printf", r"f\374r") == "f\ufffdr"
