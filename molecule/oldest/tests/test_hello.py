"""An app without health path and static files, on a host of the oldest kind, brought there by the collection's archive."""

import json
import re
from collections.abc import Callable

import pytest
from testinfra.host import Host
from tornado.httpclient import HTTPClient

Play = Callable[..., str]  # see conftest.py

pytestmark = pytest.mark.usefixtures("converged")


def test_both_processes_answer_with_the_hosts_python(host: Host) -> None:
    address = host.ansible.get_variables()["ansible_host"]
    answers = [json.loads(HTTPClient().fetch(f"http://{address}/").body) for _ in range(20)]
    assert {answer["port"] for answer in answers} == {8000, 8001}
    assert all(answer["python"].startswith("3.9.") for answer in answers)


def test_live_processes_have_the_limit_and_the_sandbox(host: Host) -> None:
    with host.sudo():
        pids = host.check_output("pgrep --uid hello").split()
        assert len(pids) == 4  # supervisord, its watchdog and two processes
        for pid in pids:
            assert host.check_output(f"awk '/^Max open files/ {{print $4}}' /proc/{pid}/limits") == "16384"
            assert host.check_output(f"awk '$1 == \"CapBnd:\" {{print $2}}' /proc/{pid}/status").strip("0") == ""
            assert " / ro," in host.check_output(f"awk '{{print \"\", $5, $6}}' /proc/{pid}/mountinfo")


def test_the_imported_playbook_finds_nothing_to_do_after_the_role(host: Host, play: Play) -> None:
    with host.sudo():
        before = host.check_output("pgrep --uid hello")
        output = play("site.yml")
        assert re.findall(r"changed=(\d+)", output) == ["0"]
        assert "Nothing differs on any host" in output
        assert host.check_output("pgrep --uid hello") == before


def test_an_operation_of_the_imported_playbook(host: Host, play: Play) -> None:
    with host.sudo():
        before = set(host.check_output("pgrep --uid hello --full hello.py").split())
        play("site.yml", "--tags", "restart")
        after = set(host.check_output("pgrep --uid hello --full hello.py").split())
    assert len(after) == len(before)
    assert not after & before
