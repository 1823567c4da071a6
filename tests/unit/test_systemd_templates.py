"""The unit and the limits of an app, rendered from the real plan, and the unit judged by systemd."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.loading import plugin
from tests.unit.conftest import make_plan, render
from tests.unit.rendering import SHOP, Plan, plan, sections

__all__ = ["plan"]  # a fixture

ROTATION = {"properties": plugin("module_utils", "sandbox").of_rotation()}


def test_limits(plan: Plan) -> None:
    for name, app in plan.items():
        lines = [line.split() for line in render("limits.conf.j2", {"app": app}).splitlines() if not line.startswith("#")]
        assert lines == [[name, "soft", "nofile", "65536"], [name, "hard", "nofile", "65536"]]


@pytest.mark.skipif(not shutil.which("perl"), reason="no perl here")
def test_needrestart_leaves_the_unit_of_the_app_alone(plan: Plan) -> None:
    """Its configuration is Perl."""
    for app in plan.values():
        program = (
            render("needrestart.conf.j2", {"app": app})
            + "print join ' ', map { $ARGV[0] =~ $_ ? 'yes' : 'no' } keys %{$nrconf{override_rc}};"
        )
        for unit, said in ((app["unit"], "yes"), (f"x{app['unit']}", "no"), (app["unit"].replace(".", "x"), "no")):
            assert subprocess.run(["perl", "-e", program, unit], capture_output=True, text=True, check=True).stdout == said


def test_unit(plan: Plan) -> None:
    for name, app in plan.items():
        unit = sections(render("app.service.j2", {"app": app}))
        service = dict(unit["Service"])
        program, *arguments = service["ExecStart"].split()
        assert re.fullmatch(r"/opt/tornado_app/environments/[0-9a-f]{12}/bin/supervisord", program)
        assert arguments == ["--nodaemon", f"--configuration={app['config']}"]
        expected = {
            "User": name,
            "Group": name,
            "KillMode": "mixed",
            "LimitNOFILE": "65536",
            "NoNewPrivileges": "yes",
            "ProtectSystem": "strict",
            "CapabilityBoundingSet": "",
            "RuntimeDirectory": name,
            "LogsDirectory": name,
            "BindReadOnlyPaths": app["home"],
            "BindPaths": app["shared"],
            "ReadWritePaths": f"-/run/tornado_app/sockets/{name}",
        }
        assert service | expected == service
        assert int(service["TimeoutStopSec"]) > app["stop_timeout"]
        assert service["ExecStartPost"] == f"-/usr/bin/python3 -I -S /opt/tornado_app/ready.py {app['etc']}/watchdog.json"
        assert int(service["TimeoutStartSec"]) > app["health"]["timeout"]
        assert "ExecReload" not in service
        assert unit["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.parametrize(("timeout", "stop_timeout"), [(60, 300), (300, 60)])
def test_processes_that_are_told_to_go_and_workers_both_have_their_time(timeout: int, stop_timeout: int) -> None:
    settings = {**SHOP, "drain": {"signal": "TERM", "timeout": timeout}, "stop_timeout": stop_timeout}
    assert "\nTimeoutStopSec=620\n" in render("app.service.j2", {"app": make_plan({"shop": settings})["shop"]})


def test_journald_has_no_limit_for_an_app_wherever_its_lines_go(plan: Plan) -> None:
    """So `logs: journal` needs no other unit. Zero would leave journald's own limit."""
    for app in plan.values():
        files, journal = (render("app.service.j2", {"app": {**app, "journal": journal}}) for journal in (False, True))
        assert files == journal
        service = sections(journal)["Service"]
        assert (service["LogRateLimitIntervalSec"], service["LogRateLimitBurst"]) == ("1us", "100000000")


def test_logs_are_rotated_by_the_user_of_the_app_in_a_sandbox() -> None:
    service = dict(sections(render("logs.service.j2", ROTATION))["Service"])
    expected = {"User": "%i", "Group": "%i", "LogsDirectory": "%i", "ProtectSystem": "strict", "NoNewPrivileges": "yes"}
    assert service | expected == service
    assert "/etc/%i/slots/*.logrotate" in service["ExecStart"]


@pytest.fixture(scope="session")
def systemd_verify(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """A function that returns systemd's complaints about a unit; empty when there are none."""
    program = shutil.which("systemd-analyze")
    if not program:
        pytest.skip("no systemd-analyze here")

    def verify(unit: Path) -> str:
        done = subprocess.run([program, "verify", "--recursive-errors=no", unit], capture_output=True, text=True, check=False)
        return "\n".join(line for line in done.stderr.splitlines() if unit.name in line)

    folder = tmp_path_factory.mktemp("units")
    (folder / "good.service").write_text("[Service]\nExecStart=/bin/true\n")
    (folder / "bad.service").write_text("[Service]\nExecStart=/bin/true\nKillMode=mixd\n")
    if verify(folder / "good.service") or not verify(folder / "bad.service"):
        pytest.skip("systemd-analyze does not work here")
    return verify


def test_systemd_takes_the_unit(plan: Plan, tmp_path: Path, systemd_verify: Callable[[Path], str]) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/supervisord").symlink_to("/bin/true")
    for app in plan.values():
        (tmp_path / app["unit"]).write_text(render("app.service.j2", {"app": app, "__tornado_app_supervisor": str(tmp_path)}))
        assert systemd_verify(tmp_path / app["unit"]) == ""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("systemd-tmpfiles"), reason="needs root and systemd-tmpfiles")
def test_the_directory_of_the_sockets_is_there_after_a_boot(plan: Plan, tmp_path: Path) -> None:
    for number, (name, app) in enumerate(plan.items(), 1):
        root = tmp_path / name
        (root / "etc").mkdir(parents=True)
        (root / "etc/passwd").write_text(f"root:x:0:0::/:/bin/sh\n{name}:x:{7000 + number}:{7000 + number}::/:/bin/sh\n")
        (root / "etc/group").write_text(f"root:x:0:\nwww-data:x:33:\n{name}:x:{7000 + number}:\n")
        (root / "sockets.conf").write_text(render("tmpfiles.conf.j2", {"app": app}))
        command = ["systemd-tmpfiles", "--create", f"--root={root}", f"{root}/sockets.conf"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        found = [(Path(f"{root}{own['path']}").stat(), own["mode"]) for own in app["runtime_directories"]]
        assert [(stat.S_IMODE(entry.st_mode), entry.st_uid, entry.st_gid) for entry, _ in found[:2]] == [(0o755, 0, 0), (0o751, 0, 0)]
        assert (found[2][0].st_uid, found[2][0].st_gid, stat.S_IMODE(found[2][0].st_mode)) == (7000 + number, 33, 0o2750)
        assert [int(mode, 8) for _, mode in found] == [stat.S_IMODE(entry.st_mode) for entry, _ in found]


def test_systemd_takes_the_units_that_have_certificates_issued(tmp_path: Path, systemd_verify: Callable[[Path], str]) -> None:
    for kind in ("service", "timer"):
        unit = tmp_path / f"tornado_app-acme.{kind}"
        unit.write_text(render(f"acme.{kind}.j2", {"root": "/opt/tornado_app", "server": "nginx"}))
        assert systemd_verify(unit) == ""


def test_systemd_takes_the_units_that_rotate_logs(tmp_path: Path, systemd_verify: Callable[[Path], str]) -> None:
    for kind in ("service", "timer"):
        unit = tmp_path / f"tornado_app-logs@shop.{kind}"
        unit.write_text(render(f"logs.{kind}.j2", ROTATION).replace("/usr/sbin/logrotate", "/bin/true"))
        assert systemd_verify(unit) == ""
