"""What the tests ask of a host: as a client, from this machine, and as its kernel sees it, over SSH."""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host
from tornado.httpclient import HTTPClient, HTTPResponse

Fetch = Callable[..., HTTPResponse]


@pytest.fixture
def address(host: Host) -> str:
    """The host's address, as the inventory has it."""
    return str(host.ansible.get_variables()["ansible_host"])


@pytest.fixture
def cpus(host: Host) -> int:
    """CPUs that the host may use, as its inventory pins them."""
    return len(host.ansible.get_variables()["testhost_cpus"].split(","))


@pytest.fixture
def nofile(host: Host) -> int:
    """Open files that each process should be allowed."""
    return int(host.ansible.get_variables()["tornado_app_nofile"])


@pytest.fixture
def fetch(address: str) -> Fetch:
    """Ask the host's nginx for a path, from this machine; answers of any status are returned."""

    def ask(path: str, **options: Any) -> HTTPResponse:
        return HTTPClient().fetch(f"http://{address}{path}", **{"raise_error": False, "request_timeout": 60, **options})

    return ask


@pytest.fixture
def own_address(address: str) -> str:
    """This machine's address, as the host sees it."""
    with socket.create_connection((address, 80)) as connection:
        return str(connection.getsockname()[0])


@pytest.fixture
def root(host: Host) -> Callable[[str], str]:
    """Run a shell command as root on the host; its output."""

    def run(command: str) -> str:
        with host.sudo():
            return str(host.check_output(command)).strip()

    return run


@pytest.fixture
def processes(root: Callable[[str], str]) -> Callable[[], dict[int, int]]:
    """The app's processes as the kernel has them: port -> pid, by the sockets on which they listen.

    While a process ends, the kernel still has its socket for a moment, and no process that holds it: none is counted.
    """

    def listening() -> dict[int, int]:
        uid = root("id -u shop")
        lines = root("ss -Hltnpe").splitlines()
        found = {}
        for line in lines:
            if f"uid:{uid} " in line and "pid=" in line:
                found[int(line.split()[3].rpartition(":")[2])] = int(line.partition("pid=")[2].partition(",")[0])
        return found

    return listening


@pytest.fixture
def info(fetch: Fetch) -> Callable[[], dict[str, Any]]:
    """What the app says of the process that answers, and of its visitor."""

    def ask() -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(fetch("/api/info").body)
        return answer

    return ask
