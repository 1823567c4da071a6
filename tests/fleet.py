"""An operator's view of the fleet: runs of site.yml, and what the hosts are doing before and after."""

import base64
import copy
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import testinfra
from testinfra.host import Host
from testinfra.utils.ansible_runner import AnsibleRunner

from tests.traffic import Target, Traffic

ROOT = Path(__file__).resolve().parents[1]
RUN_TIMEOUT = 900  # seconds, for one run of site.yml
SWITCH_CLOCK = 0.02  # seconds: how coarse the time of a switch is, which the kernel wrote down

LOCK = "/run/tornado_app/lock"

# Run on a host: for each app its name, live slot, release, moment of the last switch and processes.
LOOK = """
for app in {apps}; do
  slot=blue; test -e /srv/$app/live/green && slot=green
  echo $app $slot $(basename $(readlink /srv/$app/slots/$slot)) $(stat --format=%.9Y /srv/$app/live) $(pgrep --uid $app --full -- --port=)
done
"""


class State(NamedTuple):
    """What one host runs of an app."""

    slot: str
    release: str
    pids: frozenset[int]


class Fleet:
    """The hosts of a scenario, their apps, and the source that all of these are deployed from.

    Clients keep the websockets of an app open for as long as they can, or for ``socket_seconds``; they do not come in the ways of
    ``without``, which the app does not know.
    """

    def __init__(
        self,
        inventory: Path,
        source: Path,
        apps: Mapping[str, Mapping[str, Any]],
        socket_seconds: Mapping[str, float] | None = None,
        without: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.inventory = inventory
        self.source = source
        self.apps = apps
        self.socket_seconds = socket_seconds or {}
        self.without = without or {}
        self.limit: tuple[str, ...] = ()
        self.variables: dict[str, Any] = {}
        """What the inventory of this operator has beside the apps."""
        self.hosts: dict[str, Host] = {
            name: testinfra.get_host(f"ansible://{name}?ansible_inventory={inventory}&sudo=True")
            for name in AnsibleRunner(str(inventory)).get_hosts("tornado")
        }
        self.addresses = {name: str(host.ansible.get_variables()["ansible_host"]) for name, host in self.hosts.items()}

    def only(self, *apps: str) -> "Fleet":
        """The same hosts as somebody sees them who runs site.yml for some of the apps."""
        fleet = copy.copy(self)
        fleet.apps = {name: self.apps[name] for name in apps}
        return fleet

    def on(self, *names: str) -> "Fleet":
        """Some of the hosts, as somebody sees them who runs site.yml with `--limit`; for what more hosts would not prove better."""
        fleet = copy.copy(self)
        fleet.hosts = {name: self.hosts[name] for name in names}
        fleet.addresses = {name: self.addresses[name] for name in names}
        fleet.limit = ("--limit", ",".join(names))
        return fleet

    def settings(self, **settings: Any) -> dict[str, dict[str, Any]]:
        """The apps as the inventory would have them, with other settings for all of them."""
        return {name: {"source": str(self.source), **app, **settings} for name, app in self.apps.items()}

    def command(self, *arguments: str, playbook: str = "site.yml", apps: Mapping[str, Any] | None = None, **settings: Any) -> list[str]:
        """The command of a run; settings are those of every app, or all apps are given."""
        extra = json.dumps({**self.variables, "tornado_apps": self.settings(**settings) if apps is None else apps})
        return ["ansible-playbook", playbook, "-i", str(self.inventory), "--extra-vars", extra, *self.limit, *arguments]

    def run(
        self,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        root: Path = ROOT,
        timeout: float = RUN_TIMEOUT,
        **settings: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run site.yml of a repository; variables are the controller's own. What it printed goes to the test's output."""
        config = str(root / "ansible.cfg")
        plain = {**os.environ, "ANSIBLE_CONFIG": config, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        plain |= {**callbacks(root), **(variables or {})}
        command = self.command(*arguments, **settings)
        done = subprocess.run(command, cwd=root, env=plain, capture_output=True, text=True, check=False, timeout=timeout)
        print(done.stdout, done.stderr)
        return done

    def play(self, *arguments: str, **settings: Any) -> str:
        """A run that has to succeed; its output."""
        done = self.run(*arguments, **settings)
        assert done.returncode == 0
        return done.stdout

    def refused(self, *arguments: str, **settings: Any) -> str:
        """A run that has to fail, and must not change what any host runs; its output with line breaks folded."""
        before = self.everything()
        done = self.run(*arguments, **settings)
        assert done.returncode != 0
        assert self.everything() == before
        self.answers()
        return " ".join((done.stdout + done.stderr).split())

    def tasks(self, log: Path, *arguments: str, **settings: Any) -> dict[int, str]:
        """A run that has to succeed; number and name of each task that a host carries out, in their order."""
        done = self.run(*arguments, variables={"CRASH_LOG": str(log)}, **settings)
        assert done.returncode == 0
        lines = (line.split(" ", 1) for line in log.read_text().splitlines())
        return {int(number): name for number, name in lines}

    def crash(self, at: int | str, *arguments: str, first_host: bool = False, **settings: Any) -> None:
        """A run whose controller is killed at the start of a task, given by number or name.

        Or when the first host has done that task, and hardly any other has: hosts then take each task one after the other.
        """
        after = ["--forks=1"] if first_host else []
        variables = {"CRASH_AT": str(at), "CRASH_AFTER": "1" if first_host else ""}
        done = self.run(*arguments, *after, variables=variables, **settings)
        assert done.returncode == -signal.SIGKILL

    def change(self, text: str) -> None:
        """Make the apps' source another release."""
        with (self.source / "app.py").open("a") as code:
            code.write(f"# {text}\n")

    def look(self) -> dict[str, dict[str, tuple[State, float]]]:
        """Of each app what each host runs, as its kernel and its file system say, and when it was last switched."""
        found: dict[str, dict[str, tuple[State, float]]] = {app: {} for app in self.apps}
        for name, host in self.hosts.items():
            for line in host.check_output(LOOK.format(apps=" ".join(self.apps))).splitlines():
                app, slot, release, switched, *pids = line.split()
                found[app][name] = State(slot, release, frozenset(map(int, pids))), float(switched) + SWITCH_CLOCK
        return found

    def everything(self) -> dict[str, dict[str, State]]:
        """Of each app what each host runs."""
        return {app: {name: state for name, (state, _) in hosts.items()} for app, hosts in self.look().items()}

    def state(self, app: str = "shop") -> dict[str, State]:
        """What each host runs of an app."""
        return self.everything()[app]

    def release(self) -> str:
        """The one release that all hosts run, of every app."""
        (release,) = {state.release for hosts in self.everything().values() for state in hosts.values()}
        return release

    def get(self, name: str, path: str, app: str = "shop") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.addresses[name], timeout=30)
        connection.request("GET", self.prefix(app) + path, headers={"Host": self.server_name(name, app)})
        return connection.getresponse()

    def server_name(self, name: str, app: str) -> str:
        """What clients call the app on a host."""
        names: list[str] = self.apps[app].get("server_names", [self.addresses[name]])
        return names[0]

    def prefix(self, app: str) -> str:
        """What the app's paths begin with."""
        return str(self.apps[app].get("path", "/")).rstrip("/")

    def answers(self) -> None:
        """Each host serves the release that the live slot of each app names."""
        for app, hosts in self.everything().items():
            for name, state in hosts.items():
                answer = self.get(name, "/api/info", app)
                assert answer.status == 200
                assert json.load(answer)["release"] == state.release

    def leftovers(self) -> dict[str, list[str]]:
        """App and host -> the files of slots that are there beside those of the live one."""
        found = {}
        for app, hosts in self.everything().items():
            for name, state in hosts.items():
                files = self.hosts[name].check_output(f"ls /etc/{app}/slots").split()
                own = [f"{state.slot}{ending}" for ending in (".conf", ".json", ".secrets.json", ".logrotate")]
                if rest := [file for file in files if file not in own]:
                    found[f"{app} on {name}"] = rest
        return found

    def locks(self) -> dict[str, dict[str, Any]]:
        """Host -> what its lock says; empty when nobody holds it."""
        return {name: json.loads(host.run(f"cat {LOCK}").stdout or "{}") for name, host in self.hosts.items()}

    def environment(self, name: str, pid: int) -> dict[str, str]:
        """The environment of a live process."""
        raw = self.hosts[name].check_output(f"base64 --wrap=0 /proc/{pid}/environ")
        return dict(entry.split("=", 1) for entry in base64.b64decode(raw).decode().split("\0") if entry)

    def traffic(self, **socket_seconds: float) -> Traffic:
        """Clients of every app on every host, called `shop on web-1`, who do all that clients do while the block runs."""
        seconds = {**self.socket_seconds, **socket_seconds}
        targets = [
            Target(
                f"{app} on {name}",
                address,
                self.server_name(name, app),
                socket_seconds=seconds.get(app),
                prefix=self.prefix(app),
                without=self.without.get(app, ()),
            )
            for name, address in self.addresses.items()
            for app in self.apps
        ]
        return self.traffic_to(targets)

    def traffic_to(self, targets: Sequence[Target]) -> Traffic:
        """Clients of these targets."""
        folder = Path(tempfile.mkdtemp(prefix="traffic-", dir=self.source.parent))
        # As many requests in all, however many targets there are: the hosts share this machine.
        return Traffic(targets, folder, interval=0.2 * len(targets))

    @contextmanager
    def unnoticed(self, **socket_seconds: float) -> Iterator[Traffic]:
        """Let clients come to every app on every host; none of them may notice what the block does."""
        with self.traffic(**socket_seconds) as traffic:
            yield traffic
        print(traffic.account.summary())
        assert traffic.account.failures() == []
        assert traffic.account.lost() == 0


def example_app(folder: Path, *, worker: bool = False) -> Path:
    """A copy of the example app, without the line of its Procfile that starts a worker unless that is wanted."""
    left_out = ["__pycache__", *([] if worker else ["Procfile"])]
    return Path(shutil.copytree(ROOT / "files/app", folder, ignore=shutil.ignore_patterns(*left_out)))


def folded(output: str) -> str:
    """What a run says, without what YAML makes of lines and apostrophes."""
    return " ".join(output.replace("''", "'").split())


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again until a condition holds, for four minutes at most."""
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@cache
def kept_modules() -> tempfile.TemporaryDirectory[str]:
    """Where runs of this session find the modules that an earlier one has packed; gone at its end."""
    return tempfile.TemporaryDirectory(prefix="modules-")


def callbacks(root: Path) -> dict[str, str]:
    """What brings the callback plugins of the tests into a run of a repository."""
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "crash,kept_modules" if root == ROOT else "crash",  # another one has other modules of the same names
        "KEPT_MODULES": kept_modules().name,
    }


def changed_tasks(output: str) -> dict[str, tuple[str, ...]]:
    """Host -> the tasks of a run that changed it, for each host of the recap."""
    task, names = "", defaultdict[str, list[str]](list)
    for line in output.splitlines():
        if found := re.match(r"(?:TASK|RUNNING HANDLER) \[(.*)\]", line):
            task = found[1]
        elif found := re.match(r"changed: \[([^\] ]+)", line):
            names[found[1]].append(task)
    recap = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", output, re.MULTILINE)
    return {host: tuple(names[host] or ["a task"] * int(count)) for host, count in recap}
