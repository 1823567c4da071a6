"""What a host does when something of the app ends."""

import time
from collections.abc import Callable, Iterator

import pytest
from testinfra.host import Host
from tornado.httpclient import HTTPResponse

Fetch = Callable[..., HTTPResponse]
Root = Callable[[str], str]
Processes = Callable[[], dict[int, int]]
STATUS = "python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).status)'"
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


def test_the_service_has_restarted_when_each_process_answers(host: Host, root: Root, processes: Processes, fetch: Fetch) -> None:
    before = processes()
    root("systemctl restart shop.service")
    after = processes()
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    for port in after:
        assert root(f"{STATUS} http://127.0.0.1:{port}/healthz") == "200"
    assert fetch("/healthz").code == 200
    with host.sudo():
        assert host.service("shop").is_enabled
        assert host.service("shop").is_running
        assert host.service("nginx").is_enabled


def test_a_stopped_unit_leaves_no_process_behind(root: Root, processes: Processes, fetch: Fetch) -> None:
    root("systemctl stop shop.service")
    try:
        assert processes() == {}
        assert root("pgrep --count --uid shop || true") == "0"
        answer = fetch("/")
        assert (answer.code, answer.headers["Retry-After"]) == (503, "5")
    finally:
        root("systemctl start shop.service")
