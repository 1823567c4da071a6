"""What a host does when something of the app ends."""

import time
from collections.abc import Callable, Iterator

import pytest
from testinfra.host import Host
from tornado.httpclient import HTTPResponse

Fetch = Callable[..., HTTPResponse]
Root = Callable[[str], str]
Processes = Callable[[], dict[int, int]]
PATIENCE = 60  # seconds until a test gives up; how long it takes is not tested


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.5)
    return condition()


@pytest.fixture(autouse=True)
def answers_in_the_end(fetch: Fetch) -> Iterator[None]:
    yield
    assert eventually(lambda: fetch("/healthz").code == 200)


def test_a_killed_process_comes_back(root: Root, processes: Processes) -> None:
    before = processes()
    root(f"kill -9 {before[8000]}")
    assert eventually(lambda: processes().get(8000, before[8000]) != before[8000])
    others = {port: pid for port, pid in before.items() if port != 8000}
    assert {port: pid for port, pid in processes().items() if port != 8000} == others


def test_a_killed_supervisord_comes_back_with_all_processes(root: Root, processes: Processes) -> None:
    before = processes()
    root("kill -9 $(systemctl show --property=MainPID --value shop.service)")
    assert eventually(lambda: processes().keys() == before.keys() and not set(processes().values()) & set(before.values()))


def test_the_service_survives_a_restart(host: Host, root: Root, processes: Processes) -> None:
    before = processes()
    root("systemctl restart shop.service")
    assert eventually(lambda: processes().keys() == before.keys() and not set(processes().values()) & set(before.values()))
    with host.sudo():
        assert host.service("shop").is_enabled
        assert host.service("shop").is_running
        assert host.service("nginx").is_enabled


def test_a_stopped_unit_leaves_no_process_behind(root: Root, processes: Processes) -> None:
    root("systemctl stop shop.service")
    try:
        assert processes() == {}
        assert root("pgrep --count --uid shop || true") == "0"
    finally:
        root("systemctl start shop.service")
