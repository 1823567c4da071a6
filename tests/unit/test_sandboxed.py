"""Commands in the sandbox of an app: what systemd-run is asked for."""

from __future__ import annotations

import subprocess
import sys
from runpy import run_path
from typing import Any

from tests.unit.loading import ROLE
from tests.unit.builders import SHOP, planned
from tests.unit.conftest import render

SCRIPT = ROLE / "files/sandboxed.py"
sandboxed: Any = run_path(str(SCRIPT))


def test_a_command_has_all_properties_of_the_unit() -> None:
    app = planned({"shop": SHOP})["shop"]
    assert sandboxed["properties"](render("app.service.j2", {"app": app})) == app["properties"]


def test_supervisorctl_is_that_of_the_unit() -> None:
    unit = render("app.service.j2", {"app": planned({"shop": SHOP})["shop"], "__tornado_app_supervisor": "/opt/x"})
    command = sandboxed["of_supervisord"](unit, ["tail", "shop-blue:8000"])
    assert command == ["/opt/x/bin/supervisorctl", "--configuration=/etc/shop/supervisord.conf", "tail", "shop-blue:8000"]


def test_what_is_missing_is_said() -> None:
    usage = "sandboxed.py [--seconds=MOST] APP COMMAND"
    for arguments, said in (([], usage), (["shop"], usage), (["no-app", "ls"], "no-app.service is not there")):
        done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert said in done.stderr
