"""nginx_config: nginx itself judges the whole before any file is touched."""

from __future__ import annotations

import http.client
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import plugin
from tests.unit.conftest import PATIENCE, nginx_tree, process, run_module, utils, wait_until

config = plugin("modules", "nginx_config")
own = plugin("module_utils", "nginx")

MAIN = """\
user www-data;
pid /run/nginx.pid;
worker_processes 1;
error_log /var/log/nginx/error.log;
events {}
http {
    access_log off;
    include mime.types;
    include conf.d/*.conf;
    include sites-enabled/*;
}
"""
SITE = "server { listen 80; return 200; }\n"


class Host:
    """A configuration tree with its nginx, which may run, and the files it shows to the module."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.root = nginx_tree(folder, {"nginx.conf": MAIN, "conf.d/site.conf": SITE}, port).parent
        self.state = folder / "state/nginx.loaded"

    def run(self, files: Mapping[str, str] | None = None, *, force: bool = True, **arguments: Any) -> dict[str, Any]:
        """Run the module."""
        given = [{"path": path, "content": text, "force": force} for path, text in (files or {}).items()]
        return run_module("nginx_config", files=given, root=str(self.root), state_file=str(self.state), tmpdir=self.folder, **arguments)

    def text(self, path: str) -> str | None:
        found: str | None = config.text(self.root / path)
        return found

    def tree(self) -> dict[str, bytes | str]:
        """All of it, to compare."""
        found: dict[str, bytes | str] = {}
        for path in self.root.rglob("*"):
            if path.is_symlink():
                found[str(path)] = os.readlink(path)
            elif path.is_file():
                found[str(path)] = path.read_bytes()
        return found


@pytest.fixture
def host(tmp_path: Path, nginx: Path, ports: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch) -> Host:
    """An nginx that does not run."""
    for module in (config, own):
        monkeypatch.setattr(module, "NGINX", str(nginx))
    monkeypatch.setattr(own, "PID_FILE", tmp_path / "nginx.pid")
    return Host(tmp_path, ports(1)[0])


def site(answer: int, port: int) -> str:
    return f"server {{ listen 127.0.0.1:{port}; return {answer}; }}\n"


# The copy that is judged


def copy(root: Path, wanted: dict[str, str | None], candidate: Path) -> dict[str, str]:
    """What the copy says, by path."""
    config.copy_with(root, wanted, candidate)
    return {path.relative_to(candidate).as_posix(): path.read_text() for path in candidate.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "nginx"
    for name in ("nginx.conf", "conf.d/old.conf", "sites-available/default"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_copy_is_the_present_with_the_wanted(root: Path, tmp_path: Path) -> None:
    wanted = {"conf.d/new.conf": "new", "nginx.conf": "changed", "conf.d/old.conf": None, "not/there.conf": None, "deep/er/x.conf": "x"}
    assert copy(root, wanted, tmp_path / "candidate") == {
        "nginx.conf": "changed",
        "conf.d/new.conf": "new",
        "deep/er/x.conf": "x",
        "sites-available/default": "sites-available/default",
    }
    assert (root / "nginx.conf").read_text() == "nginx.conf"
    assert (root / "conf.d/old.conf").exists()


def test_copy_of_nothing(tmp_path: Path) -> None:
    assert copy(tmp_path / "nowhere", {"nginx.conf": "x"}, tmp_path / "candidate") == {"nginx.conf": "x"}


@pytest.mark.parametrize("target", ["../sites-available/default", "{root}/sites-available/default"])
def test_copy_keeps_links_working(root: Path, tmp_path: Path, target: str) -> None:
    (root / "sites-enabled").mkdir()
    (root / "sites-enabled/default").symlink_to(target.format(root=root))
    found = copy(root, {}, tmp_path / "elsewhere/deep/candidate")
    assert found["sites-enabled/default"] == "sites-available/default"


def test_copy_keeps_links_that_lead_nowhere(root: Path, tmp_path: Path) -> None:
    """nginx has to see them, since it refuses them."""
    (root / "conf.d/lost.conf").symlink_to("gone.conf")
    copy(root, {}, tmp_path / "candidate")
    assert (tmp_path / "candidate/conf.d/lost.conf").is_symlink()


@pytest.mark.parametrize("target", ["{base}/managed", "../managed"])
def test_copy_writes_through_no_link(root: Path, tmp_path: Path, target: str) -> None:
    """Neither to a file nor into a directory that is somewhere else."""
    managed = tmp_path / "managed"
    managed.mkdir()
    for name in ("a.conf", "b.conf"):
        (managed / name).write_text("mine")
    (root / "sites-enabled").symlink_to(target.format(base=tmp_path))
    (root / "conf.d/a.conf").symlink_to(managed / "a.conf")
    wanted = {"sites-enabled/a.conf": "new", "sites-enabled/b.conf": None, "sites-enabled/c.conf": "new", "conf.d/a.conf": "new"}
    found = copy(root, wanted, tmp_path / "candidate")
    assert {path: text for path, text in found.items() if text == "new"} == dict.fromkeys(
        ("sites-enabled/a.conf", "sites-enabled/c.conf", "conf.d/a.conf"), "new"
    )
    assert {path.name: path.read_text() for path in managed.iterdir()} == {"a.conf": "mine", "b.conf": "mine"}


def test_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("ä\n", encoding="utf-8")
    assert config.text(tmp_path / "file") == "ä\n"
    assert config.text(tmp_path / "none") is None


# The module


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


def test_files_that_are_not_forced(host: Host) -> None:
    assert host.run({"conf.d/slot.conf": "# first\n"}, force=False)["changed"]
    assert not host.run({"conf.d/slot.conf": "# second\n"}, force=False)["changed"]
    assert host.text("conf.d/slot.conf") == "# first\n"


def test_without_nginx(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check mode tells what would be done; otherwise there is nothing to install for."""
    monkeypatch.setattr(config, "NGINX", str(host.folder / "none"))
    assert host.run({"conf.d/new.conf": "# new\n"}, check=True)["changed"]
    result = host.run({"conf.d/new.conf": "# new\n"})
    assert result["failed"]
    assert "install nginx first" in result["msg"]
    assert host.text("conf.d/new.conf") is None


def test_no_reload_for_what_is_loaded(host: Host, nginx: Path) -> None:
    """The recorded digest decides: the same workers go on."""
    assert host.run({"conf.d/new.conf": "# new\n"})["changed"]
    with process(nginx, "-e", "stderr", "-c", host.root / "nginx.conf", "-g", "daemon off;") as master:
        wait_until(lambda: own.master() == master.pid and utils("proc").children(master.pid), "nginx's workers")
        workers = utils("proc").children(master.pid)
        result = host.run({"conf.d/new.conf": "# new\n"})
        assert (result.get("failed", False), result["changed"], result["reloaded"]) == (False, False, False)
        assert utils("proc").children(master.pid) == workers


@pytest.fixture
def systemd(host: Host, nginx: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The same nginx, and it runs; in the place of systemd, which a test cannot have, a script that passes a reload on to it.

    The process id of its master.
    """
    monkeypatch.setattr(config, "HTTP", host.port)
    script = host.folder / "bin/systemctl"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\n[ "$*" = "reload nginx.service" ] && kill -HUP "$(cat {host.folder}/nginx.pid)"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    with process(nginx, "-e", "stderr", "-c", host.root / "nginx.conf", "-g", "daemon off;") as running:
        wait_until(lambda: own.master() == running.pid and utils("proc").children(running.pid), "nginx's workers")
        yield running.pid


def status(port: int) -> int:
    """What nginx answers."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().status


def test_reload(host: Host, systemd: int) -> None:
    """When it returns, the new configuration serves; also one that somebody else wrote, or an earlier run that was cut short."""
    assert status(host.port) == 200
    before = utils("proc").children(systemd)
    first = host.run({"conf.d/site.conf": site(204, host.port)}, closing=str(host.folder / "run/closing"))
    assert (first.get("failed", False), first["changed"], first["reloaded"]) == (False, True, True)
    assert set(utils("proc").children(systemd)) - set(before)
    wait_until(lambda: status(host.port) == 204, "the new configuration")
    (host.root / "conf.d/site.conf").write_text(site(205, host.port))
    second = host.run(closing=str(host.folder / "run/closing"))
    assert (second["changed"], second["reloaded"], second["diff"]) == (True, True, [])
    wait_until(lambda: status(host.port) == 205, "what somebody else wrote")
    assert not host.run(closing=str(host.folder / "run/closing"))["changed"]
    assert not (host.folder / "run/closing").exists()


def test_reload_waits_for_clients(host: Host, systemd: int) -> None:
    """Who has a connection is asked to close it, and until then the old workers stay."""
    asked, before = host.folder / "closing", utils("proc").children(systemd)
    seen: list[tuple[bool, list[int]]] = []

    def leave() -> None:
        wait_until(asked.exists, "the file that asks clients to close")
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        seen.append((connection.recv(1000).startswith(b"HTTP/1.1 200"), utils("proc").children(systemd)))
        connection.close()

    with socket.create_connection(("127.0.0.1", host.port), timeout=PATIENCE) as connection:
        wait_until(lambda: utils("proc").peers(host.port), "the connection")
        client = threading.Thread(target=leave)
        client.start()
        try:
            result = host.run({"conf.d/site.conf": site(204, host.port)}, closing=str(asked), keepalive_timeout=PATIENCE)
        finally:
            client.join()
    assert (result["reloaded"], seen) == (True, [(True, before)])
    assert result.get("failed", False) is False
    assert not asked.exists()


@pytest.mark.usefixtures("systemd")
def test_reload_waits_for_no_client_for_ever(host: Host) -> None:
    with socket.create_connection(("127.0.0.1", host.port), timeout=PATIENCE):
        wait_until(lambda: utils("proc").peers(host.port), "the connection")
        result = host.run({"conf.d/site.conf": site(204, host.port)}, closing=str(host.folder / "closing"), keepalive_timeout=0.2)
    assert result["reloaded"]


@pytest.mark.usefixtures("systemd")
def test_reload_that_fails(host: Host) -> None:
    """Clients are not asked to close for ever, and the next run tries again."""
    script = host.folder / "bin/systemctl"
    good = script.read_text()
    script.write_text("#!/bin/sh\necho no such unit >&2; exit 1\n")
    result = host.run({"conf.d/site.conf": site(204, host.port)}, closing=str(host.folder / "closing"))
    assert result["failed"]
    assert "no such unit" in result["msg"]
    assert not (host.folder / "closing").exists()
    script.write_text(good)
    assert host.run({"conf.d/site.conf": site(204, host.port)}, closing=str(host.folder / "closing"))["reloaded"]
    wait_until(lambda: status(host.port) == 204, "the new configuration")


def test_master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "PID_FILE", tmp_path / "nginx.pid")
    assert own.master() == 0
    with process(sys.executable, "-c", "pass") as short:
        short.wait()
    for text, pid in (("", 0), ("soon", 0), (f"{short.pid}\n", 0), (f"{os.getpid()}\n", os.getpid())):
        (tmp_path / "nginx.pid").write_text(text)
        assert own.master() == pid


# Files of others, in whatever encoding


def test_text_is_what_the_bytes_are(tmp_path: Path) -> None:
    """Also at the end of a line, which somebody's editor may have written as on Windows."""
    (tmp_path / "file").write_bytes(b"a\r\nb\xfc\n")
    assert os.fsencode(config.text(tmp_path / "file")) == b"a\r\nb\xfc\n"


def test_a_site_of_somebody_else_need_not_be_utf_8(host: Host) -> None:
    """nginx takes it: it is judged, loaded and left as it is."""
    other = host.root / os.fsdecode(b"conf.d/f\xfcr.conf")
    other.write_bytes(f"# {host.port}\n".encode() + b"# f\xfcr alle\n")
    result = host.run({"conf.d/new.conf": "# new\n"})
    assert (result.get("failed", False), result["changed"]) == (False, True)
    assert other.read_bytes().endswith(b"# f\xfcr alle\n")
    assert not host.run({"conf.d/new.conf": "# new\n"})["changed"]
    # What nginx has loaded is told apart by each byte of it.
    loaded = host.state.read_text()
    other.write_bytes(other.read_bytes().replace(b"\xfc", b"\xe4"))
    host.run()
    assert host.state.read_text() != loaded


@pytest.mark.parametrize("check", [False, True])
def test_a_file_that_is_not_utf_8_is_replaced_and_shown(host: Host, check: bool) -> None:
    before = SITE.replace("80", f"127.0.0.1:{host.port}").encode() + b"# f\xfcr alle\n"
    (host.root / "conf.d/site.conf").write_bytes(before)
    result = host.run({"conf.d/site.conf": site(204, host.port)}, check=check)
    assert (result.get("failed", False), result["changed"]) == (False, True)
    assert [diff["before"] for diff in result["diff"]] == [before.decode("utf-8", "replace")]
    assert (host.root / "conf.d/site.conf").read_bytes() == (before if check else site(204, host.port).encode())


def test_what_nginx_refuses_need_not_be_utf_8(host: Host) -> None:
    (host.root / "conf.d/other.conf").write_bytes(b"f\xfcr;\n")
    assert 'unknown directive "f\ufffdr"' in host.run({"conf.d/new.conf": "# new\n"})["msg"]
    assert 'unknown directive "f\ufffdr"' in host.run()["msg"]


def test_what_was_loaded_last_need_not_be_text(host: Host) -> None:
    assert host.run({"conf.d/new.conf": "# new\n"})["changed"]
    host.state.write_bytes(b"\xff\xfe")
    assert not host.run().get("failed")
    assert len(host.state.read_text()) == 64


# Server names that somebody else's site has too


def named(names: str, port: int, answer: int = 200) -> str:
    return f"server {{\n    listen 127.0.0.1:{port};\n    server_name {names};\n    return {answer};\n}}\n"


def install_shop(host: Host, names: str = "shop.test www.shop.test", **arguments: Any) -> dict[str, Any]:
    """Run the module with the site of the app shop."""
    given = [{"path": "conf.d/shop.conf", "content": named(names, host.port, 204), "app": "shop"}]
    return run_module("nginx_config", files=given, root=str(host.root), state_file=str(host.state), tmpdir=host.folder, **arguments)


def shared(host: Host, names: str, path: str) -> str:
    return f"tornado_apps.shop.server_names: {names} on this host is also in {host.root}/{path}, and nginx takes the first site of a name"


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("path", ["conf.d/00-old.conf", "conf.d/zz.conf", "sites-enabled/old"])
def test_a_name_of_an_app_that_another_site_has_is_refused(host: Host, path: str, check: bool) -> None:
    """Whichever of the two nginx would take; before anything changes."""
    (host.root / path).write_text(named("old.test SHOP.test", host.port))
    before = host.tree()
    result = install_shop(host, check=check)
    assert result["failed"]
    assert result["msg"].startswith(f"the present configuration of nginx stays in place: {shared(host, 'shop.test', path)}")
    assert host.tree() == before


def test_a_name_that_another_site_gets_after_the_deploy_is_refused_by_the_next_one(host: Host) -> None:
    assert not install_shop(host).get("failed")
    (host.root / "conf.d/00-old.conf").write_text(named("shop.test www.shop.test", host.port))
    for check in (False, True):
        assert shared(host, "shop.test, www.shop.test", "conf.d/00-old.conf") in install_shop(host, check=check)["msg"]
    (host.root / "conf.d/00-old.conf").unlink()
    assert not install_shop(host).get("failed")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("shop.test", ".shop.test"),
        ("*.shop.test", ".shop.test"),
        ("*.shop.test", "*.shop.test"),
        ("shop.test", '"shop.test"'),
        ("shop.test", "a.test\n        shop.test"),
    ],
)
def test_however_the_other_site_writes_the_name(host: Host, ours: str, theirs: str) -> None:
    for path in ("conf.d/00-old.conf", "conf.d/zz.conf"):
        (host.root / path).write_text(named(theirs, host.port))
        assert shared(host, ours, path) in install_shop(host, ours)["msg"]
        (host.root / path).unlink()


def test_the_file_is_that_of_the_site_not_one_that_only_mentions_the_name(host: Host, ports: Callable[[int], list[int]]) -> None:
    (host.root / "conf.d/00-old.conf").write_text(named("shop.test", host.port))
    (host.root / "conf.d/01-tls.conf").write_text(named("shop.test", ports(1)[0]))
    (host.root / "conf.d/02-words.conf").write_text("# server_name shop.test;\n")
    assert shared(host, "shop.test", "conf.d/00-old.conf") in install_shop(host, "shop.test")["msg"]


def test_a_name_that_the_module_does_not_find_is_refused_all_the_same(host: Host) -> None:
    """nginx warns of what it reads; that the module takes it for a comment costs no more than the name of the file."""
    site = f'server {{ listen 127.0.0.1:{host.port}; add_header X "a #b"; server_name shop.test; return 200; }}\n'
    (host.root / "conf.d/00-old.conf").write_text(site)
    assert "server_names: shop.test on this host is also in another file, and" in install_shop(host)["msg"]


def test_what_sites_of_others_do_to_each_other_is_their_own_business(host: Host, ports: Callable[[int], list[int]]) -> None:
    """So is a site that has the name on another address, like one for TLS, and what a name of an app does not name."""
    (tls,) = ports(1)
    for number in range(2):
        (host.root / f"conf.d/{number}.conf").write_text(named("old.test", host.port) + named("shop.test", tls))
    (host.root / "sites-enabled/other").write_text(named("*.test ~^sh deep.shop.test", host.port))
    assert not install_shop(host).get("failed")
    assert not install_shop(host).get("failed")


def test_only_the_names_of_apps_are_theirs(host: Host) -> None:
    """A file of another kind, such as an upstream, is not asked for its names: a rollback goes on."""
    assert not install_shop(host).get("failed")
    (host.root / "conf.d/00-old.conf").write_text(named("shop.test", host.port))
    assert not host.run({"conf.d/new.conf": "# new\n"}).get("failed")


def test_a_site_that_leaves_in_the_same_step_is_in_nobodys_way(host: Host) -> None:
    (host.root / "conf.d/00-old.conf").write_text(named("shop.test", host.port))
    assert not install_shop(host, absent=["conf.d/00-old.conf"]).get("failed")


def test_sites_of_apps_are_judged_each_by_its_own_names(host: Host) -> None:
    (host.root / "conf.d/00-old.conf").write_text(named("api.test", host.port))
    (host.root / "conf.d/01-old.conf").write_text(named("shop.test", host.port))
    given = [{"path": f"conf.d/{app}.conf", "content": named(f"{app}.test", host.port), "app": app} for app in ("shop", "api")]
    result = run_module("nginx_config", files=given, root=str(host.root), state_file=str(host.state), tmpdir=host.folder)
    assert "tornado_apps.shop.server_names: shop.test on this host is also in" in result["msg"]
    assert "tornado_apps.api.server_names: api.test on this host is also in" in result["msg"]
