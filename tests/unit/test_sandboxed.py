"""Commands in the sandbox of an app: what systemd-run is asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from tests.unit.loading import ROLE
from tests.unit.builders import SHOP, planned
from tests.unit.conftest import render
from tests.unit.test_command import KEEPS

SCRIPT = ROLE / "files/sandboxed.py"
sandboxed: Any = run_path(str(SCRIPT))


def test_a_command_has_all_properties_of_the_unit() -> None:
    app = planned({"shop": SHOP})["shop"]
    assert sandboxed["properties"](render("app.service.j2", {"app": app})) == app["properties"]


def test_supervisorctl_is_that_of_the_unit() -> None:
    unit = render("app.service.j2", {"app": planned({"shop": SHOP})["shop"], "__tornado_app_supervisor": "/opt/x"})
    command = sandboxed["of_supervisord"](unit, ["tail", "shop-blue:8000"])
    assert command == ["/opt/x/bin/supervisorctl", "--configuration=/etc/shop/supervisord.conf", "tail", "shop-blue:8000"]


def test_without_a_sandbox_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit of an earlier version has no such lines; systemd-run without them is root."""
    (tmp_path / "shop.service").write_text("[Service]\nUser=shop\nExecStart=/opt/x/bin/supervisord\n")
    monkeypatch.setitem(sandboxed["main"].__globals__, "UNITS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["sandboxed.py", "shop", "true"])
    monkeypatch.setitem(sandboxed["main"].__globals__, "relayed", lambda _: pytest.fail("it runs"))
    with pytest.raises(SystemExit, match="has no sandbox yet: run"):
        sandboxed["main"]()


def test_what_is_missing_is_said() -> None:
    usage = "sandboxed.py [--seconds=MOST] APP COMMAND"
    for arguments, said in (([], usage), (["shop"], usage), (["no-app", "ls"], "no-app.service is not there")):
        done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert said in done.stderr


def test_who_keeps_the_output_open_holds_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    """A command may give its output to a process that outlives it and goes on writing."""
    assert sandboxed["relayed"]([sys.executable, "-c", KEEPS]) == 3
    os.kill(int(capfd.readouterr().out), signal.SIGKILL)


def test_a_command_ends_as_it_does_and_says_what_it_says(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('out' * 50_000); print('err', file=sys.stderr); sys.exit(7)"
    assert sandboxed["relayed"]([sys.executable, "-c", code]) == 7
    said = capfd.readouterr()
    assert (said.out, said.err) == ("out" * 50_000 + "\n", "err\n")
