"""An operator's view of the fleet: runs of site.yml, and what the hosts are doing before and after."""

import base64
import http.client
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import testinfra
from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[1]
APP = {"command": "{python} app.py --port={port}", "health": {"path": "/healthz", "timeout": 20}}


class State(NamedTuple):
    """What one host runs."""

    slot: str
    release: str
    pids: frozenset[int]


@dataclass
class Traffic:
    """Requests that clients kept sending while something happened."""

    answers: dict[str, int] = field(default_factory=dict)  # release -> number
    failures: list[str] = field(default_factory=list)


class Fleet:
    """The hosts of a scenario, and a source that they are deployed from."""

    def __init__(self, inventory: Path, source: Path) -> None:
        self.inventory = inventory
        self.source = source
        self.hosts: dict[str, Host] = {
            name: testinfra.get_host(f"ansible://{name}?ansible_inventory={inventory}&sudo=True") for name in ("web-1", "web-2")
        }
        self.addresses = {name: str(host.ansible.get_variables()["ansible_host"]) for name, host in self.hosts.items()}

    def command(self, *arguments: str, apps: Mapping[str, Any] | None = None, **settings: Any) -> list[str]:
        """The command of a run; settings are the app's, or all apps are given."""
        chosen = apps if apps is not None else {"shop": {"source": str(self.source), **APP, **settings}}
        extra = json.dumps({"tornado_apps": chosen})
        return ["ansible-playbook", "site.yml", "-i", str(self.inventory), "--extra-vars", extra, *arguments]

    def run(self, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """Run site.yml; what it printed goes to the test's output."""
        plain = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        done = subprocess.run(self.command(*arguments, **settings), cwd=ROOT, env=plain, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        return done

    def play(self, *arguments: str, **settings: Any) -> str:
        """A run that has to succeed; its output."""
        done = self.run(*arguments, **settings)
        assert done.returncode == 0
        return done.stdout

    def refused(self, *arguments: str, **settings: Any) -> str:
        """A run that has to fail, and must not change what any host runs; its output with line breaks folded."""
        before = self.state()
        done = self.run(*arguments, **settings)
        assert done.returncode != 0
        assert self.state() == before
        self.answers()
        return " ".join((done.stdout + done.stderr).split())

    def change(self, text: str) -> None:
        """Make the app's source another release."""
        with (self.source / "app.py").open("a") as code:
            code.write(f"# {text}\n")

    def state(self) -> dict[str, State]:
        """What each host runs, as its kernel and its file system say."""
        return {name: self.state_of(host) for name, host in self.hosts.items()}

    @staticmethod
    def state_of(host: Host) -> State:
        slot = "green" if host.file("/srv/shop/live/green").exists else "blue"
        release = host.check_output(f"basename $(readlink /srv/shop/slots/{slot})")
        pids = host.run("pgrep --uid shop --full app.py").stdout.split()
        return State(slot, release, frozenset(int(pid) for pid in pids))

    def get(self, name: str, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.addresses[name], timeout=30)
        connection.request("GET", path)
        return connection.getresponse()

    def answers(self) -> None:
        """Each host serves the release that its live slot names."""
        for name, state in self.state().items():
            answer = self.get(name, "/api/info")
            assert answer.status == 200
            assert json.load(answer)["release"] == state.release

    def environment(self, name: str, pid: int) -> dict[str, str]:
        """The environment of a live process."""
        raw = self.hosts[name].check_output(f"base64 --wrap=0 /proc/{pid}/environ")
        return dict(entry.split("=", 1) for entry in base64.b64decode(raw).decode().split("\0") if entry)

    @contextmanager
    def traffic(self) -> Iterator[Traffic]:
        """Clients that send one request after the other over kept connections, to every host, until the block ends."""
        seen, stop, lock = Traffic(), threading.Event(), threading.Lock()

        def client(address: str, method: str, path: str) -> None:
            connection = http.client.HTTPConnection(address, timeout=30)
            while not stop.is_set():
                try:
                    connection.request(method, path, body=b"x" * 1000 if method == "POST" else None)
                    answer = connection.getresponse()
                    body = answer.read()
                    with lock:
                        if answer.status != 200:
                            seen.failures.append(f"{address} {method} {path}: {answer.status}")
                        elif path == "/api/info":
                            release = json.loads(body)["release"]
                            seen.answers[release] = seen.answers.get(release, 0) + 1
                except (OSError, http.client.HTTPException, ValueError) as error:
                    with lock:
                        seen.failures.append(f"{address} {method} {path}: {error!r}")
                    connection.close()
                stop.wait(0.02)  # bounded: at most 50 requests a second and client

        requests = (("GET", "/api/info"), ("GET", "/static/app.css"), ("POST", "/upload"), ("POST", "/upload"))
        clients = [
            threading.Thread(target=client, args=(address, method, path), daemon=True)
            for address in self.addresses.values()
            for method, path in requests
        ]
        for thread in clients:
            thread.start()
        try:
            yield seen
        finally:
            stop.set()
            for thread in clients:
                thread.join()
