"""A running HAProxy with the configuration that the role renders, below a directory of the test, and hosts behind it."""

from __future__ import annotations

import csv
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import ROOT
from ansible_collections.tornado_app.deploy.plugins.module_utils import haproxy as own
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import acme, balancer_rules
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.balancer import Given, Host, server, template_variables
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_types import converted
from tests.unit.asked import Asked
from tests.unit.certified import issue
from tests.unit.conftest import held_ports, process, rendered, run_module, wait_until

UNPACKED = ROOT / ".tools/haproxy"
ROLE = ROOT / "roles/load_balancer"
# A host, or several, each with an address of its own. One is not well while there is a file `<address>.drained`, and `<address>.bad` makes
# its other answers bad; `<address>.<prefix>.drained` is for an app with a prefix. Requests with `held` wait until `released` is there.
PROGRAM = """
import asyncio, json, pathlib, sys, time
from tornado import web, websocket

class Ready(web.RequestHandler):
    def initialize(self, address):
        self.address = address

    def get(self):
        pathlib.Path(f"{self.address}.asked").write_text(json.dumps([self.request.uri, self.request.host]))
        app = self.request.path.split("/")[1]
        drained = any(pathlib.Path(f"{self.address}.{which}").exists() for which in ("drained", f"{app}.drained"))
        self.set_status(503 if drained else 200)

class Tell(Ready):
    async def answer(self):
        if "number" in self.request.arguments:
            with pathlib.Path(f"{self.address}.seen").open("a") as seen:
                seen.write(self.request.uri + "\\n")
        while "held" in self.request.arguments and not pathlib.Path("released").exists():
            await asyncio.sleep(0.05)
        self.set_status(500 if pathlib.Path(f"{self.address}.bad").exists() else 200)
        self.set_header("Content-Type", "application/json")
        await self.finish(json.dumps({
            "address": self.address,
            "uri": self.request.uri,
            "headers": dict(self.request.headers),
            "peer": self.request.connection.context.address[1],
        }))
    get = post = answer

class Timed(web.RequestHandler):
    async def get(self):
        for _ in range(4):
            self.write(f"moment {time.time()} ")
            await self.flush()
            await asyncio.sleep(0.5)

class Echo(websocket.WebSocketHandler):
    async def on_message(self, message):
        await self.write_message(message)

async def main():
    for address in sys.argv[2:]:
        own = {"address": address}
        handlers = [(".*/.tornado_app/ready", Ready, own), ("/timed", Timed), ("/ws", Echo), (".*", Tell, own)]
        web.Application(handlers).listen(int(sys.argv[1]), address)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def given(
    *names: str,
    path: str = "/",
    timeout: int = 200,
    tls: Mapping[str, Any] | None = None,
    others: Sequence[str] = (),
    balance: str = "least_conn",
) -> Given:
    """What the inventory says of an app on a host."""
    return {
        "server_names": list(names),
        "redirect_names": list(others),
        "path": path,
        "proxy_read_timeout": timeout,
        "tls": converted("", {"tls": tls or {}})[0]["tls"],
        "balance": balance,
    }


def host(
    number: int,
    apps: Mapping[str, Given] | None = None,
    proxy_port: int = 0,
    proxy_tls_port: int = 0,
    trusted: Sequence[str] = (),
) -> Host:
    """The host web-1, web-2 and so on; it has shop, or these apps."""
    return Host(f"web-{number}", f"127.0.0.{number + 1}", apps or {"shop": SHOP}, proxy_port, proxy_tls_port, trusted)


def config(
    *hosts: Host,
    certificates: Sequence[Path] = (),
    tls: str = "terminate",
    version: str = "",
    ipv6: bool = False,
    maxconn: int = 200,
) -> str:
    """The configuration as the action renders it."""
    assert balancer_rules.problems(hosts, tls) == []
    issuers = [server(Host(name, address, {})) for name, address in (("lb-1", "127.0.0.1"), ("lb-2", "127.0.0.9"))]
    variables = template_variables(hosts, tls, bool(certificates), version, issuers)
    facts = {"lo": {"ipv6": [{"address": "::1"}]} if ipv6 else {}}
    places = {"directory": own.CERTIFICATES, "state_file": own.STATE_FILE}
    common = {"maxconn": maxconn, "challenges": acme.CHALLENGES, **places, "ansible_facts": facts}
    return rendered("haproxy.cfg.j2", {**variables, **common, "ansible_search_path": [str(ROLE)]})


def pair(name: str = "shop.example.com") -> str:
    """A new certificate for a name, with its key."""
    issued = issue(name, names=[name])
    return issued.pem + issued.key_pem


SHOP = given("shop.example.com")


class Balancer(Asked):
    """An HAProxy and its files, and a client."""

    def __init__(self, root: Path, program: Path, stack: ExitStack) -> None:
        self.root, self.program, self.stack = root, program, stack
        self.port, self.tls, self.hosts_port, self.statistics, self.challenges = stack.enter_context(held_ports(5))
        self.path, self.directory = root / "haproxy.cfg", root / "certificates"
        self.socket, self.state_file = root / "admin.sock", root / "haproxy.state"
        self.systemctl = root / "bin/systemctl"
        self.systemctl.parent.mkdir()
        self.pid = root / "haproxy.pid"
        # In the place of systemd, which a test cannot have.
        self.systemctl.write_text(
            "#!/bin/sh\n"
            f'pid=$(cat {self.pid} 2>/dev/null) || exit 3\n[ "$2" = haproxy.service ] && case $1 in\n'
            f"  is-active) kill -0 $pid ;;\n  reload) {program} -c -q -f {self.path} && kill -USR2 $pid ;;\nesac\n"
        )
        self.systemctl.chmod(0o755)
        (root / "hosts.py").write_text(PROGRAM)

    def adapted(self, text: str) -> str:
        """A configuration with what is the machine's own replaced: ports, paths, users."""
        for before, after in {
            "    chroot /var/lib/haproxy\n    user haproxy\n    group haproxy\n": "",
            "log /dev/log local0": f"log {self.root}/log local0",
            "/run/haproxy/admin.sock": str(self.socket),
            "/run/haproxy/tornado_app.state": str(self.state_file),
            own.CERTIFICATES: str(self.directory),
            "bind :80\n": f"bind 127.0.0.1:{self.port}\n",
            "bind :443": f"bind 127.0.0.1:{self.tls}",
            "127.0.0.1:8404": f"127.0.0.1:{self.statistics}",
            f":{acme.CHALLENGES}\n": f":{self.challenges}\n",
            "http-check connect port 80": f"http-check connect port {self.hosts_port}",
            ":80 check port 80": f":{self.hosts_port} check",
            "check port 80": f"check port {self.hosts_port}",
        }.items():
            text = text.replace(before, after)
        return text

    def install(
        self,
        text: str,
        *,
        check: bool = False,
        secrets: dict[Path, str] | None = None,
        own: dict[Path, list[str]] | None = None,
        placeholders: dict[Path, list[str]] | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Run the module with a configuration as rendered; of `own` certificates it gets the names, of those that are issued later, too."""
        paths = {"path": self.path, "directory": self.directory, "socket": self.socket, "state_file": self.state_file}
        certificates: list[dict[str, Any]] = [{"path": str(path), "secret": secret} for path, secret in (secrets or {}).items()]
        certificates += [{"path": str(path), "self_signed": names} for path, names in (own or {}).items()]
        certificates += [{"path": str(path), "self_signed": names, "force": False} for path, names in (placeholders or {}).items()]
        certificates.sort(key=lambda one: one["path"])
        common = {"config": self.adapted(text), "certificates": certificates, **{key: str(path) for key, path in paths.items()}}
        return run_module("haproxy_config", check=check, **{**common, **arguments})

    def start(self, text: str, **arguments: Any) -> None:
        """Install a configuration, and start HAProxy with it."""
        assert not self.install(text, **arguments).get("failed")
        log = self.stack.enter_context((self.root / "haproxy.log").open("wb"))
        running = self.stack.enter_context(process(self.program, "-W", "-f", self.path, stdout=log, stderr=log, start_new_session=True))
        self.pid.write_text(str(running.pid))
        wait_until(lambda: own.loaded(self.socket) or running.poll() is not None, "HAProxy's socket")
        assert running.poll() is None, (self.root / "haproxy.log").read_text()

    def certificates(self) -> list[Path]:
        """The certificates that are there, which one list has, and nothing else is there."""
        (listed,) = self.directory.glob("*.list")
        found = sorted(set(self.directory.iterdir()) - {listed})
        assert listed.read_text().split() == [str(path) for path in found]
        return found

    def start_hosts(self, *numbers: int) -> Any:
        """Start hosts in a process, which is returned."""
        addresses = [f"127.0.0.{number + 1}" for number in numbers]
        command: list[str | Path] = [sys.executable, self.root / "hosts.py", str(self.hosts_port), *addresses]
        running = self.stack.enter_context(process(*command, cwd=self.root))
        for address in addresses:
            wait_until(partial(self.listens, address), f"the host {address}")
        return running

    def listens(self, address: str) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((address, self.hosts_port)) == 0

    def mark(self, number: int, what: str, there: bool = True) -> None:
        """Make a host `drained` or `bad`, or take that back."""
        path = self.root / f"127.0.0.{number + 1}.{what}"
        if there:
            path.touch()
        else:
            path.unlink()

    def seen(self, number: int) -> list[str]:
        """The URIs with a `number` of which a host has got a request."""
        path = self.root / f"127.0.0.{number + 1}.seen"
        return path.read_text().split() if path.exists() else []

    def states(self, backend: str = "shop") -> dict[str, str]:
        """Server -> whether it is up, as HAProxy says it."""
        lines = own.ask(self.socket, "show servers state").splitlines()[2:]
        fields = [line.split() for line in lines if line]
        return {each[own.NAME]: {"0": "down", "2": "up"}.get(each[own.STATE], each[own.STATE]) for each in fields if each[1] == backend}

    def outages(self, backend: str = "shop") -> int:
        """How often a host was out for its checks so far."""
        rows = csv.DictReader(own.ask(self.socket, "show stat").lstrip("# ").splitlines())
        return sum(int(row["chkdown"] or 0) for row in rows if row["pxname"] == backend and row["svname"] != "BACKEND")

    def wait_for(self, *up: int, backend: str = "shop") -> None:
        """Wait until these hosts are up, and no others."""
        wanted = {f"web-{number}" for number in up}
        wait_until(lambda: {name for name, state in self.states(backend).items() if state == "up"} == wanted, f"{wanted} to be up")


@pytest.fixture(scope="session")
def haproxy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HAProxy, as a command that finds its libraries."""
    program = UNPACKED / "usr/sbin/haproxy"
    assert program.exists(), "no HAProxy: run tools/bootstrap.py --with-nginx"
    libraries = ":".join(sorted({str(path.parent) for path in UNPACKED.rglob("lib*.so.*")}))
    script = tmp_path_factory.mktemp("haproxy") / "haproxy"
    script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {program} "$@"\n')
    script.chmod(0o755)
    return script


def made(root: Path, program: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Balancer:
    """A balancer that does not run yet, and that the module finds."""
    from tests.unit.loading import plugin

    found = Balancer(root, program, stack)
    for module in (own, plugin("modules", "haproxy_config")):
        monkeypatch.setattr(module, "HAPROXY", str(program))
    monkeypatch.setenv("PATH", f"{found.systemctl.parent}:{os.environ['PATH']}")
    return found


@pytest.fixture
def balancer(tmp_path: Path, haproxy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Balancer]:
    """One for a test alone, that does not run yet."""
    with ExitStack() as stack:
        yield made(tmp_path, haproxy, stack, monkeypatch)
