"""What the tests share: the modules called as Ansible calls them, the templates as the role renders them.

Test modules import it as `tests.unit.conftest`.
"""

from __future__ import annotations

import contextlib
import getpass
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from hypothesis import settings

from tests.unit.loading import ROLE, ROOT, plugin

NGINX = ROOT / ".tools/nginx/usr/sbin/nginx"
PYTHON = "/usr/bin/python3"  # the hosts' own, which launch.py runs under
PATIENCE = 60.0  # seconds after which a test gives up; a bound, never a measure

# These assert too: a failure of theirs shows values, as one of a test does.
pytest.register_assert_rewrite("tests.unit.app_on_disk", "tests.unit.artifacts", "tests.unit.running_site")

# How long an example takes depends on what else the machine does.
settings.register_profile("unit", deadline=None, max_examples=50)
settings.load_profile("unit")

Settings = Mapping[str, Any]
Plan = dict[str, dict[str, Any]]


def utils(name: str) -> Any:
    """One of the collection's module_utils: utils("proc")."""
    return plugin("module_utils", name)


def run_module(name: str, *, check: bool = False, tmpdir: Path | None = None, **arguments: Any) -> dict[str, Any]:
    """Run one of the collection's modules in this process and return its result; `failed` is set when it failed."""
    internals = {
        "_ansible_check_mode": check,
        "_ansible_diff": True,
        "_ansible_no_log": False,
        **({"_ansible_tmpdir": str(tmpdir)} if tmpdir else {}),
    }
    output = io.StringIO()
    with patch_module_args({**arguments, **internals}), contextlib.redirect_stdout(output), pytest.raises(SystemExit) as ended:
        plugin("modules", name).main()
    result: dict[str, Any] = json.loads(output.getvalue())
    json.dumps(result, ensure_ascii=False).encode()  # Ansible refuses a result with anything in it that UTF-8 does not know
    assert bool(ended.value.code) == result.get("failed", False)
    return result


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition holds, and return what it returned."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain: {what}"
        time.sleep(0.02)
    return value


# Settings and templates


@cache
def role_variables() -> dict[str, Any]:
    """The role's defaults and variables, as Ansible reads them."""
    files = [str(ROLE / "defaults/main.yml"), str(ROLE / "vars/main.yml")]
    defaults, own = (DataLoader().load_from_file(file, trusted_as_template=True) for file in files)
    return {**defaults, **own, "ansible_search_path": [str(ROLE)], "groups": {}}


def templar(variables: Settings) -> Any:
    """Ansible's own template engine, with the role's variables and search path."""
    return Templar(loader=DataLoader(), variables={**role_variables(), **variables})


def facts(cpus: int = 1, ipv6: bool = True, debian: int = 11) -> dict[str, Any]:
    """What the templates and the defaults ask of a host."""
    return {
        "processor_nproc": cpus,
        "fqdn": "web-1.example.com",
        "all_ipv4_addresses": ["192.0.2.1"],
        "lo": {"ipv6": [{"address": "::1"}]} if ipv6 else {},
        "distribution": "Debian",
        "distribution_major_version": str(debian),  # that of 11 has no Brotli, as the nginx of the tests
    }


def make_plan(apps: Settings, *, cpus: int = 1, nofile: int = 4096, stride: int = 1000) -> Plan:
    """The plan that the role makes of these settings, with its own defaults."""
    variables = {"ansible_facts": facts(cpus), "inventory_hostname": "web-1"}
    defaults = templar(variables).template(trust_as_template("{{ tornado_app_defaults }}"))
    host = {
        "name": "web-1",
        "root": "/opt/tornado_app",
        "nofile": nofile,
        "slot_stride": stride,
        "ports": {},
        "inventory": [],
        "serial": "100%",
        "bake": 0,
        "bake_max_errors": 0.01,
        "trusted_proxies": [],
        "proxy_port": 0,
        "proxy_tls_port": 0,
        "tls_at_balancer": False,
        "redis": False,
    }
    found: Plan = plugin("plugin_utils", "plan").plan(apps, defaults, host)
    return found


def make_slot(app: str = "shop", name: str = "blue", **changed: Any) -> dict[str, Any]:
    """A whole slot, as a plan has it, but for what is changed."""
    slots = make_plan({app: {"source": "app", "command": "{python} app.py {port}"}})[app]["slots"]
    return {**slots[name], **changed}


RENDERED: dict[tuple[str, str], str] = {}


def render(template: str, variables: Settings) -> str:
    """Render a template of the role as its tasks do; of the same variables once, as many tests look at one file."""
    wanted = (template, repr(variables))
    if wanted not in RENDERED:
        RENDERED[wanted] = rendered(template, variables)
    return RENDERED[wanted]


def rendered(template: str, variables: Settings) -> str:
    """What Ansible makes of a template."""
    common = {
        "ansible_facts": facts(),
        "ansible_check_mode": False,
        "tornado_app_nofile": 4096,
        "__tornado_app_python": "3.11",
    }
    text = trust_as_template(f"{{{{ lookup('ansible.builtin.template', {template!r}) }}}}")
    return str(templar({**common, **variables}).template(text))


def relocated(value: Any, root: Path) -> Any:
    """The same with all paths of a host below a directory of the test."""
    if isinstance(value, str):
        return re.sub(r"(?<![\w.-])/(srv|etc|run|var/log)/", rf"{root}/\1/", value)
    if isinstance(value, Mapping):
        return {key: relocated(item, root) for key, item in value.items()}
    return [relocated(item, root) for item in value] if isinstance(value, list) else value


# Ports and processes


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def held_ports(count: int = 1) -> Iterator[list[int]]:
    """Ports on loopback, one after the other, that nobody else is given meanwhile and a server may listen on."""
    for _ in range(200):
        with contextlib.ExitStack() as stack:
            first = 0
            try:
                for index in range(count):
                    held = stack.enter_context(socket.socket())
                    held.bind(("127.0.0.1", first + index if first else 0))
                    first = first or held.getsockname()[1]
                    # Only now: bound without it, the port was nobody's; with it, a server can listen beside a socket that does not.
                    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            except (OSError, OverflowError):  # the next port is taken, or there is none
                continue
            yield list(range(first, first + count))
            return
    raise AssertionError(f"no {count} free ports in a row")


@pytest.fixture
def ports() -> Iterator[Callable[[int], list[int]]]:
    """A function that holds that many ports until the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda count: stack.enter_context(held_ports(count))


@contextlib.contextmanager
def process(*command: str | Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended, and its children too, whatever happens."""
    with subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, **options) as running:
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                orphans = utils("proc").children(running.pid)
                running.kill()
                for pid in orphans:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


# supervisord

# The user and the unit of all that a test starts.
OWN = {"user": getpass.getuser(), "unit": utils("proc").describe(os.getpid()).unit}
PROGRAM = """
import http.server, json, os, signal, sys, threading, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if how == "hang":
            time.sleep(3600)
        answer = json.dumps({"path": self.path, "host": self.headers["Host"]}).encode()
        with open(f"{port}.asked", "ab") as asked:
            asked.write(answer + b"\\n")
        self.send_response(int(how))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass

port = int(sys.argv[1])
how = os.environ[f"HOW_{port}"]
for number in range(30):
    print("line", number, "of", port, flush=True)
if how == "crash":
    sys.exit("no database")
if how == "brief":
    threading.Timer(2.5, os._exit, [3]).start()
    how = "200"
if how == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    how = "200"
if how == "refuse":
    time.sleep(3600)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Supervisor:
    """A supervisord that runs as the role's templates say, below a directory, with slots of a small HTTP program.

    How a process of it behaves: "200" or another status that it answers, "refuse" (does not listen), "hang", "crash",
    "stubborn" (does not end when it is told to), "brief" (dies a moment after supervisord calls it running).
    """

    def __init__(self, root: Path, stack: contextlib.ExitStack) -> None:
        self.root = root
        self.stack = stack
        self.program = root / "program.py"
        self.program.write_text(PROGRAM)
        settings = {"source": "app", "command": f"{{python}} {self.program} {{port}}", "server_names": ["shop.test"], "stop_timeout": 1}
        # The lowest limit that the plan takes, so that supervisord gets it anywhere.
        self.app = relocated(make_plan({"shop": settings}, nofile=1024)["shop"], root) | OWN
        self.app["slots"] = {name: slot | OWN for name, slot in self.app["slots"].items()}
        self.socket = self.app["socket"]
        for directory in (self.app["run"], self.app["logs"], self.app["shared"], f"{self.app['etc']}/slots"):
            Path(directory).mkdir(parents=True)
        Path(self.app["config"]).write_text(render("supervisord.conf.j2", {"app": self.app}).replace("[program:watchdog]", "[no:watchdog]"))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.root / "supervisord.log").open("wb") as log:
            running = self.stack.enter_context(
                process(sys.executable, "-m", "supervisor.supervisord", "--configuration", self.app["config"], stdout=log, stderr=log)
            )
        wait_until(lambda: Path(self.socket).exists() or running.poll() is not None, "supervisord's socket")
        assert running.poll() is None, (self.root / "supervisord.log").read_text()
        self.pid = running.pid

    def write_slot(self, name: str, behaviours: list[str], *, workers: Mapping[str, str] | None = None, **changed: str) -> dict[str, Any]:
        """Write what a slot runs and how it is supervised, with `changed` settings; the slot as in a plan, with ports of its own.

        `workers` are lines of a Procfile.
        """
        ports = self.stack.enter_context(held_ports(len(behaviours)))
        addresses = [f"127.0.0.1:{port}" for port in ports]
        base = json.loads(
            json.dumps(self.app["slots"]["blue"]).replace("shop-blue", f"shop-{name}").replace("/slots/blue", f"/slots/{name}")
        )
        slot: dict[str, Any] = {**base, "name": "green" if name == "green" else "blue", "ports": ports, "addresses": addresses}
        Path(slot["cwd"]).mkdir(parents=True, exist_ok=True)
        release = {"release": "0123456789ab", "environment": "ba9876543210", "commands": workers or {}}
        slot["workers"] = plugin("plugin_utils", "changes").workers(self.app, release)
        record = plugin("plugin_utils", "files").record(self.app, slot, release)
        record["python"] = sys.executable
        record["environment"] |= {f"HOW_{port}": how for port, how in zip(ports, behaviours, strict=True)}
        Path(slot["record"]).write_text(json.dumps(record))
        Path(slot["secrets"]).write_text("{}")
        variables = {"app": self.app, "slot": slot}
        config = render("slot.conf.j2", {**variables, "__tornado_app_launcher": str(ROLE / "files/launch.py")})
        assert PYTHON in config
        for key, value in changed.items():
            config, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", config, flags=re.MULTILINE)
            assert count == 1
        Path(slot["config"]).write_text(config)
        return slot

    def group(self, slot: Mapping[str, Any], state: str, /, **arguments: Any) -> dict[str, Any]:
        """Start or remove the slot's processes, see `groups`."""
        return self.groups([slot], state, **arguments)

    def groups(self, slots: Sequence[Mapping[str, Any]], state: str, /, **arguments: Any) -> dict[str, Any]:
        """Start or remove the slots' processes, by the role's module: by a run that has the lock, while no slot of them is live.

        A slot may say itself what its socket and its flag are.
        """
        lock = Path(self.socket).with_name("lock")
        run_module("run_lock", path=str(lock), run="r-test")
        nowhere = str(Path(self.socket).with_name("no-flag"))
        given = [{**slot, "flag": str(lock.parent) if slot["name"] == "blue" else nowhere, **slot.get("own", {})} for slot in slots]
        given = [{key: value for key, value in slot.items() if key != "own"} for slot in given]
        return run_module("slot_processes", **{"slots": given, "state": state, "run": "r-test", "lock": str(lock), **arguments})

    def health(self, slot: Mapping[str, Any], *, check: bool = False, passed: Any = (), **changed: Any) -> dict[str, Any]:
        """Ask for the slot's health, by the role's module: what it says of the app, and whether and how it failed.

        `timeout`, `steady` and `interval` are the module's own; what else is given changes the slot.
        """
        own = {key: changed.pop(key) for key in ("timeout", "steady", "interval") if key in changed}
        result = run_module("wait_for_health", check=check, slots=[{**slot, **changed}], passed=list(passed), **own)
        (app,) = result.pop("apps")
        assert app["healthy"] == result["healthy"]
        return {**app, **result}

    def pids(self) -> dict[str, int]:
        """Process ids by name, of all processes that supervisord knows; 0 when one does not run."""
        found = utils("supervisor").Supervisor(self.socket, *OWN.values()).call("getAllProcessInfo")
        return {f"{info['group']}:{info['name']}": info["pid"] for info in found}


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """A running supervisord without any group; one for all tests of a module, which give their slots names of their own."""
    with contextlib.ExitStack() as stack:
        made = Supervisor(tmp_path_factory.mktemp("s"), stack)  # a short name: a unix socket's path may have 107 bytes
        made.start()
        yield made


# nginx


@pytest.fixture(scope="session")
def nginx() -> Path:
    """The nginx binary."""
    found = NGINX if NGINX.exists() else shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert found, "no nginx: run tools/bootstrap.py --with-nginx"
    return Path(found)


@pytest.fixture(scope="session")
def has_ipv6() -> bool:
    """Whether this machine has the IPv6 loopback address."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
