"""Things of a host: each kind as it is to be, and broken in each way that a person or another program breaks it."""

from __future__ import annotations

import getpass
import grp
import hashlib
import os
import pwd
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import plugin
from tests.unit.conftest import make_plan
from tests.unit.nginx_trees import nginx_tree

things = plugin("module_utils", "things")
wanted = plugin("plugin_utils", "things")

Thing = dict[str, Any]
ME = pwd.getpwuid(os.geteuid())
OWN = {"owner": ME.pw_name, "group": grp.getgrgid(os.getegid()).gr_name}
CONTENT = b"f\xfcr alle\n"

# What systemctl of Debian 12 shows of units that run, are stopped, have changed on disk, are not there; and its words on a bad name.
SHOWN = """\
Id=nginx.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=no

Id=shop.service
LoadState=loaded
ActiveState=inactive
UnitFileState=disabled
NeedDaemonReload=yes

Id=none.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
NeedDaemonReload=no

Id=no\\x20such.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
NeedDaemonReload=no
Invalid unit name "no such" escaped as "no\\x20such" (maybe you should use systemd-escape?).
"""


def reason(thing: Thing) -> str:
    """Why the thing is not as it is to be; empty when it is."""
    found = things.differences([{"kind": "kind", "name": "name", **thing}])
    assert all((difference["kind"], difference["name"]) == ("kind", thing.get("name", "name")) for difference in found)
    return str(found[0]["reason"]) if found else ""


def directory(path: Path, mode: int = 0o750) -> Thing:
    """A directory as it is to be, which is there."""
    path.mkdir()
    path.chmod(mode)
    return {"check": "directory", "path": str(path), "mode": f"{mode:04o}", **OWN}


def file(path: Path, mode: int = 0o640) -> Thing:
    """A file as it is to be, which is there."""
    path.write_bytes(CONTENT)
    path.chmod(mode)
    digest = hashlib.sha256(CONTENT).hexdigest()
    return {"check": "file", "path": str(path), "sha256": digest, "mode": f"{mode:04o}", **OWN}


MAKERS = pytest.mark.parametrize("make", [directory, file])
Maker = Callable[[Path], Thing]


# Directories and files


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o1770, 0o2755])
def test_a_directory_as_it_is_to_be(tmp_path: Path, mode: int) -> None:
    assert reason(directory(tmp_path / "it", mode)) == ""


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_a_file_as_it_is_to_be(tmp_path: Path, mode: int) -> None:
    assert reason(file(tmp_path / "it", mode)) == ""


@MAKERS
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o4755, 0o1777])
def test_another_mode(tmp_path: Path, make: Maker, mode: int) -> None:
    thing = make(tmp_path / "it")
    Path(thing["path"]).chmod(mode)
    assert reason(thing) == f"mode is {mode:04o} instead of {thing['mode']}"


@MAKERS
@pytest.mark.parametrize("name", ["daemon", "no-such-name"])
@pytest.mark.parametrize("key", ["owner", "group"])
def test_another_owner_or_group(tmp_path: Path, make: Maker, key: str, name: str) -> None:
    """Also one that the host does not know yet."""
    thing = make(tmp_path / "it")
    actual = os.geteuid() if key == "owner" else os.getegid()
    assert reason({**thing, key: name}) == f"{key} is {actual} instead of {name}"


@MAKERS
def test_all_that_is_wrong_is_told(tmp_path: Path, make: Maker) -> None:
    thing = {**make(tmp_path / "it"), "owner": "no-such-user", "group": "no-such-group", "mode": "0711"}
    found = reason(thing)
    for said in (f"owner is {os.geteuid()} instead of no-such-user", f"group is {os.getegid()} instead of no-such-group", "mode is 0"):
        assert said in found


def test_a_file_that_others_can_read_is_not_private(tmp_path: Path) -> None:
    """Whose it is does not count: nginx makes its logs its workers'."""
    path = tmp_path / "it"
    thing: Thing = {"check": "private", "path": str(path)}
    assert reason(thing) == "missing"
    path.touch()
    for mode in (0o644, 0o641, 0o642):
        path.chmod(mode)
        assert reason(thing) == "others can read it"
    path.chmod(0o640)
    assert reason(thing) == ""
    path.unlink()
    path.symlink_to("/dev/stdout")
    assert reason(thing) == ""


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"\n", CONTENT.replace(b"\xfc", b"u")])
def test_another_content(tmp_path: Path, content: bytes) -> None:
    thing = file(tmp_path / "it")
    Path(thing["path"]).write_bytes(content)
    assert reason(thing) == "content"
    assert reason({**thing, "mode": "0600"}) == "content, mode is 0640 instead of 0600"


@MAKERS
def test_what_is_missing(tmp_path: Path, make: Maker) -> None:
    """Also when a directory above it is missing, or is a file."""
    thing = make(tmp_path / "it")
    (tmp_path / "plain").touch()
    for path in ("none", "none/none", "plain/none"):
        assert reason({**thing, "path": str(tmp_path / path)}) == "missing"


@MAKERS
def test_a_link_in_its_place_is_not_followed(tmp_path: Path, make: Maker) -> None:
    """What it leads to is somebody else's, and may be another thing tomorrow."""
    thing = make(tmp_path / "it")
    for target in ("it", "none"):
        link = tmp_path / f"to-{target}"
        link.symlink_to(target)
        assert reason({**thing, "path": str(link)}) == f"not a {thing['check']}"


def test_something_else_in_its_place(tmp_path: Path) -> None:
    here, there = directory(tmp_path / "directory"), file(tmp_path / "file")
    assert reason({**here, "path": there["path"]}) == "not a directory"
    assert reason({**there, "path": here["path"]}) == "not a file"
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name in ("pipe", "socket"):  # nobody ever writes to the pipe
            assert reason({**there, "path": str(tmp_path / name)}) == "not a file"


# What has to be there, and what must not


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_absent(tmp_path: Path, kind: str) -> None:
    """A link counts, wherever it leads."""
    path = tmp_path / "it"
    thing = {"check": "absent", "path": str(path)}
    assert reason(thing) == ""
    makers: dict[str, Callable[[], None]] = {"file": path.touch, "directory": path.mkdir, "link": lambda: path.symlink_to("nowhere")}
    makers[kind]()
    assert reason(thing) == "exists"


def test_a_file_with_a_line(tmp_path: Path) -> None:
    path = tmp_path / "it"
    thing = {"check": "line", "path": str(path), "line": "least_conn;"}
    assert reason(thing) == "missing"
    for text, found in (
        ("a {\n\tleast_conn;  \r\n}\n", ""),
        ("a {\n    hash $a;\n    # least_conn;\n}\n", "without least_conn;"),
        ("", "without least_conn;"),
    ):
        path.write_text(text)
        assert reason(thing) == found
    path.write_bytes(b"# f\xfcr alle\nleast_conn;")
    assert reason(thing) == ""


# Packages and users


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="no dpkg here")
def test_packages() -> None:
    listed = [{"kind": "package", "name": name, "check": "package"} for name in ("dpkg", "no-such-package", "base-files", "n")]
    assert things.differences(listed) == [{"kind": "package", "name": name, "reason": "not installed"} for name in ("no-such-package", "n")]


def test_packages_of_a_host_without_dpkg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert things.missing_packages(["nginx"]) == ["nginx"]


USER = {"check": "user", "name": getpass.getuser(), "home": ME.pw_dir, "shell": ME.pw_shell, "comment": ME.pw_gecos}


def test_a_user_as_it_is_to_be() -> None:
    assert reason(USER) == ""


def test_a_user_that_is_missing() -> None:
    assert reason({**USER, "name": "no-such-user"}) == "missing"


@pytest.mark.parametrize("key", ["home", "shell", "comment"])
def test_a_user_of_whom_something_differs(key: str) -> None:
    assert reason({**USER, key: "/another"}) == f"{key} is {USER[key]}"


def test_a_user_of_whom_all_differs() -> None:
    assert reason({**USER, "home": "/x", "shell": "/x", "comment": "x"}).count(" is ") == 3


# Services


def test_what_systemctl_shows_is_read_unit_by_unit() -> None:
    found = things.by_unit(SHOWN)
    assert list(found) == ["nginx.service", "shop.service", "none.service", "no\\x20such.service"]
    assert found["shop.service"]["NeedDaemonReload"] == "yes"
    assert found["none.service"]["UnitFileState"] == ""


@pytest.mark.parametrize("shown", ["", "System has not been booted with systemd as init system (PID 1). Can't operate.\n"])
def test_where_systemd_does_not_answer_no_unit_is_known(shown: str) -> None:
    assert things.by_unit(shown) == {}


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("nginx.service", ""),
        ("shop.service", "not running, not enabled"),
        ("none.service", "not running, not enabled"),
        ("unknown.service", "not running, not enabled"),
    ],
)
def test_a_service_has_to_run_and_to_be_enabled(unit: str, said: str) -> None:
    assert things.service_problem({"unit": unit}, things.by_unit(SHOWN)) == said


@pytest.mark.parametrize(
    ("active", "enabled", "said"),
    [
        ("active", "enabled", ""),
        ("reloading", "enabled", ""),
        ("activating", "enabled", ""),
        ("active", "static", ""),
        ("active", "enabled-runtime", ""),
        ("active", "disabled", "not enabled"),
        ("active", "masked", "not enabled"),
        ("failed", "enabled", "not running"),
        ("deactivating", "enabled", "not running"),
    ],
)
def test_states_of_a_service(active: str, enabled: str, said: str) -> None:
    known = {"shop.service": {"ActiveState": active, "UnitFileState": enabled}}
    assert things.service_problem({"unit": "shop.service"}, known) == said


@pytest.mark.parametrize(
    ("unit", "said"), [("shop.service", "changed on disk"), ("nginx.service", ""), ("none.service", ""), ("unknown.service", "")]
)
def test_a_unit_that_systemd_knows_otherwise_than_it_is_on_disk(unit: str, said: str) -> None:
    assert things.reload_problem({"unit": unit}, things.by_unit(SHOWN)) == said


def test_a_service_that_nobody_knows() -> None:
    """On this machine, whether systemd runs on it or not."""
    assert reason({"check": "service", "unit": "no-such-unit.service"}) == "not running, not enabled"
    assert reason({"check": "reload", "unit": "no-such-unit.service"}) == ""


# What nginx has loaded


@pytest.fixture
def loaded(tmp_path: Path, nginx: Path, monkeypatch: pytest.MonkeyPatch) -> Thing:
    """A configuration that nginx has loaded as it is on disk."""
    for module in (things, plugin("module_utils", "nginx")):
        monkeypatch.setattr(module, "NGINX", str(nginx))
    monkeypatch.setattr(things, "STATE_FILE", str(tmp_path / "nginx.loaded"))
    main = "pid /run/nginx.pid;\nevents {}\nhttp { include conf.d/*.conf; }\n"
    root = nginx_tree(tmp_path, {"nginx.conf": main, "conf.d/shop.conf": "# first\n"}, 1).parent
    (tmp_path / "nginx.loaded").write_text(plugin("module_utils", "nginx").loaded_digest(root))
    return {"check": "loaded", "path": str(root)}


def test_what_is_loaded(loaded: Thing) -> None:
    assert reason(loaded) == ""


def test_what_changed_after_it_was_loaded(loaded: Thing) -> None:
    """Also in a file that is included, and by somebody else, in whatever encoding."""
    (Path(loaded["path"]) / "conf.d/shop.conf").write_bytes(b"# f\xfcr alle\n")
    assert reason(loaded) == "not loaded"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", None])
def test_what_was_loaded_is_not_known(loaded: Thing, tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "nginx.loaded").unlink()
    if content is not None:
        (tmp_path / "nginx.loaded").write_bytes(content)
    assert reason(loaded) == "not loaded"


def test_what_nginx_refuses_to_load(loaded: Thing) -> None:
    (Path(loaded["path"]) / "conf.d/shop.conf").write_bytes(b"f\xfcr;\n")
    found = reason(loaded)
    assert found.startswith("refused: ")
    assert 'unknown directive "f\ufffdr"' in found


def test_a_host_without_nginx_has_nothing_to_load(loaded: Thing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(things, "NGINX", "/no/such/nginx")
    assert reason(loaded) == ""


# All of it


def test_nothing_is_wrong_with_nothing() -> None:
    assert things.differences([]) == []


def test_what_differs_keeps_the_order_of_the_things(tmp_path: Path) -> None:
    good = directory(tmp_path / "it")
    listed = [
        {"kind": "nginx", "name": "b", "check": "line", "path": str(tmp_path / "none"), "line": "b"},
        {"kind": "directory", "name": "it", **good},
        {"kind": "nginx", "name": "a", "check": "absent", "path": str(tmp_path)},
    ]
    assert things.differences(listed) == [
        {"kind": "nginx", "name": "b", "reason": "missing"},
        {"kind": "nginx", "name": "a", "reason": "exists"},
    ]


def test_the_module_can_look_at_each_thing_of_a_plan() -> None:
    """What the controller wants and what the module knows are written in two places."""
    apps = make_plan({"shop": {"source": "app", "command": "{python} app.py {port}"}})
    listed = [
        *wanted.base(["no-such-package"], "/no/such/root"),
        wanted.file("limits", "shop", {"path": "/no/such/file", "content": "text"}),
        *wanted.of_apps(apps),
        *wanted.nginx({"no/such.conf": "text"}, {"no/such/upstream.conf": "line"}, ["no/such/site.conf"]),
    ]
    found = {(difference["kind"], difference["name"]): difference["reason"] for difference in things.differences(listed)}
    assert found["package", "no-such-package"] == "not installed"
    assert found["directory", "/no/such/root"] == found["limits", "shop"] == found["nginx", "no/such.conf"] == "missing"
    assert found["user", "shop"] == "missing"
    assert ("nginx", "no/such/site.conf") not in found


def test_a_file_is_wanted_as_it_is_written(tmp_path: Path) -> None:
    """Text goes to the host as UTF-8."""
    path = tmp_path / "it"
    path.write_text("f\u00fcr alle\n", encoding="utf-8")
    path.chmod(0o644)
    assert reason({**wanted.file("limits", "shop", {"path": str(path), "content": "f\u00fcr alle\n"}), **OWN}) == ""
