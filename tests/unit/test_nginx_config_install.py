"""nginx_config: nginx itself judges the whole before any file is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.nginx_host import Host, config, host, site

__all__ = ["host"]  # a fixture


def test_installs_and_records(host: Host) -> None:
    result = host.run({"conf.d/new.conf": site(204, host.port), "deep/x.conf": "# x\n"}, absent=["conf.d/site.conf"])
    assert (result.get("failed", False), result["changed"], result["reloaded"]) == (False, True, False)
    assert host.text("conf.d/new.conf") == site(204, host.port)
    assert host.text("deep/x.conf") == "# x\n"
    assert host.text("conf.d/site.conf") is None
    assert (host.root / "conf.d/new.conf").stat().st_mode & 0o777 == 0o644
    assert len(host.state.read_text()) == 64
    assert not [path for path in host.root.rglob(".*") if path.is_file()]


def test_twice_is_once(host: Host) -> None:
    files = {"conf.d/new.conf": site(204, host.port)}
    assert host.run(files, absent=["conf.d/site.conf"])["changed"]
    inode = (host.root / "conf.d/new.conf").stat().st_ino
    again = host.run(files, absent=["conf.d/site.conf"])
    assert (again["changed"], again["reloaded"], again["diff"]) == (False, False, [])
    assert (host.root / "conf.d/new.conf").stat().st_ino == inode


@pytest.mark.parametrize("check", [False, True])
def test_refused_by_nginx(host: Host, check: bool) -> None:
    """All files stay as they are, and the message names the real file and nginx's reason."""
    before = host.tree()
    result = host.run({"conf.d/good.conf": "# good\n", "conf.d/site.conf": "server { listn 80; }\n"}, check=check)
    assert result["failed"]
    assert "nginx refuses the new configuration, the present one stays in place" in result["msg"]
    assert 'unknown directive "listn"' in result["msg"]
    assert f"{host.root}/conf.d/site.conf:1" in result["msg"]
    assert host.tree() == before
    assert not host.state.exists()


def test_judged_as_a_whole(host: Host) -> None:
    """Files that are right each for itself may not go together; a file that is in the way may leave in the same step."""
    upstream = "upstream shop { server 127.0.0.1:8000; }\n"
    assert not host.run({"conf.d/one.conf": upstream}).get("failed")
    assert 'duplicate upstream "shop"' in host.run({"conf.d/two.conf": upstream})["msg"]
    assert not host.run({"conf.d/two.conf": upstream}, absent=["conf.d/one.conf"]).get("failed")


def test_present_configuration_is_bad_already(host: Host) -> None:
    (host.root / "conf.d/other.conf").write_text("nonsense;\n")
    assert 'unknown directive "nonsense"' in host.run({"conf.d/new.conf": "# fine\n"})["msg"]
    assert "nginx refuses the configuration on disk" in host.run()["msg"]


def test_check_mode_writes_nothing(host: Host) -> None:
    before = host.tree()
    result = host.run({"conf.d/new.conf": "# new\n"}, absent=["conf.d/site.conf"], check=True)
    assert (result["changed"], result["reloaded"]) == (True, False)
    assert host.tree() == before
    assert not host.state.exists()


def test_diff(host: Host) -> None:
    before = host.text("conf.d/site.conf")
    result = host.run({"conf.d/new.conf": "# new\n", "nginx.conf": host.text("nginx.conf") or ""}, absent=["conf.d/site.conf"], check=True)
    found = {Path(diff["after_header"]).name: (diff["before"], diff["after"]) for diff in result["diff"]}
    assert found == {"new.conf": ("", "# new\n"), "site.conf": (before, "")}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_a_file_that_not_all_can_read_or_others_write_is_put_right(host: Host, mode: int) -> None:
    path = host.root / "conf.d/site.conf"
    path.chmod(mode)
    for check in (True, False):
        assert host.run({"conf.d/site.conf": path.read_text()}, check=check)["changed"]
    assert path.stat().st_mode & 0o777 == 0o644
    assert not host.run({"conf.d/site.conf": path.read_text()})["changed"]


def test_a_link_in_the_place_of_a_file_is_replaced(host: Host) -> None:
    """What it leads to is somebody else's."""
    path, other = host.root / "conf.d/site.conf", host.folder / "other.conf"
    path.rename(other)
    path.symlink_to(other)
    assert host.run({"conf.d/site.conf": other.read_text()})["changed"]
    assert (path.is_symlink(), path.read_text()) == (False, other.read_text())


def test_without_nginx(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check mode tells what would be done; otherwise there is nothing to install for."""
    monkeypatch.setattr(config, "NGINX", str(host.folder / "none"))
    assert host.run({"conf.d/new.conf": "# new\n"}, check=True)["changed"]
    result = host.run({"conf.d/new.conf": "# new\n"})
    assert result["failed"]
    assert "install nginx first" in result["msg"]
    assert host.text("conf.d/new.conf") is None
