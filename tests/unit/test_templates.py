"""Every template, rendered from the real plan, judged by the program that will read it, and for nginx tried with requests."""

from __future__ import annotations

import asyncio
import configparser
import gzip
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.unit.loading import ROLE
from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Apps
from ansible_collections.tornado_app.deploy.plugins.modules.watch_errors import Log
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.files import sites
from tests.unit.conftest import (
    PATIENCE,
    facts,
    held_ports,
    listens,
    make_plan,
    nginx_test,
    nginx_tree,
    process,
    relocated,
    render,
    run_module,
    utils,
    wait_until,
)

Plan = Mapping[str, Mapping[str, Any]]

LONG = "a-name-as-long-as-those-that-clouds-give-to-machines.eu-central-1.compute.internal"
SHOP = {
    "source": "files/app",
    "command": "{python} app.py --port={port}",
    "server_names": ["shop.example.com", "*.shop.example.com", "192.0.2.1", "[2001:db8::1]", LONG, "shop.example.com"],
    "client_max_body_size": "64k",
}
API = {"source": "files/api", "command": "{python} -m api {port}", "server_names": ["api.example.com"], "port": 12000, "static": ""}
SHAPES: dict[str, dict[str, Any]] = {
    "one process": {"processes": 1},
    "64 processes": {"processes": 64},
    "without static files": {"processes": 2, "static": ""},
    "static files deep inside": {"processes": 2, "static": "web/public"},
    "a long name": {"processes": 2, "name": "a" + "b-_1" * 7 + "cde"},
}


@pytest.fixture(params=SHAPES, scope="module")
def plan(request: pytest.FixtureRequest) -> Plan:
    """Plans of two apps each."""
    shape = dict(SHAPES[request.param])
    return make_plan({shape.pop("name", "shop"): {**SHOP, **shape}, "api": {**API, "processes": shape["processes"]}}, nofile=65536)


def nginx_files(plan: Plan, *, cpus: int = 1, ipv6: bool = True) -> dict[str, str]:
    """The files of nginx by path, as the actions nginx_files and slot_files write them."""
    common = {"ansible_facts": facts(cpus, ipv6)}
    files = {
        "nginx.conf": render("nginx.conf.j2", common),
        "conf.d/tornado_app.conf": render("nginx_default.conf.j2", common),
    }
    for apps in sites(cast(Apps, plan)):
        files[apps[0]["site_config"]] = render("nginx_site.conf.j2", {**common, "apps": apps})
    for app in plan.values():
        for slot in app["slots"].values():
            files[slot["upstream_config"]] = render("nginx_upstream.conf.j2", {**common, "slot": slot})
    return files


def supervisord_files(app: Mapping[str, Any], workers: Mapping[str, int] | None = None) -> dict[str, str]:
    """The files of an app's supervisord by path."""
    slots = app["slots"].values()
    return {
        app["config"]: render("supervisord.conf.j2", {"app": app}),
        **{
            slot["config"]: render("slot.conf.j2", {"app": app, "slot": {**slot, "workers": workers or {}}, "log_max_bytes": 7_000_000})
            for slot in slots
        },
    }


WORKERS = {"worker": 2, "clock": 1}


def sections(text: str) -> configparser.RawConfigParser:
    """An INI file, with nothing expanded."""
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment]  # the documented way to keep the case of keys
    parser.read_string(text)
    return parser


def directives(text: str) -> list[str]:
    """nginx's simple directives, without comments and with single spaces."""
    bare = re.sub(r"#.*", "", text)
    return [" ".join(part.split()) for part in re.findall(r"[^;{}]+;", bare)]


def test_each_template_has_its_test() -> None:
    """A new template belongs into one of the functions here, which every parser below goes through."""
    tested = {"nginx.conf", "nginx_default.conf", "nginx_site.conf", "nginx_upstream.conf"}
    tested |= {"supervisord.conf", "slot.conf", "app.service", "limits.conf"}
    assert {path.name for path in (ROLE / "templates").glob("*.j2")} == {f"{name}.j2" for name in tested}


def test_each_part_is_included() -> None:
    """And so goes through the parsers with the template that includes it."""
    folder = ROLE / "templates"
    parts = {str(path.relative_to(folder)) for path in folder.glob("*/**/*") if path.is_file()}
    included = {part for path in folder.glob("*.j2") for part in re.findall(r"{% include '([^']+)' %}", path.read_text())}
    assert parts == included


# limits.conf, the unit


def test_limits(plan: Plan) -> None:
    for name, app in plan.items():
        lines = [line.split() for line in render("limits.conf.j2", {"app": app}).splitlines() if not line.startswith("#")]
        assert lines == [[name, "soft", "nofile", "65536"], [name, "hard", "nofile", "65536"]]


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
            "ReadWritePaths": app["shared"],
        }
        assert service | expected == service
        assert int(service["TimeoutStopSec"]) > app["stop_timeout"]
        assert "ExecReload" not in service
        assert unit["Install"]["WantedBy"] == "multi-user.target"


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


# supervisord


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
            assert program["command"].split()[-2:] == [slot["record"], "%(process_num)d"]
            assert program["directory"] == slot["cwd"]
            assert (program["stopsignal"], int(program["stopwaitsecs"])) == ("TERM", app["stop_timeout"])
            assert program["killasgroup"] == "true"
            assert program["stdout_logfile"] == f"{app['logs']}/%(process_num)d.log"
            assert (program["stdout_logfile_maxbytes"], program["stdout_logfile_backups"]) == ("7000000", "1")


def test_workers_are_of_the_slots_own_group(plan: Plan) -> None:
    for app in plan.values():
        for slot in app["slots"].values():
            group = slot["group"]
            parser = sections(supervisord_files(app, WORKERS)[slot["config"]])
            assert parser[f"group:{group}"]["programs"].split(",") == [group, f"{group}-worker", f"{group}-clock"]
            worker = parser[f"program:{group}-worker"]
            assert (worker["numprocs"], worker["numprocs_start"], worker["process_name"]) == ("2", "1", "worker.%(process_num)d")
            assert worker["command"].split()[-2:] == [slot["record"], "worker.%(process_num)d"]
            assert worker["stdout_logfile"] == f"{app['logs']}/{slot['name']}.worker.%(process_num)d.log"
            assert sections(supervisord_files(app)[slot["config"]]).sections() == [f"program:{group}"]


def test_what_goes_to_the_journal_goes_to_no_file(plan: Plan) -> None:
    for app in plan.values():
        for slot in app["slots"].values():
            parser = sections(supervisord_files({**app, "journal": True}, WORKERS)[slot["config"]])
            for name in (slot["group"], f"{slot['group']}-worker"):
                program = parser[f"program:{name}"]
                assert (program["stdout_logfile"], program["stderr_logfile"]) == ("NONE", "NONE")


def test_main_file_of_supervisord(plan: Plan) -> None:
    for app in plan.values():
        parser = sections(supervisord_files(app)[app["config"]])
        assert parser["unix_http_server"]["file"] == app["socket"]
        assert parser["unix_http_server"]["chmod"] == "0700"
        assert parser["supervisord"]["minfds"] == "65536"
        assert parser["supervisord"]["nodaemon"] == "true"
        assert "inet_http_server" not in parser
        assert {Path(slot["config"]).parent for slot in app["slots"].values()} == {Path(parser["include"]["files"]).parent}


# nginx: what its parser says


@pytest.mark.parametrize("ipv6", [True, False])
def test_nginx_takes_its_files(
    plan: Plan, tmp_path: Path, nginx: Path, has_ipv6: bool, ipv6: bool, ports: Callable[[int], list[int]]
) -> None:
    if ipv6 and not has_ipv6:
        pytest.skip("no IPv6 here")
    config = nginx_tree(tmp_path, nginx_files(plan, ipv6=ipv6), ports(1)[0])
    passed, words = nginx_test(nginx, config)
    assert passed, words
    # Whoever is not root hears that `user` has no effect.
    assert not [line for line in words.splitlines() if "[warn]" in line and 'the "user" directive makes sense only' not in line]


def test_nginx_refuses_what_is_wrong(plan: Plan, tmp_path: Path, nginx: Path, ports: Callable[[int], list[int]]) -> None:
    """The judge above does look into each of the files."""
    files = nginx_files(plan, ipv6=False)
    for path, text in files.items():
        config = nginx_tree(tmp_path, {**files, path: f"{text}\nnonsense;\n"}, ports(1)[0])
        passed, words = nginx_test(nginx, config)
        assert not passed
        assert 'unknown directive "nonsense"' in words
        assert path in words


def test_upstreams(plan: Plan) -> None:
    files = nginx_files(plan)
    for app in plan.values():
        for slot in app["slots"].values():
            text = files[slot["upstream_config"]]
            (name,) = re.findall(r"upstream (\S+) \{", text)
            assert name == slot["upstream"] == f"{app['name']}_{slot['name']}"
            found = directives(text.split("{", 1)[1])
            assert [line for line in found if line.startswith("server ")] == [
                f"server 127.0.0.1:{port} max_fails=0;" for port in slot["ports"]
            ]
            assert {"least_conn;", f"zone {name} 256k;", "keepalive_timeout 2s;"} <= set(found)


def test_sites(plan: Plan) -> None:
    files = nginx_files(plan)
    for app in plan.values():
        text = files[app["site_config"]]
        found = directives(text)
        names = list(dict.fromkeys(app["server_names"]))
        assert f"server_name {' '.join(names)};" in found
        assert "proxy_next_upstream error;" in found
        assert "open_file_cache off;" in found
        assert f"client_max_body_size {app['client_max_body_size']};" in found
        assert f"proxy_read_timeout {app['proxy_read_timeout']}s;" in found
        assert f"if (-e {app['flag']})" in text
        assert f"access_log {app['access_log']} tornado_app_{app['name']};" in found
        assert set(re.findall(r"proxy_pass (\S+);", text)) == {f"http://{app['name']}_${app['variable']}"}
        assert {f"{app['name']}_{slot}" for slot in ("blue", "green")} == {slot["upstream"] for slot in app["slots"].values()}
        if app["static"]:
            assert f"alias {app['home']}/slots/${app['variable']}/{app['static']}/;" in found
            assert "expires $tornado_app_expires;" in found
        else:
            assert "static" not in text


@pytest.mark.parametrize("ipv6", [True, False])
def test_listening_addresses(plan: Plan, ipv6: bool) -> None:
    files = nginx_files(plan, ipv6=ipv6)
    default = [line for line in directives(files["conf.d/tornado_app.conf"]) if "listen" in line]
    assert [line.split("listen ")[1] for line in default] == ["80 default_server;", *(["[::]:80 default_server;"] if ipv6 else [])]
    for app in plan.values():
        text = files[app["site_config"]]
        assert re.findall(r"listen (.*);", text) == ["80", *(["[::]:80"] if ipv6 else [])]


def test_shared_site(plan: Plan) -> None:
    text = nginx_files(plan)["conf.d/tornado_app.conf"]
    assert "return 444;" in directives(text)
    maps = {
        name: dict(re.findall(r"^\s+(default|\"\")\s+(\S+);", body, re.MULTILINE))
        for name, body in re.findall(r"map (\S+ \S+) \{(.*?)\n\}", text, re.DOTALL)
    }
    assert maps == {
        "$http_upgrade $tornado_app_connection": {"default": "upgrade", '""': '""'},
        "$arg_v $tornado_app_expires": {"default": "max", '""': "-1"},
    }


@pytest.mark.parametrize("cpus", [1, 64])
def test_main_file_of_nginx(cpus: int) -> None:
    variables = {"ansible_facts": facts(cpus), "tornado_app_nofile": 65537}
    found = directives(render("nginx.conf.j2", variables))
    assert {f"worker_processes {cpus};", "worker_rlimit_nofile 65537;", "worker_shutdown_timeout 1h;", "server_tokens off;"} <= set(found)
    (connections,) = (line for line in found if "worker_connections" in line)
    assert "worker_connections 32768;" in connections
    assert next(line for line in found if line.startswith("include conf.d")) == "include conf.d/*.conf;"
    (types,) = (line.split()[1:] for line in found if line.startswith("gzip_types"))
    assert {"text/css", "application/javascript", "text/javascript", "application/json", "image/svg+xml"} <= {
        kind.rstrip(";") for kind in types
    }
    # A relative path is what a copy of the tree can be judged by.
    assert not [line for line in found if line.startswith("include /")]


# nginx: what a client sees

PROGRAM = """
import json, logging, sys
from tornado import ioloop, web, websocket

class Tell(web.RequestHandler):
    async def answer(self, status=200):
        request = self.request
        self.set_status(status)
        self.set_header("Content-Type", self.get_argument("type", "application/json"))
        await self.finish(json.dumps({
            "port": int(sys.argv[1]),
            "peer": request.connection.context.address[1],
            "method": request.method,
            "uri": request.uri,
            "headers": dict(request.headers.get_all()),
            "size": len(request.body),
            "padding": " " * int(self.get_argument("padding", "0")),
        }))

    async def get(self):
        status = int(self.get_argument("status", "200"))
        if status == 302:
            self.redirect("http://elsewhere.example.com/there")
        else:
            await self.answer(status)

    async def post(self):
        await self.answer()

class Echo(websocket.WebSocketHandler):
    async def on_message(self, message):
        await self.write_message(f"{sys.argv[1]} {message}")

logging.getLogger("tornado.access").disabled = True
web.Application([("/ws", Echo), (".*", Tell)]).listen(int(sys.argv[1]), "127.0.0.1")
ioloop.IOLoop.current().start()
"""


class Site:
    """A running nginx with the files of two apps, a Tornado process for each port of theirs but one, and a client."""

    def __init__(self, root: Path, nginx: Path, stack: ExitStack) -> None:
        held = stack.enter_context(held_ports(13))
        self.port = held[12]
        apps = {
            "shop": {**SHOP, "port": held[0], "processes": 2},
            "api": {**API, "port": held[4], "processes": 2, "client_max_body_size": "1m"},
            "admin-2": {**SHOP, "path": "/admin/v2.0/", "port": held[8], "processes": 1},
        }
        # Shop has the first four; of api's, one runs and its neighbour does not.
        running = [*held[:5], held[8]]
        planned = make_plan(apps, stride=2)
        logs = {name: {"access_log": app["access_log"]} for name, app in planned.items()}  # nginx_tree puts them below root
        self.plan = {name: {**app, **logs[name]} for name, app in relocated(planned, root).items()}
        self.logs = {name: root / f"{name}.access.log" for name in planned}
        self.asked = 0
        self.shop = self.plan["shop"]
        self.api, self.gone = self.plan["api"]["slots"]["blue"]["ports"]
        self.program = root / "program.py"
        self.program.write_text(PROGRAM)
        for port in running:
            stack.enter_context(process(sys.executable, self.program, str(port)))
        for slot, text in (("blue", "a { color: blue }\n"), ("green", "a { color: green }\n")):
            static = Path(self.shop["slots"][slot]["cwd"]) / "static"
            static.mkdir(parents=True)
            files = {"app.css": text, "a b.css": text, "robots.txt": slot, "large.css": text * 100, "deep/x.css": text}
            for name, content in files.items():
                (static / name).parent.mkdir(exist_ok=True)
                (static / name).write_text(content)
        self.admin = held[8]
        static = Path(self.plan["admin-2"]["slots"]["blue"]["cwd"]) / "static"
        static.mkdir(parents=True)
        (static / "app.css").write_text("a { color: admin }\n")
        self.closing = root / "closing"
        self.flag = Path(self.shop["flag"])
        self.flag.parent.mkdir()
        config = nginx_tree(root, nginx_files(self.plan, ipv6=False), self.port)
        master = stack.enter_context(process(nginx, "-e", "stderr", "-c", config, "-g", "daemon off;"))
        for port in (*running, self.port):
            wait_until(partial(listens, port), f"port {port}")
        assert master.poll() is None
        self.master = master.pid

    def ask(
        self, path: str = "/", method: str = "GET", host: str = "shop.example.com", body: bytes | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request on a connection of its own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            named = {key.replace("_", "-"): value for key, value in headers.items()}
            connection.request(method, path, body=body, headers={"Host": host, **named})
            answer = connection.getresponse()
            return answer, answer.read()

    def tell(self, path: str = "/", **arguments: Any) -> dict[str, Any]:
        """What the process that got the request tells of it."""
        answer, body = self.ask(path, **arguments)
        assert answer.status == 200
        found: dict[str, Any] = json.loads(body)
        return found

    def unique(self, path: str) -> str:
        """The path with a query by which its log line can be found."""
        self.asked += 1
        return f"{path}{'&' if '?' in path else '?'}asked={self.asked}"

    def logged(self, path: str, app: str = "shop") -> dict[str, Any]:
        """The line of the app's log that tells of the only request to this path; each line is judged. nginx answers first."""

        def entries() -> list[dict[str, Any]]:
            *lines, _ = self.logs[app].read_bytes().split(b"\n")  # after the last newline there may be half a line
            return [entry for line in lines if (entry := json.loads(line.decode(errors="replace")))["uri"] == path]

        (found,) = wait_until(entries, f"{path} in the log")
        return dict(found)

    @contextmanager
    def green(self) -> Iterator[None]:
        """The other slot is live meanwhile."""
        self.flag.touch()
        try:
            yield
        finally:
            self.flag.unlink()

    @contextmanager
    def near_reload(self) -> Iterator[None]:
        """Clients are asked to close meanwhile."""
        self.closing.touch()
        try:
            yield
        finally:
            self.closing.unlink()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nginx: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path_factory.mktemp("site"), nginx, stack)


def test_flag_switches_each_request(site: Site) -> None:
    """Also on a connection that was open before; nothing is reloaded."""
    blue, green = (set(site.shop["slots"][slot]["ports"]) for slot in ("blue", "green"))
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)) as connection:

        def port() -> int:
            connection.request("GET", "/", headers={"Host": "shop.example.com"})
            answered: int = json.loads(connection.getresponse().read())["port"]
            return answered

        port()
        opened = connection.sock
        for _ in range(10):
            assert port() in blue
            with site.green():
                assert port() in green
        assert connection.sock is opened


def test_flag_switches_static_files(site: Site) -> None:
    for path in ("/static/app.css", "/static/app.css?v=1", "/robots.txt"):
        assert b"blue" in site.ask(path)[1]
        with site.green():
            assert b"green" in site.ask(path)[1]
        assert b"blue" in site.ask(path)[1]


def test_the_site_names_the_slot_that_gets_requests(site: Site) -> None:
    def said(name: str) -> Any:
        slot = site.shop["slots"][name]
        return run_module("probe_nginx", port=site.port, slots=[slot], static_files={"shop": "a b.css"})

    assert [(answer["slot"], answer["error"]) for answer in said("blue")["answers"]] == [("blue", ""), ("", ""), ("", "")]
    assert "the slot blue instead of green" in said("green")["msg"]
    with site.green():
        assert [answer["error"] for answer in said("green")["answers"]] == ["", "", ""]


def essence(body: bytes) -> object:
    """What an answer says, but for the process that gave it."""
    if not body.startswith(b"{"):
        return body
    told = json.loads(body)
    return told["method"], told["uri"], told["size"], told["headers"].get("X-Real-Ip")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/a%2fb?c=d"),
        ("POST", "/"),
        ("GET", "/static/app.css?v=1"),
        ("GET", "/static/app.css"),
        ("GET", "/static/deep/x.css?v=1"),
        ("GET", "/static/the-apps-own.css"),
    ],
)
def test_before_a_reload_clients_are_asked_to_close(site: Site, method: str, path: str) -> None:
    """Every answer says so, and is the same otherwise."""
    sent = b"x" * 1000 if method == "POST" else None
    usual, body = site.ask(path, method, body=sent)
    with site.near_reload():
        last, last_body = site.ask(path, method, body=sent)
    assert (usual.headers["Connection"], last.headers["Connection"]) == ("keep-alive", "close")
    assert essence(last_body) == essence(body)
    for header in ("Cache-Control", "Content-Type", "Content-Length"):
        assert last.headers[header] == usual.headers[header]
    assert last.status == usual.status == 200


def test_before_a_reload_all_else_goes_on(site: Site) -> None:
    """Statuses of the app pass, bodies have their limit, names with spaces are found, and the flag switches."""
    with site.near_reload():
        for status in (404, 418, 503):
            assert site.ask(f"/?status={status}")[0].status == status
        assert site.ask("/", "POST", body=bytes(64 * 1024 + 1))[0].status == 413
        assert site.ask("/static/a%20b.css?v=1")[1] == b"a { color: blue }\n"
        with site.green():
            assert site.tell()["port"] in site.shop["slots"]["green"]["ports"]
            assert site.ask("/static/app.css")[1] == b"a { color: green }\n"


def test_drained_slot_has_no_connection(site: Site) -> None:
    """nginx itself closes what it kept open to the slot that is not live any more."""
    blue = site.shop["slots"]["blue"]["ports"]
    for _ in range(4):
        site.tell()

    def drained(timeout: int) -> bool:
        (shop,) = run_module("wait_for_drain", slots=[{**site.shop["slots"]["blue"], "drain": {"timeout": timeout}}])["apps"]
        return bool(shop["drained"])

    assert not drained(0)
    with site.green():
        assert drained(int(PATIENCE))
        assert site.tell()["port"] not in blue


def test_a_slow_upload_belongs_to_the_slot_that_was_live_as_it_began(site: Site) -> None:
    """It is seen by the drain from its first byte on, so nobody stops the process that will answer it."""
    blue = site.shop["slots"]["blue"]["ports"]
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)) as client:
        client.putrequest("POST", "/", skip_host=True)
        client.putheader("Host", "shop.example.com")
        client.putheader("Content-Length", "2")
        client.endheaders(b"a")
        wait_until(lambda: sum(utils("proc").connections([f"127.0.0.1:{port}" for port in blue]).values()), "the upload's connection")
        with site.green():
            assert site.tell()["port"] not in blue
            client.send(b"b")
            assert json.loads(client.getresponse().read())["port"] in blue


def test_a_process_that_is_gone_costs_no_request(site: Site) -> None:
    """Its neighbour gets them, and it has its share again as soon as it is back."""
    for _ in range(10):
        assert site.tell(host="api.example.com")["port"] == site.api
        assert site.tell(host="api.example.com", method="POST", body=b"x")["port"] == site.api
    with process(sys.executable, site.program, str(site.gone)):
        wait_until(lambda: listens(site.gone), "the process that is back")
        assert {site.tell(host="api.example.com")["port"] for _ in range(4)} == {site.api, site.gone}
    assert {site.tell(host="api.example.com")["port"] for _ in range(4)} == {site.api}


def test_each_process_gets_requests(site: Site) -> None:
    assert {site.tell()["port"] for _ in range(20)} == set(site.shop["slots"]["blue"]["ports"])


def test_apps_by_host(site: Site) -> None:
    assert site.tell(host="api.example.com")["port"] == site.api
    for host in (
        "shop.example.com",
        "SHOP.example.com",
        "www.shop.example.com",
        "192.0.2.1",
        "[2001:db8::1]",
        "shop.example.com:8080",
        LONG,
    ):
        assert site.tell(host=host)["port"] in site.shop["slots"]["blue"]["ports"]


@pytest.mark.parametrize("host", ["other.example.com", "127.0.0.1", "example.com"])
def test_unknown_host_gets_no_answer(site: Site, host: str) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert connection.recv(1000) == b""


def test_what_the_app_learns_of_the_client(site: Site) -> None:
    """What the client says of itself is not believed, but in X-Forwarded-For it can be read."""
    found = site.tell(host="shop.example.com:8080", X_Real_IP="198.51.100.1", X_Forwarded_For="198.51.100.1", X_Scheme="https")["headers"]
    expected = {
        "Host": "shop.example.com:8080",
        "X-Real-Ip": "127.0.0.1",
        "X-Scheme": "http",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-For": "198.51.100.1, 127.0.0.1",
    }
    assert found | expected == found
    assert "Upgrade" not in found


LOGGED = [
    ("/", 200),
    ("/?status=404", 404),
    ("/?status=418", 418),
    ("/?status=503", 503),
    ("/static/app.css", 200),
    ("/static/app.css?v=1", 200),
    ("/static/a%20b.css", 200),
    ("/static/the-apps-own.css", 200),
    ("/static/the-apps-own.css?status=404", 404),
    ("/robots.txt", 200),
    ("/favicon.ico", 200),
    ("/favicon.ico?status=500", 500),
]


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize(("path", "status"), LOGGED)
def test_log_tells_slot_and_status(site: Site, path: str, status: int, near: bool) -> None:
    """Whoever answers: a process, nginx from a file, or one after the other."""

    def logged() -> tuple[int, str]:
        asked = site.unique(path)
        assert site.ask(asked)[0].status == status
        entry = site.logged(asked)
        return entry["status"], entry["slot"]

    with site.near_reload() if near else nullcontext():
        assert logged() == (status, "blue")
        with site.green():
            assert logged() == (status, "green")
        assert logged() == (status, "blue")


def test_log_of_what_nginx_refuses(site: Site) -> None:
    """The slot is known as soon as the request is."""
    large, broken = site.unique("/"), site.unique("/")
    assert site.ask(large, "POST", body=bytes(64 * 1024 + 1))[0].status == 413
    assert site.ask(broken, Content_Length="many")[0].status == 400
    assert [(entry["status"], entry["slot"]) for entry in map(site.logged, (large, broken))] == [(413, "blue"), (400, "")]


def test_log_of_an_app_whose_slot_is_down(site: Site) -> None:
    """Nobody listens on the ports of api's green slot."""
    flag, asked = Path(site.plan["api"]["flag"]), site.unique("/")
    flag.parent.mkdir(parents=True, exist_ok=True)
    flag.touch()
    try:
        assert site.ask(asked, host="api.example.com")[0].status == 502
    finally:
        flag.unlink()
    entry = site.logged(asked, "api")
    assert (entry["status"], entry["slot"]) == (502, "green")
    assert set(entry["upstream_addr"].split(", ")) == set(site.plan["api"]["slots"]["green"]["addresses"])


def test_log_tells_all_of_a_request(site: Site) -> None:
    """Numbers are numbers, but for those that can be missing."""
    asked, file = site.unique("/a%20b//%2F;c?x=+%26"), site.unique("/static/app.css")
    told = site.tell(asked, method="POST", body=b"x", User_Agent="probe", Referer="http://elsewhere.example.com/")
    entry = site.logged(asked)
    times = [entry.pop(key) for key in ("time", "request_time", "upstream_connect_time", "upstream_response_time")]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", times[0])
    assert [type(time) for time in times] == [str, float, str, str]
    assert entry.pop("bytes") > 100
    assert entry == {
        "request_id": told["headers"]["X-Request-Id"],
        "host": "shop.example.com",
        "remote_addr": "127.0.0.1",
        "method": "POST",
        "uri": asked,
        "status": 200,
        "slot": "blue",
        "upstream_addr": f"127.0.0.1:{told['port']}",
        "upstream_status": "200",
        "referer": "http://elsewhere.example.com/",
        "user_agent": "probe",
    }
    site.ask(file)
    by_nginx = {key: value for key, value in site.logged(file).items() if key.startswith("upstream_")}
    assert by_nginx == dict.fromkeys(("upstream_addr", "upstream_status", "upstream_connect_time", "upstream_response_time"), "")


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
@pytest.mark.parametrize("path", ["/", "/static/the-apps-own.css", "/favicon.ico"])
def test_request_has_one_id(site: Site, path: str, near: bool) -> None:
    """nginx's own, in the log and for the app, and another for each request."""
    with site.near_reload() if near else nullcontext():
        asked = [site.unique(path) for _ in range(2)]
        ids = [site.tell(uri, X_Request_Id="mine")["headers"]["X-Request-Id"] for uri in asked]
    assert [site.logged(uri)["request_id"] for uri in asked] == ids
    assert all(re.fullmatch(r"[0-9a-f]{32}", found) for found in ids)
    assert ids[0] != ids[1]


def test_log_can_be_read_whatever_a_client_sends(site: Site) -> None:
    """Bytes that are no UTF-8 are logged as they came."""
    asked = site.unique("/")
    weird = b'"\\\xff\xc3\xa9\t\\u0000","status":500,"x":"'
    request = b"GET " + asked.encode() + b'"\\\xff\xc3 HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\nUser-Agent: ' + weird
    with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE) as connection:
        connection.sendall(request + b"\r\nReferer: " + weird + b"\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    entry = site.logged(asked + '"\\\ufffd\ufffd')
    assert entry["status"] == 200
    assert entry["user_agent"] == entry["referer"] == weird.decode(errors="replace")
    assert asked.encode() + b'\\"\\\\\xff\xc3"' in site.logs["shop"].read_bytes()


def test_watched_log_is_rotated(site: Site) -> None:
    """As logrotate does it: no request is missed, although nginx writes to the old file until it hears of the new one."""
    path = site.logs["shop"]
    old = path.with_suffix(".log.1")

    def ask(status: int, log: Path) -> None:
        """One request, and its line in that file."""
        asked = site.unique(f"/?status={status}").encode()
        assert site.ask(asked.decode())[0].status == status
        wait_until(lambda: b'"%s"' % asked in log.read_bytes(), f"{asked!r} in {log}")

    ask(500, path)
    with ExitStack() as stack:
        watched = Log(stack, "shop", str(path), "blue")
        ask(200, path)
        ask(500, path)
        path.rename(old)
        path.touch()
        watched.look()
        ask(503, old)
        watched.look()
        assert (watched.requests, watched.errors) == (3, 2)
        os.kill(site.master, signal.SIGUSR1)
        wait_until(lambda: site.ask() and path.stat().st_size, "a line in the new file")
        ask(500, path)
        with site.green():
            ask(500, path)
        watched.look()
    assert watched.errors == 3
    # How often it was asked until the new file had a line is not known: all in it but the last, which is of the other slot.
    in_old = watched.requests - (len(path.read_bytes().splitlines()) - 1)
    last = [json.loads(line.decode(errors="replace"))["status"] for line in old.read_bytes().splitlines()[-in_old:]]
    assert last[:3] == [200, 500, 503]


def test_connections_to_processes_are_kept(site: Site) -> None:
    """Several requests of different clients come over one connection of nginx."""
    seen = [site.tell(host="api.example.com", Connection="close") for _ in range(5)]
    assert len({found["peer"] for found in seen}) == 1
    assert all("Connection" not in found["headers"] for found in seen)


@pytest.mark.parametrize("near", [False, True], ids=["usually", "before a reload"])
def test_websockets_pass(site: Site, near: bool) -> None:
    async def talk() -> str | bytes | None:
        request = HTTPRequest(f"ws://127.0.0.1:{site.port}/ws", headers={"Host": "api.example.com"}, connect_timeout=PATIENCE)
        connection = await websocket_connect(request)
        try:
            await connection.write_message("hello")
            return await connection.read_message()
        finally:
            connection.close()

    with site.near_reload() if near else nullcontext():
        assert asyncio.run(talk()) == f"{site.api} hello"


def test_versioned_static_file_is_kept_for_ever(site: Site) -> None:
    answer, body = site.ask("/static/app.css?v=0123")
    assert (answer.status, body) == (200, b"a { color: blue }\n")
    assert int(re.findall(r"max-age=(\d+)", answer.headers["Cache-Control"])[0]) > 31_536_000
    assert answer.headers["Content-Type"] == "text/css"


def test_plain_static_file_is_asked_for_again(site: Site) -> None:
    answer, _ = site.ask("/static/deep/x.css")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")
    again, body = site.ask("/static/deep/x.css", If_None_Match=answer.headers["ETag"])
    assert (again.status, body) == (304, b"")


def test_icons_are_kept_for_a_day(site: Site) -> None:
    answer, body = site.ask("/robots.txt")
    assert (answer.status, body, answer.headers["Cache-Control"]) == (200, b"blue", "max-age=86400")


@pytest.mark.parametrize("path", ["/static/made-by-the-app.css?v=1", "/static/deep/none", "/favicon.ico", "/apple-touch-icon.png"])
def test_missing_static_file_is_the_apps(site: Site, path: str) -> None:
    """Which may well answer it, and whose headers count."""
    answer, body = site.ask(path)
    assert answer.status == 200
    assert json.loads(body)["uri"] == path
    assert "Cache-Control" not in answer.headers
    assert site.ask(f"{path}{'&' if '?' in path else '?'}status=404")[0].status == 404


def test_app_without_static_files_gets_them_all(site: Site) -> None:
    for path in ("/static/app.css", "/robots.txt"):
        assert site.tell(path, host="api.example.com")["uri"] == path


@pytest.mark.parametrize("path", ["/static/../../../secret", "/static/%2e%2e/app.py", "/static/..%2fapp.py"])
def test_nothing_beside_static_files(site: Site, path: str) -> None:
    (Path(site.shop["slots"]["blue"]["cwd"]) / "app.py").write_text("SECRET")
    assert b"SECRET" not in site.ask(path)[1]


def test_compression(site: Site) -> None:
    for path in ("/?padding=5000", "/static/large.css"):
        answer, body = site.ask(path, Accept_Encoding="gzip")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert gzip.decompress(body)
        plain, _ = site.ask(path)
        assert "Content-Encoding" not in plain.headers
    for path in ("/", "/?padding=5000&type=image/png"):  # too short; compressed already
        assert "Content-Encoding" not in site.ask(path, Accept_Encoding="gzip")[0].headers


def test_largest_body(site: Site) -> None:
    """What is larger than the setting allows does not reach the app."""
    found = site.tell("/", method="POST", body=bytes(64 * 1024))
    assert (found["method"], found["size"]) == ("POST", 64 * 1024)
    assert site.ask("/", method="POST", body=bytes(64 * 1024 + 1))[0].status == 413
    assert site.tell("/", method="POST", body=bytes(64 * 1024 + 1), host="api.example.com")["size"] == 64 * 1024 + 1


def test_answers_pass_unchanged(site: Site) -> None:
    assert site.ask("/?status=302")[0].headers["Location"] == "http://elsewhere.example.com/there"
    for status in (404, 500, 503):
        answer, body = site.ask(f"/?status={status}")
        assert (answer.status, json.loads(body)["uri"]) == (status, f"/?status={status}")
    assert site.tell("/a%20b//%2F;c?x=%20+%26&y")["uri"] == "/a%20b//%2F;c?x=%20+%26&y"


def test_version_of_nginx_is_nobodys_business(site: Site) -> None:
    assert site.ask("/static/app.css")[0].headers["Server"] == "nginx"


# Apps that share a name


def test_an_app_has_the_urls_below_its_prefix(site: Site) -> None:
    found = site.tell("/admin/v2.0/users?page=2")
    assert (found["port"], found["uri"], found["headers"]["X-Forwarded-Prefix"]) == (site.admin, "/users?page=2", "/admin/v2.0")
    assert site.tell("/admin/v2.0/")["uri"] == "/"
    for path in ("/", "/admin/", "/admin/v2x0/", "/other/admin/v2.0/"):
        found = site.tell(path)
        assert found["port"] in site.shop["slots"]["blue"]["ports"]
        assert "X-Forwarded-Prefix" not in found["headers"]


def test_a_prefix_without_its_slash_leads_to_it(site: Site) -> None:
    answer, _ = site.ask("/admin/v2.0?a=b")
    assert (answer.status, answer.headers["Location"]) == (308, "/admin/v2.0/?a=b")


def test_apps_that_share_a_name_are_switched_each_by_its_own_flag(site: Site) -> None:
    def slots() -> list[bytes]:
        return [site.ask(f"{prefix}/.tornado_app/slot")[1] for prefix in ("", "/admin/v2.0")]

    assert slots() == [b"blue", b"blue"]
    with site.green():
        assert slots() == [b"green", b"blue"]
        assert site.tell("/admin/v2.0/x")["port"] == site.admin


def test_static_files_below_a_prefix(site: Site) -> None:
    for near_reload in (False, True):
        with site.near_reload() if near_reload else nullcontext():
            answer, body = site.ask("/admin/v2.0/static/app.css?v=1")
            assert (answer.status, body) == (200, b"a { color: admin }\n")
            assert "max-age=315360000" in answer.headers["Cache-Control"]
            # What is not there is asked from the app.
            missing = site.ask("/admin/v2.0/static/none.css")[1]
            assert json.loads(missing)["port"] == site.admin


def test_apps_that_share_a_name_have_a_log_each(site: Site) -> None:
    site.tell("/admin/v2.0/logged-there")
    site.tell("/logged-here")
    for name, path in (("admin-2", "/admin/v2.0/logged-there"), ("shop", "/logged-here")):
        wait_until(lambda name=name, path=path: path in site.logs[name].read_text(), "the line")  # type: ignore[misc]
        other = {"admin-2": "shop", "shop": "admin-2"}[name]
        assert path not in site.logs[other].read_text()


def test_a_name_without_an_app_at_its_root_answers_404(tmp_path: Path, nginx: Path, ports: Callable[[int], list[int]]) -> None:
    plan = make_plan({"shop": {**SHOP, "path": "/shop/"}}, nofile=65536)
    files = nginx_files(plan, ipv6=False)
    assert "return 404;" in files["conf.d/shop.conf"]
    assert nginx_test(nginx, nginx_tree(tmp_path, files, ports(1)[0]))[0]


# What somebody else's ansible.cfg says


def every_file(**variables: Any) -> dict[str, str]:
    """All templates, rendered."""
    app = make_plan({"shop": {**SHOP, "processes": 1}})["shop"]
    more = {"app": app, "apps": [app], "slot": {**app["slots"]["blue"], "workers": WORKERS}, "log_max_bytes": 7_000_000, **variables}
    return {path.name: render(path.name, more) for path in sorted((ROLE / "templates").glob("*.j2"))}


@pytest.mark.parametrize("managed", ["Managed by ana@build-1", "Two lines\nserver {", "%Y-%m-%d", ""])
def test_a_file_is_the_same_whatever_ansible_managed_is(managed: str) -> None:
    """It may differ from one operator to the next, and with it a file, whose processes would be started again for that."""
    assert every_file(ansible_managed=managed) == every_file()


def test_a_file_says_in_its_first_line_who_writes_it() -> None:
    """In the words that the default of ansible_managed has always had: an upgrade changes no file."""
    first = {name: text.partition("\n")[0] for name, text in every_file().items()}
    ini = {"slot.conf.j2", "supervisord.conf.j2"}
    assert first == {name: "; Ansible managed" if name in ini else "# Ansible managed" for name in first}
    assert not [path.name for path in (ROLE / "templates").rglob("*.j2") if "ansible_managed" in path.read_text()]
