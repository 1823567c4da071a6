"""state_info: what it reads of made-up directories, of a real supervisord and of this machine."""

from __future__ import annotations

import getpass
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import plugin
from tests.unit.conftest import PATIENCE, PYTHON, Supervisor, make_plan, process, relocated, render, run_module, utils, wait_until

apps = plugin("module_utils", "app_state")
hosts = plugin("module_utils", "host_state")
things = plugin("module_utils", "things")

App = dict[str, Any]


@pytest.fixture
def app(tmp_path: Path) -> App:
    """An app of two processes with all its paths below a directory of the test; nothing is there."""
    settings = {"shop": {"source": "app", "command": "{python} app.py {port}", "processes": 2}}
    found: App = relocated(make_plan(settings)["shop"], tmp_path)
    return found


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


def run(app: App, **arguments: Any) -> dict[str, Any]:
    """The state of the one app."""
    result = run_module("state_info", apps={"shop": app}, **arguments)
    assert not result.get("failed")
    assert not result["changed"]
    found: dict[str, Any] = result["apps"]["shop"]
    return found


# The state of an app


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
        "sequence": 0,
    }
    assert state == {
        "foreign_user": False,
        "foreign_unit": "",
        "foreign_paths": [],
        "fresh": True,
        "live": "green",
        "provisioned": False,
        "flagged": False,
        "supervisord": None,
        "sockets": False,
        "slots": {"blue": empty, "green": empty},
        "releases": {},
        "records": {},
        "environments": [],
        "history": [],
        "previous": "",
        "foreign_ports": {},
        "static_file": "",
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
    Path(app["flag"]).touch()
    assert run(app)["static_file"] == "green.css"
    assert run({**app, "static": ""})["static_file"] == ""


def test_foreign_user(app: App) -> None:
    """A user of the app's name is the role's own when it lives where the role puts it."""
    assert not apps.foreign_user({**app, "user": "no-such-user"})
    assert apps.foreign_user({**app, "user": getpass.getuser()})
    assert not apps.foreign_user({"user": getpass.getuser(), "home": os.path.expanduser("~" + getpass.getuser())})


def test_foreign_ports(app: App) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        app["slots"]["green"]["addresses"] = [f"127.0.0.1:{port}"]
        assert apps.foreign_ports({**app, "user": "no-such-user"}) == {str(port): f"{utils('proc').name(os.getpid())} (pid {os.getpid()})"}
        assert apps.foreign_ports({**app, "user": getpass.getuser()}) == {}


# What runs


def test_running_app(supervisor: Supervisor) -> None:
    """supervisord's word for the state, the kernel's for all else."""
    blue = supervisor.write_slot("blue", ["200", "200"])
    green = supervisor.write_slot("green", ["crash"])
    for slot in (blue, green):
        supervisor.group(slot, "started")
    assert supervisor.health(blue, timeout=PATIENCE)["healthy"]
    state = run({**supervisor.app, "user": getpass.getuser(), "slots": {"blue": blue, "green": green}})
    pids = supervisor.pids()
    assert [(found["name"], found["port"], found["pid"]) for found in state["slots"]["blue"]["processes"]] == [
        (f"shop-blue:{port}", port, pids[f"shop-blue:{port}"]) for port in blue["ports"]
    ]
    assert state["supervisord"]["pid"] == supervisor.pid
    for found in (*state["slots"]["blue"]["processes"], state["supervisord"]):
        assert found["uid"] == os.getuid()
        assert found["nofile"] == resource.prlimit(found["pid"], resource.RLIMIT_NOFILE)[0]
        assert found["uptime"] >= 0
    assert {found["state"] for found in state["slots"]["blue"]["processes"]} == {"RUNNING"}
    (crashed,) = state["slots"]["green"]["processes"]
    assert crashed["state"] in ("STARTING", "BACKOFF", "FATAL")
    assert state["slots"]["blue"]["deployed"]
    assert state["foreign_ports"] == {}


def test_connections_are_those_to_the_processes_of_a_slot(supervisor: Supervisor) -> None:
    one, other = supervisor.write_slot("one", ["200", "200"]), supervisor.write_slot("other", ["200"])
    for slot in (one, other):
        supervisor.group(slot, "started")
        assert supervisor.health(slot, timeout=PATIENCE)["healthy"]
    app = {**supervisor.app, "slots": {"blue": {**one, "name": "blue"}, "green": {**other, "name": "green"}}}

    def counted() -> tuple[int, int]:
        found = run(app)["slots"]
        return found["blue"]["connections"], found["green"]["connections"]

    with ExitStack() as stack:
        for port in (*one["ports"], one["ports"][0]):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        wait_until(lambda: counted() == (3, 0), "the three connections, and none of the health checks")


def test_process_that_does_not_run() -> None:
    info = {"group": "shop-blue", "name": "8000", "statename": "FATAL", "pid": 0}
    expected = {
        "name": "shop-blue:8000",
        "port": 8000,
        "children": 0,
        "state": "FATAL",
        "pid": 0,
        "nofile": 0,
        "uid": -1,
        "unit": "",
        "uptime": 0,
    }
    assert apps.process_state(info, {}) == expected


def test_process_that_ended_meanwhile() -> None:
    with process(sys.executable, "-c", "pass") as short:
        short.wait()
    state = apps.process_state({"group": "shop-blue", "name": "8000", "statename": "RUNNING", "pid": short.pid}, {})
    assert (state["pid"], state["state"]) == (0, "RUNNING")


def test_socket_without_a_supervisord(app: App) -> None:
    Path(app["run"]).mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(app["socket"])
    assert run(app)["supervisord"] is None


# The host


def test_host(app: App) -> None:
    result = run_module("state_info", apps={"shop": app}, things=[{"kind": "package", "name": "no-such-package", "check": "package"}])
    host = result["host"]
    version = subprocess.run(
        [PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True
    )
    assert host["python"] == version.stdout.strip()
    assert host["pythons"][host["python"]] == PYTHON
    assert result["differences"] == [{"kind": "package", "name": "no-such-package", "reason": "not installed"}]
    assert (host["nofile_ceiling"], host["nofile_raisable"]) == utils("proc").nofile_ceiling()
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
    assert apps.user_id(getpass.getuser()) == os.getuid()
    assert apps.user_id("no-such-user") == -1


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


def below(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the files of the host below a directory."""
    monkeypatch.setattr(hosts, "Path", lambda *parts: root.joinpath(*(str(part).lstrip("/") for part in parts)))


def test_a_site_that_is_not_utf_8_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below(tmp_path, monkeypatch)
    (tmp_path / "etc/nginx/conf.d").mkdir(parents=True)
    (tmp_path / "etc/nginx/conf.d/shop.conf").write_bytes(b"# f\xfcr alle\nlog_format tornado_app_shop x;\n    server_name a.test;\n")
    assert hosts.sites(["shop"]) == [{"server_names": ["a.test"], "apps": ["shop"]}]


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


def test_output_that_is_not_utf_8() -> None:
    assert things.output("printf", r"f\374r") == "f\ufffdr"
