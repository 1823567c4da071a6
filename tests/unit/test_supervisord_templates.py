"""The files of supervisord, rendered from the real plan and judged by supervisord's own parser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import ROLE
from tests.unit.conftest import make_plan, relocated, render
from tests.unit.rendering import SHOP, WORKERS, Plan, plan, sections

__all__ = ["plan"]  # a fixture


def supervisord_files(app: Mapping[str, Any], workers: Mapping[str, int] | None = None) -> dict[str, str]:
    """The files of an app's supervisord by path."""
    slots = app["slots"].values()
    return {
        app["config"]: render("supervisord.conf.j2", {"app": app}),
        **{slot["config"]: render("slot.conf.j2", {"app": app, "slot": {**slot, "workers": workers or {}}}) for slot in slots},
    }


def check_supervisord(*paths: Path) -> subprocess.CompletedProcess[str]:
    """supervisord's own parser, as the role calls it."""
    command: list[str | Path] = [sys.executable, ROLE / "files/check_supervisord.py", *paths]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write(root: Path, files: Mapping[str, str]) -> dict[str, Path]:
    """Write files of a host below a directory, with all paths in them; by their paths on the host."""
    found = {}
    for path, text in files.items():
        found[path] = Path(relocated(path, root))
        found[path].parent.mkdir(parents=True, exist_ok=True)
        found[path].write_text(relocated(text, root))
    return found


def test_supervisord_takes_its_files(plan: Plan, tmp_path: Path) -> None:
    for app in plan.values():
        files = write(tmp_path, supervisord_files(app, WORKERS))
        # On a fresh host systemd has made no directory yet when the main file is judged.
        done = check_supervisord(files[app["config"]])
        assert (done.returncode, done.stderr) == (0, "")
        Path(relocated(app["logs"], tmp_path)).mkdir(parents=True)
        for slot in app["slots"].values():
            done = check_supervisord(files[app["config"]], files[slot["config"]])
            assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("numprocs = many", "many"),
        ("stopsignal = HELLO", "HELLO"),
        ("[program", "[program"),
        ("environment = A=%(nothing)s", "nothing"),
        ("priority = high", "high"),
    ],
)
@pytest.mark.parametrize("which", ["config", "slot"])
def test_supervisord_refuses_a_bad_file(tmp_path: Path, bad: str, words: str, which: str) -> None:
    """With exit code 2, so that the task fails, and its own words; whichever of the two files it is in."""
    app = make_plan({"shop": SHOP})["shop"]
    files = write(tmp_path, supervisord_files(app))
    Path(relocated(app["logs"], tmp_path)).mkdir(parents=True)
    config, slot = files[app["config"]], files[app["slots"]["blue"]["config"]]
    with (config if which == "config" else slot).open("a") as stream:
        stream.write(f"[program:extra]\ncommand = /bin/true\n{bad}\n" if which == "config" else f"{bad}\n")
    done = check_supervisord(config, slot)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_slot_of_supervisord(plan: Plan) -> None:
    for app in plan.values():
        for slot in app["slots"].values():
            parser = sections(supervisord_files(app)[slot["config"]])
            program = dict(parser[f"program:{slot['group']}"])
            assert int(program["numprocs"]) == app["processes"]
            assert int(program["numprocs_start"]) == slot["ports"][0]
            assert program["process_name"] == "%(process_num)d"
            assert program["command"].split()[-3:] == [slot["record"], "%(process_num)d", program["stdout_logfile"]]
            assert program["directory"] == slot["cwd"]
            assert (program["stopsignal"], int(program["stopwaitsecs"])) == ("TERM", app["stop_timeout"])
            assert program["killasgroup"] == "true"
            assert program["stdout_logfile"] == f"{app['logs']}/%(process_num)d.log"
            assert program["stdout_logfile_maxbytes"] == "0"


def test_a_signal_says_goodbye_to_web_processes_alone() -> None:
    """They have the time of a drain then; workers end as ever."""
    shop = {"source": "app", "command": "{python} app.py {port}", "drain": {"timeout": 45, "signal": "USR1"}, "stop_timeout": 7}
    app = make_plan({"shop": shop})["shop"]
    slot = app["slots"]["blue"]
    files = supervisord_files(app, WORKERS)
    parser = sections(files[slot["config"]])
    web, worker = (parser[f"program:{slot['group']}{kind}"] for kind in ("", "-worker"))
    assert (web["stopsignal"], web["stopwaitsecs"], worker["stopsignal"], worker["stopwaitsecs"]) == ("USR1", "45", "TERM", "7")


def test_workers_are_of_the_slots_own_group(plan: Plan) -> None:
    for app in plan.values():
        for slot in app["slots"].values():
            group = slot["group"]
            parser = sections(supervisord_files(app, WORKERS)[slot["config"]])
            assert parser[f"group:{group}"]["programs"].split(",") == [group, f"{group}-worker", f"{group}-clock"]
            worker = parser[f"program:{group}-worker"]
            assert (worker["numprocs"], worker["numprocs_start"], worker["process_name"]) == ("2", "1", "worker.%(process_num)d")
            assert worker["command"].split()[-3:] == [slot["record"], "worker.%(process_num)d", worker["stdout_logfile"]]
            assert worker["stdout_logfile"] == f"{app['logs']}/{slot['name']}.worker.%(process_num)d.log"
            assert sections(supervisord_files(app)[slot["config"]]).sections() == [f"program:{group}"]


def test_what_goes_to_the_journal_goes_to_no_file(plan: Plan) -> None:
    for app in plan.values():
        for slot in app["slots"].values():
            parser = sections(supervisord_files({**app, "journal": True}, WORKERS)[slot["config"]])
            for name in (slot["group"], f"{slot['group']}-worker"):
                program = parser[f"program:{name}"]
                assert (program["stdout_logfile"], program["stderr_logfile"]) == ("NONE", "NONE")
                assert program["command"].endswith(f"{slot['record']} {program['process_name']}")


def test_main_file_of_supervisord(plan: Plan) -> None:
    for app in plan.values():
        parser = sections(supervisord_files(app)[app["config"]])
        assert parser["unix_http_server"]["file"] == app["socket"]
        assert parser["unix_http_server"]["chmod"] == "0700"
        assert parser["supervisord"]["minfds"] == "65536"
        assert parser["supervisord"]["nodaemon"] == "true"
        assert "inet_http_server" not in parser
        assert {Path(slot["config"]).parent for slot in app["slots"].values()} == {Path(parser["include"]["files"]).parent}
