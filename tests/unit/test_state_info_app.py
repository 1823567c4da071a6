"""state_info: what it reads of an app's directories, releases, slots and history."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.app_on_disk import App, app, apps, run
from tests.unit.conftest import utils

__all__ = ["app"]  # a fixture


def provision(app: App) -> None:
    for directory in app["directories"]:
        Path(directory["path"]).mkdir(parents=True, exist_ok=True)
    unit = Path(app["unit_file"])
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.touch()


def install(app: App, release: str, note: str | None = None, files: Mapping[str, str] | None = None) -> Path:
    path = Path(app["releases"]) / release
    for name, text in {"app.py": "", **(files or {})}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    if note is not None:
        path.with_name(f"{release}.json").write_text(note)
    return path


def test_fresh_host(app: App) -> None:
    """Green counts as live, so that the first release goes to blue; nothing is made."""
    state = run(app)
    empty = {
        "deployed": False,
        "release": "",
        "environment": "",
        "processes": [],
        "workers": [],
        "addresses": [],
        "connections": 0,
        "memory": 0,
        "sequence": 0,
    }
    assert state == {
        "foreign_user": False,
        "foreign_group": False,
        "missing_paths": [],
        "foreign_unit": "",
        "foreign_paths": [],
        "fresh": True,
        "live": "green",
        "provisioned": False,
        "flagged": False,
        "supervisord": None,
        "untrusted": [],
        "outdated": "",
        "maintenance": "",
        "watchdog": {"state": "", "processes": {}},
        "slots": {"blue": empty, "green": empty},
        "releases": {},
        "records": {},
        "wrong_modes": [],
        "environments": [],
        "history": [],
        "previous": "",
        "foreign_ports": {},
        "static_file": "",
        "static_digest": "",
        "assets": {},
        "tls": None,
        "jobs": None,
    }
    assert not Path(app["home"]).exists()


def test_flag_tells_the_live_slot(app: App) -> None:
    provision(app)
    assert run(app)["live"] == "green"  # nothing was ever deployed
    Path(app["slots"]["blue"]["cwd"]).symlink_to(install(app, "aaa", "{}"))
    assert not run(app)["fresh"]
    assert run(app)["live"] == "blue"
    Path(app["flag"]).touch()
    assert run(app)["live"] == "green"


def test_maintenance_is_told_with_its_begin(app: App) -> None:
    provision(app)
    assert run(app)["maintenance"] == ""
    flag = Path(app["maintenance_flag"])
    flag.touch()
    os.utime(flag, (0, 1767323045))
    assert run(app)["maintenance"] == "2026-01-02T03:04:05Z"


def test_a_directory_that_is_gone_does_not_make_a_host_fresh(app: App) -> None:
    provision(app)
    Path(app["slots"]["blue"]["cwd"]).symlink_to(install(app, "aaa", "{}"))
    shutil.rmtree(app["shared"])
    state = run(app)
    assert (state["provisioned"], state["fresh"], state["live"]) == (False, False, "blue")


def test_what_is_there_before_the_user_is_not_the_roles(app: App) -> None:
    Path(app["etc"]).mkdir(parents=True)
    assert run(app)["foreign_paths"] == [app["etc"]]


def test_provisioned_needs_every_directory(app: App) -> None:
    provision(app)
    assert run(app)["provisioned"]
    shutil.rmtree(app["shared"])
    assert not run(app)["provisioned"]


def test_provisioned_needs_the_unit(app: App) -> None:
    provision(app)
    Path(app["unit_file"]).unlink()
    assert not run(app)["provisioned"]


def test_the_flag_of_a_fresh_host_is_told(app: App) -> None:
    """Without it green counts as live, and blue would be at the next run."""
    provision(app)
    assert (run(app)["fresh"], run(app)["flagged"]) == (True, False)
    Path(app["flag"]).touch()
    assert (run(app)["fresh"], run(app)["flagged"]) == (True, True)


def test_releases_are_those_that_were_unpacked_to_their_end(app: App) -> None:
    provision(app)
    for release in ("bbb", "aaa"):
        install(app, release, "{}")
    (Path(app["releases"]) / ".ccc").mkdir()
    (Path(app["releases"]) / "ddd.json").write_text("{}")
    assert list(run(app)["releases"]) == ["aaa", "bbb"]


def test_a_release_is_told_with_its_environment_when_that_is_whole(app: App) -> None:
    provision(app)
    for release, note in (
        ("aaa", '{"environment": "e1"}'),
        ("bbb", '{"environment": "e2"}'),
        ("ccc", None),
        ("ddd", '{"environment": ""}'),
    ):
        install(app, release, note)
    for environment in ("e1", "e2", "e3"):
        (Path(app["environments"]) / environment).mkdir()
    for environment in ("e1", "e3"):
        (Path(app["environments"]) / environment / ".complete").touch()
    state = run(app)
    assert state["releases"] == {"aaa": "e1", "bbb": "", "ccc": "", "ddd": ""}
    assert state["environments"] == ["e1", "e3"]


def serve(app: App, slot: str, *releases: str, sequence: int = 1) -> None:
    """A slot of the first of these releases, all of which are whole, with the history of these."""
    for release in releases:
        install(app, release, '{"environment": "eee"}')
    complete = Path(app["environments"]) / "eee/.complete"
    complete.parent.mkdir(exist_ok=True)
    complete.touch()
    Path(app["slots"][slot]["cwd"]).symlink_to(f"../releases/{releases[0]}")
    Path(app["slots"][slot]["config"]).touch()
    history = {"sequence": sequence, "releases": [{"release": release, "withdrawn": False} for release in releases]}
    Path(app["slots"][slot]["history"]).write_text(json.dumps(history))


def test_the_history_is_that_of_the_live_slot(app: App) -> None:
    provision(app)
    serve(app, "blue", "bbb", "aaa", sequence=2)
    serve(app, "green", "ccc", "bbb", "aaa", sequence=3)
    state = run(app)
    assert [entry["release"] for entry in state["history"]] == ["bbb", "aaa"]
    assert (state["previous"], state["slots"]["blue"]["sequence"], state["slots"]["green"]["sequence"]) == ("aaa", 2, 3)
    Path(app["flag"]).touch()
    state = run(app)
    assert [entry["release"] for entry in state["history"]] == ["ccc", "bbb", "aaa"]
    assert state["previous"] == "bbb"


def test_a_rollback_does_not_go_to_a_release_that_is_not_whole(app: App) -> None:
    provision(app)
    serve(app, "blue", "ccc", "bbb", "aaa")
    install(app, "bbb", '{"environment": "gone"}')
    assert run(app)["previous"] == "aaa"


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", '{"releases": []}', '{"sequence": "x", "releases": []}'])
def test_a_slot_without_a_proper_history_never_was_live(app: App, text: str | None) -> None:
    provision(app)
    serve(app, "blue", "aaa")
    path = Path(app["slots"]["blue"]["history"])
    path.unlink()
    if text is not None:
        path.write_text(text)
    state = run(app)
    assert (state["history"], state["previous"], state["slots"]["blue"]["sequence"]) == ([], "", 0)


@pytest.mark.parametrize("absolute", [True, False])
def test_slot_state(app: App, absolute: bool) -> None:
    provision(app)
    release = install(app, "aaa", json.dumps({"release": "aaa", "environment": "eee"}))
    slot = app["slots"]["blue"]
    Path(slot["cwd"]).symlink_to(release if absolute else "../releases/aaa")
    expected = {
        "deployed": False,
        "release": "aaa",
        "environment": "eee",
        "processes": [],
        "workers": [],
        "addresses": [],
        "connections": 0,
        "memory": 0,
        "sequence": 0,
    }
    assert apps.slot_state(slot, Path(app["releases"]), []) == expected
    Path(slot["config"]).touch()
    assert apps.slot_state(slot, Path(app["releases"]), []) == {**expected, "deployed": True}


@pytest.mark.parametrize("note", [None, "", "[", "{}"])
def test_slot_of_a_release_without_a_proper_note(app: App, note: str | None) -> None:
    provision(app)
    Path(app["slots"]["blue"]["cwd"]).symlink_to(install(app, "aaa", note))
    state = apps.slot_state(app["slots"]["blue"], Path(app["releases"]), [])
    assert (state["release"], state["environment"]) == ("aaa", "")


@pytest.mark.parametrize(
    ("files", "first"),
    [
        ([], ""),
        (["b.css", "a.js"], "a.js"),
        (["deep/er/x.css"], "deep/er/x.css"),
        (["z.css", "deep/x y.css"], "deep/x y.css"),
        (["a.css.gz", "b.js"], "b.js"),
        ([".gitkeep", ".well-known/security.txt", "deep/.hidden/x.css", "deep/y.css"], "deep/y.css"),
    ],
)
def test_static_file(tmp_path: Path, files: list[str], first: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert apps.static_file(tmp_path) == first
    assert apps.static_file(tmp_path / "nowhere") == ""


def test_static_file_is_the_live_slots(app: App) -> None:
    provision(app)
    for slot, name in (("blue", "blue.css"), ("green", "green.css")):
        release = install(app, f"r-{slot}", files={f"static/{name}": "a {}"})
        Path(app["slots"][slot]["cwd"]).symlink_to(release)
    assert run(app)["static_file"] == "blue.css"
    assert run(app)["static_digest"] == hashlib.sha512(b"a {}").hexdigest()
    Path(app["flag"]).touch()
    assert run(app)["static_file"] == "green.css"
    assert run({**app, "static": ""})["static_file"] == run({**app, "static": ""})["static_digest"] == ""


def test_the_static_file_is_one_that_is_read_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_bytes(b" " * 1_000_001)
    assert apps.static_file(tmp_path) == ""
    (tmp_path / "b.css").write_bytes(b" " * 1_000_000)
    assert apps.static_file(tmp_path) == "b.css"


def test_what_the_store_has_is_told(app: App) -> None:
    provision(app)
    marks = Path(app["assets"]) / ".done"
    marks.mkdir()
    for name, text in {"aaa": '{"static": "web"}', "bbb": "{}", "ccc": "\0"}.items():
        (marks / name).write_text(text)
    assert run(app)["assets"] == {"aaa": "web", "bbb": "", "ccc": ""}


def test_foreign_user(app: App) -> None:
    """A user of the app's name is the role's own when it lives where the role puts it."""
    assert not apps.foreign_user({**app, "user": "no-such-user"})
    assert apps.foreign_user({**app, "user": getpass.getuser()})
    assert not apps.foreign_user({"user": getpass.getuser(), "home": os.path.expanduser("~" + getpass.getuser())})


@pytest.mark.parametrize("group", ["adm", "disk", "shadow"])
def test_a_group_of_the_system_is_not_the_apps(app: App, group: str) -> None:
    """No user has its name, so that nothing but the group is in the way."""
    assert run({**app, "user": group})["foreign_group"]


def test_a_group_that_its_user_has_is_the_apps(app: App) -> None:
    assert not run({**app, "user": "root"})["foreign_group"]
    assert not run({**app, "user": "no-such-user"})["foreign_group"]


def test_what_the_sandbox_is_to_have_and_is_not_there(app: App, tmp_path: Path) -> None:
    wanted = {"netlink": False, "devices": ["/dev/null", "/dev/no-such-device"], "writable": [str(tmp_path), f"{tmp_path}/uploads"]}
    assert run({**app, "sandbox": wanted})["missing_paths"] == ["/dev/no-such-device", f"{tmp_path}/uploads"]


def test_foreign_ports(app: App) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        app["slots"]["green"]["addresses"] = [f"127.0.0.1:{port}"]
        assert apps.foreign_ports({**app, "user": "no-such-user"}) == {str(port): f"{utils('proc').name(os.getpid())} (pid {os.getpid()})"}
        assert apps.foreign_ports({**app, "user": getpass.getuser()}) == {}


# What others have written, in whatever encoding


def test_names_and_records_that_are_not_utf_8_are_nobodys(app: App) -> None:
    """They are neither a release of the role's nor a static file whose URL could be asked for."""
    provision(app)
    install(app, "aaa", json.dumps({"environment": ""}), {"static/app.css": ""})
    install(app, os.fsdecode(b"f\xfcr"))
    (Path(app["environments"]) / os.fsdecode(b"f\xfcr")).mkdir()
    (Path(app["environments"]) / os.fsdecode(b"f\xfcr/.complete")).touch()
    strange = Path(app["releases"]) / "aaa/static" / os.fsdecode(b"\xfc")
    strange.mkdir()
    (strange / "a.css").touch()
    (strange.parent / os.fsdecode(b"a\xfc.css")).touch()
    Path(app["slots"]["blue"]["cwd"]).symlink_to(Path(app["releases"]) / "aaa")
    Path(app["slots"]["green"]["cwd"]).symlink_to(Path(app["releases"]) / os.fsdecode(b"f\xfcr"))
    for path in (Path(app["slots"]["blue"]["history"]), Path(app["slots"]["blue"]["record"]), Path(app["releases"]) / "aaa.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'{"environment": "f\xfcr"}')
    state = run(app)
    assert (state["releases"], state["environments"], state["static_file"]) == ({"aaa": ""}, [], "app.css")
    assert (state["slots"]["blue"]["environment"], state["slots"]["blue"]["sequence"]) == ("", 0)
