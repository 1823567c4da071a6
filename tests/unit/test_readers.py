"""Who can read what of an app: itself its own, nginx what it serves and the flag, others no more than nginx gives to anybody."""

from __future__ import annotations

import http.client
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import files
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import fleet_changes
from tests.unit.artifacts import build, write
from tests.unit.builders import PLAN, SHOP, SHOP_PLAN, A, host, release, state
from tests.unit.conftest import PATIENCE, PYTHON, listens, make_plan, process, relocated, render, run_module, wait_until
from tests.unit.nginx_trees import nginx_tree
from tests.unit.rendering import nginx_files
from tests.unit.test_action_files import RUN, look, slot_files

OWN = ("/srv/shop", "/etc/shop", "/run/shop", "/var/log/shop", "/var/log/nginx/shop.")
PASSED = {"/srv/shop", "/srv/shop/assets", "/srv/shop/live", "/srv/shop/releases", "/srv/shop/slots"}  # by nginx

# The plan


@cache
def own_modes() -> dict[str, int]:
    """Path -> mode, of all directories and files of shop's own that the role makes."""
    (changes,) = fleet_changes([host(state(), {"shop": release(A)}, ("shop",))], "deploy", RUN).values()
    written = [*slot_files(changes=changes["changes"], plan=PLAN).arguments["files"], *files.release_records(PLAN, {"shop": release(A)})]
    listed = [*look(state()).arguments["things"], *SHOP_PLAN["runtime_directories"], *written]
    found = {entry["path"]: entry.get("mode", "0644") for entry in listed if "path" in entry and entry.get("state") != "link"}
    found |= {thing["path"]: "0640" for thing in listed if thing.get("check") == "private"}
    return {path: int(mode, 8) for path, mode in found.items() if path.startswith(OWN)}


def test_nothing_of_an_app_is_for_others_to_read_or_write() -> None:
    found = own_modes()
    assert {*(entry["path"] for entry in SHOP_PLAN["directories"]), SHOP_PLAN["config"], SHOP_PLAN["access_log"]} < set(found)
    assert {path for path, mode in found.items() if mode & 0o006} == set()
    assert {path for path, mode in found.items() if mode & 0o001} == PASSED


def test_nothing_of_an_app_is_for_its_group_to_write_but_its_own() -> None:
    assert {path for path, mode in own_modes().items() if mode & 0o020} == set()


def test_what_systemd_and_supervisord_make_for_an_app_is_not_for_others_either() -> None:
    unit = render("app.service.j2", {"app": SHOP_PLAN})
    for line in ("RuntimeDirectoryMode=0751", "LogsDirectoryMode=0750", "UMask=0027"):
        assert f"{line}\n" in unit
    assert "umask = 027\n" in render("supervisord.conf.j2", {"app": SHOP_PLAN})


# The disk

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs other users")
APP, OTHER = ("games", 5, 60), ("nobody", 65534, 65534)  # user, its id, its group's id
READ = """
import os, sys
for path in sys.stdin.read().split("\\0"):
    try:
        os.listdir(path) if os.path.isdir(path) else open(path).close()
    except PermissionError:
        continue
    print(path)
"""


class Installed:
    """An app whose files are as the role makes them, below a directory that everybody can pass; green is live."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.app = relocated(make_plan({"shop": {**SHOP, "server_names": ["shop.test"]}}), root)["shop"]
        self.lock = root / "run/tornado_app/lock"
        run_module("run_lock", path=str(self.lock), run="r-ana")
        for own in self.app["directories"]:
            self.directory(**own)
        self.release = Path(self.app["releases"]) / A
        self.unpack()
        environment = write(Path(self.app["environments"]), {"e/bin/python": "p"})
        slot, wanted = self.app["slots"]["green"], release(A)
        self.private = [
            files.history(slot, {"sequence": 1, "releases": []}),
            *files.release_records({"shop": self.app}, {"shop": wanted}),
            files.cookie(self.app, "c00kie"),
        ]
        own = files.own_files(self.app, slot, wanted, "", "true", {})
        listed = [files.link(slot, wanted), *self.private, *({**file, "group": APP[0]} for file in own)]
        self.run("install_files", files=listed)
        Path(self.app["flag"]).touch()
        self.apps = {*self.below(self.release), *self.below(environment), *(file["path"] for file in own)}

    def directory(self, path: str, owner: str, group: str, mode: str) -> None:
        """A directory of the plan."""
        Path(path).mkdir(parents=True, exist_ok=True)
        os.chown(path, APP[1] if owner == "shop" else 0, APP[2] if group == "shop" else 0)
        os.chmod(path, int(mode, 8))

    def unpack(self) -> None:
        """A release, as tasks/install.yml installs it."""
        texts = ("app.py", "settings.ini", "icons/logo.svg", "static/app.css", "static/deep/x.css", "templates/index.html")
        source = write(self.root / "source", dict.fromkeys(texts, "text\n"))
        (source / "static/logo.svg").symlink_to("../icons/logo.svg")
        archive = build(source, self.root / "cache")["path"]
        self.release.mkdir(mode=0o700)
        subprocess.run(["tar", "--extract", "--file", archive, "--directory", self.release], check=True)
        self.run("release_modes", paths=[str(self.release)], group=APP[0], static=self.app["static"])

    def run(self, module: str, **arguments: Any) -> None:
        """Run a module of the role under the lock."""
        assert "msg" not in run_module(module, run="r-ana", lock=str(self.lock), **arguments)

    @staticmethod
    def below(path: Path) -> set[str]:
        """A directory and all that is below it."""
        return {str(path), *map(str, path.rglob("*"))}

    def everything(self) -> set[str]:
        """All that is there of the app, links aside."""
        found = self.below(Path(self.app["home"])) | self.below(Path(self.app["etc"]))
        return {path for path in found if not os.path.islink(path)}

    def readable(self, user: tuple[str, int, int], paths: Iterable[str]) -> set[str]:
        """Those of the paths that a user can read, or list."""
        command = [PYTHON, "-I", "-S", "-c", READ]
        options: dict[str, Any] = {"user": user[1], "group": user[2], "extra_groups": [], "cwd": "/", "text": True}
        return set(subprocess.run(command, input="\0".join(paths), capture_output=True, check=True, **options).stdout.splitlines())


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Installed(Path(folder))


@ROOT_ONLY
def test_other_apps_read_what_nginx_gives_to_anybody_and_list_nothing(installed: Installed) -> None:
    served = {f"{installed.release}/{path}" for path in ("static/app.css", "static/deep/x.css", "icons/logo.svg")}
    assert installed.readable(OTHER, installed.everything()) == {*served, installed.app["flag"]}
    by_slot = f"{installed.app['slots']['green']['cwd']}/"
    assert installed.readable(OTHER, [f"{by_slot}app.py", f"{by_slot}static/app.css"]) == {f"{by_slot}static/app.css"}


@ROOT_ONLY
def test_the_app_reads_its_release_its_environment_and_its_slots_files(installed: Installed) -> None:
    found = installed.readable(APP, installed.everything())
    assert found >= {path for path in installed.apps if not os.path.islink(path)}
    assert not found & {file["path"] for file in installed.private}


@ROOT_ONLY
def test_nginx_serves_static_files_and_sees_the_flag(installed: Installed, nginx: Path, ports: Callable[[int], list[int]]) -> None:
    """Its workers are www-data's."""
    (port,) = ports(1)
    app = {**installed.app, "access_log": SHOP_PLAN["access_log"]}  # nginx_tree puts it below root
    config = nginx_tree(installed.root, nginx_files({"shop": app}, ipv6=False), port)
    config.write_text(config.read_text().replace("user root;", "user www-data;"))
    log = installed.root / "shop.access.log"
    log.touch(0o640)

    def ask(path: str) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            connection.request("GET", path, headers={"Host": "shop.test"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    with ExitStack() as stack:
        stack.enter_context(process(nginx, "-e", "stderr", "-c", config, "-g", "daemon off;"))
        wait_until(partial(listens, port), "nginx")
        assert ask("/.tornado_app/slot") == (200, b"green")
        for path in ("app.css", "deep/x.css", "logo.svg"):
            assert ask(f"/static/{path}") == (200, b"text\n")
        wait_until(lambda: log.read_text().count("\n") >= 4, "the access log")
    assert log.stat().st_mode & 0o777 == 0o640
