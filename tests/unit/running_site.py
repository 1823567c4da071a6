"""A running nginx with the files that the role renders, and the apps behind it."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.unit.asked import Asked
from tests.unit.conftest import PATIENCE, held_ports, listens, make_plan, process, relocated, run_module, wait_until
from tests.unit.nginx_trees import nginx_tree
from tests.unit.rendering import API, SHOP, nginx_files

PROGRAM = """
import asyncio, collections, json, logging, sys
from tornado import ioloop, web, websocket

seen = []
told = collections.defaultdict(asyncio.Event)

class Tell(web.RequestHandler):
    def prepare(self):
        seen.append(self.request.uri)

    async def answer(self, status=200):
        request = self.request
        self.set_status(status)
        self.set_header("Content-Type", self.get_argument("type", "application/json"))
        self.set_header("X-Large", "x" * int(self.get_argument("large", "0")))
        for header in self.get_arguments("header"):
            self.set_header(*header.split(":"))
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
        if self.get_argument("cut", ""):
            self.request.connection.stream.close()
            return
        if self.get_argument("hang", ""):
            await asyncio.sleep(3600)
        status = int(self.get_argument("status", "200"))
        if status in (204, 304):
            self.set_status(status)
        elif status == 302:
            self.redirect("http://elsewhere.example.com/there")
        else:
            await self.answer(status)

    async def post(self):
        await self.answer()

    async def options(self):
        await self.answer()

class Seen(web.RequestHandler):
    def get(self):
        self.finish(json.dumps(seen))

class Pieces(web.RequestHandler):
    # One after the other, each but the first when the client tells that it has the one before.
    async def get(self, name):
        self.set_header("Content-Type", self.get_argument("type"))
        for number in range(3):
            self.write(f"piece {number}\\n")
            await self.flush()
            await told[f"{name}/{number}"].wait()

class Whole(web.RequestHandler):
    async def get(self, name):
        await told[name].wait()
        self.write({"told": name})

class Large(web.RequestHandler):
    async def get(self, name):
        self.set_header("X-Accel-Buffering", "yes")
        await self.finish(bytes(20_000_000))
        told[name].set()

class Told(web.RequestHandler):
    def post(self, name):
        told[name].set()

    def get(self, name):
        self.finish(json.dumps(told[name].is_set()))

class Echo(websocket.WebSocketHandler):
    async def on_message(self, message):
        await self.write_message(f"{sys.argv[1]} {message}")

logging.getLogger("tornado.access").disabled = True
waiting = [(f"/{kind.__name__.lower()}/(.*)", kind) for kind in (Pieces, Whole, Large, Told)]
web.Application([("/ws", Echo), ("/seen", Seen), *waiting, (".*", Tell)]).listen(int(sys.argv[1]), "127.0.0.1")
ioloop.IOLoop.current().start()
"""

SOCKETS = {"server_names": ["sock.example.com"], "listen": "sockets", "command": "{python} app.py {socket}"}

# An operator's own file: a proxy in front is trusted, and all sites have a header.
OWN = """
set_real_ip_from 127.0.0.0/8;
real_ip_header X-Told-By-Proxy;
add_header X-Operator here;
"""


@contextmanager
def there(flag: str | Path) -> Iterator[None]:
    """A file that nginx looks for as requests come is there meanwhile."""
    path = Path(flag)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        yield
    finally:
        path.unlink()


class Site(Asked):
    """A running nginx with the files of two apps, a Tornado process for each port of theirs but one, and a client.

    `changed` is text of nginx's files, and what is there instead; `settings` are more ones of apps; `brotli` is nginx's module.
    `inputs` are the role's own, `own` is the operator's file. A `{proxy_port}` or a `{proxy_tls_port}` among the inputs stands for a port
    beside nginx's. `certificates` are files for apps with TLS.
    """

    def __init__(
        self,
        root: Path,
        nginx: Path,
        stack: ExitStack,
        changed: Mapping[str, str] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        inputs: Mapping[str, Any] | None = None,
        own: str = OWN,
        brotli: Path | None = None,
        certificates: Mapping[str, str] | None = None,
    ) -> None:
        held = stack.enter_context(held_ports(16))
        self.port, self.proxy_port, self.tls_port, self.proxy_tls_port = held[12:]
        apps = {
            "shop": {**SHOP, "port": held[0], "processes": 2},
            "api": {**API, "port": held[4], "processes": 2, "client_max_body_size": "1m"},
            "admin-2": {**SHOP, "path": "/admin/v2.0/", "port": held[8], "processes": 1},
            # Between the ports of the one before.
            "lab": {**SHOP, "path": "/lab/", "strip_path": False, "port": held[9], "processes": 1, "health": {"path": "/api/status"}},
            "sock": {**API, **SOCKETS, "port": 20000, "processes": 2},
        }
        # Shop has the first four; of api's, one runs and its neighbour does not; of sock's none.
        running = [*held[:5], held[8], held[9]]
        planned = make_plan({name: {**app, **(settings or {}).get(name, {})} for name, app in apps.items()}, stride=2)
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
            static = self.release("shop", slot) / "static"
            static.mkdir()
            files = {"app.css": text, "a b.css": text, "robots.txt": slot, "large.css": text * 100, "deep/x.css": text}
            for name, content in files.items():
                (static / name).parent.mkdir(exist_ok=True)
                (static / name).write_text(content)
        self.admin, self.lab = held[8], held[9]
        static = self.release("admin-2", "blue") / self.plan["admin-2"]["static"]
        static.mkdir(parents=True)
        (static / "app.css").write_text("a { color: admin }\n")
        self.closing = root / "closing"
        self.drained = root / "drained"
        self.flag = Path(self.shop["flag"])
        self.flag.parent.mkdir()
        more = {"{proxy_port}": self.proxy_port, "{proxy_tls_port}": self.proxy_tls_port}
        given = {key: more.get(str(value), value) for key, value in (inputs or {}).items()}
        files = nginx_files(self.plan, ipv6=False, debian=12 if brotli else 11, **given)
        if brotli:
            files["modules-enabled/50-mod-http-brotli-static.conf"] = f"load_module {brotli};\n"
        for before, after in (changed or {}).items():
            assert any(before in text for text in files.values())
            files = {path: text.replace(before, after) for path, text in files.items()}
        config = nginx_tree(root, {**files, **(certificates or {}), "conf.d/own.conf": own}, self.port, self.tls_port)
        master = stack.enter_context(process(nginx, "-e", "stderr", "-c", config, "-g", "daemon off;"))
        for port in (*running, self.port):
            wait_until(partial(listens, port), f"port {port}")
        assert master.poll() is None
        self.master = master.pid

    def release(self, app: str, slot: str) -> Path:
        """A release that the slot is a link to."""
        made = Path(self.plan[app]["releases"]) / slot
        made.mkdir(parents=True)
        link = Path(self.plan[app]["slots"][slot]["cwd"])
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(made)
        return made

    def store(self) -> None:
        """Give the static files of all releases their names, as a run does."""
        lock = self.closing.with_name("run.lock")
        run_module("run_lock", path=str(lock), run="r-test")
        assert not run_module("static_files", apps=self.plan, run="r-test", lock=str(lock)).get("failed")

    def raw(self, sent: bytes) -> bytes:
        """All that comes back for these bytes until nginx closes the connection."""
        found = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(sent)
            while came := connection.recv(65536):
                found += came
        return found

    def seen(self, port: int = 0) -> list[str]:
        """The URIs of all requests that a process has got, that of api unless another is named."""
        with closing(http.client.HTTPConnection("127.0.0.1", port or self.api, timeout=PATIENCE)) as connection:
            connection.request("GET", "/seen")
            return list(json.loads(connection.getresponse().read()))

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
        with there(self.flag):
            yield

    @contextmanager
    def near_reload(self) -> Iterator[None]:
        """Clients are asked to close meanwhile."""
        with there(self.closing):
            yield


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nginx: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path_factory.mktemp("site"), nginx, stack)
