"""What the benchmarks make of the output of a run, and of the seconds that it took."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.converge import ratio, told
from bench.fleet import fleet, further
from bench.hosts import Run
from bench.http import Sample as Answers
from bench.http import measured
from bench.http import report as answers_report
from bench.logs import Sample, report
from bench.sockets import family
from bench.sockets import report as sockets_report

OUTPUT = """
TASK [Gathering Facts] *********************************************************
<10.0.0.1> ESTABLISH SSH CONNECTION FOR USER: deploy
<10.0.0.1> SSH: EXEC ssh -o ControlMaster=auto 10.0.0.1 '/bin/sh -c '"'"'/usr/bin/python3 && sleep 0'"'"''
<10.0.0.2> SSH: EXEC ssh -o ControlMaster=auto 10.0.0.2 '/bin/sh -c '"'"'/usr/bin/python3 && sleep 0'"'"''
<10.0.0.1> (0, b'<10.0.0.1> SSH: EXEC is what a host says', b'')
ok: [web-1]
TASK [shop : Write a file] *****************************************************
<10.0.0.2> PUT /tmp/a TO /tmp/b
<10.0.0.2> SSH: EXEC sftp -b - '[10.0.0.2]'
skipping: [web-1] => {
    "msg": "skipping: not at the start of a line"
}
skipping: [web-1] => (item=one)
ok: [web-2]

PLAY RECAP *********************************************************************
web-1                      : ok=12   changed=2    unreachable=0    failed=0    skipped=3    rescued=0    ignored=0
web-2                      : ok=13   changed=30   unreachable=0    failed=0    skipped=1    rescued=0    ignored=0
"""


def test_calls_are_those_of_the_host_that_has_the_most() -> None:
    assert Run(1, 1, OUTPUT).calls() == 2
    assert Run(1, 1, "").calls() == 0


def test_skipping_counts_at_the_start_of_a_line() -> None:
    assert Run(1, 1, OUTPUT).skipped() == 2


def test_changes_of_all_hosts_count() -> None:
    assert Run(1, 1, OUTPUT).changed() == 32


def test_the_ratio_is_that_to_the_mean_of_the_yardsticks_around_it() -> None:
    assert ratio(10.0, 30.0, 20.0) == pytest.approx(2.0)


def test_each_ratio_is_told_with_their_median() -> None:
    line = " ".join(told("restart", [3.0, 1.0, 2.5], [60.0, 20.0, 50.0]).split())
    assert line == "restart 2.50 of 3.00 1.00 2.50 (60.0 20.0 50.0 s here)"


def test_a_fleet_is_many_names_of_the_test_hosts_with_a_connection_each() -> None:
    addresses: dict[str, dict[str, Any]] = {"web-1": {"ansible_host": "10.0.0.1"}, "web-2": {"ansible_host": "10.0.0.2"}}
    found = fleet(addresses, 3, Path("/run/bench"))
    assert [host["ansible_host"] for host in found.values()] == ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
    assert len({host["ansible_control_path"] for host in found.values()}) == len(found) == 3


def test_a_further_host_costs_what_a_larger_fleet_takes_more() -> None:
    expected = "each further host costs 1.50 s from 4 to 40 hosts, 2.00 s from 40 to 200 hosts"
    assert further({200: 384.0, 4: 10.0, 40: 64.0}) == expected


def test_ways_to_a_log_are_side_by_side_with_their_medians() -> None:
    pipe, own = [Sample(100, 0.2), Sample(300, 0.4), Sample(200, 0.3)], [Sample(250, 0.0)]
    _, first, second = report({(10, "pipe"): pipe, (10, "own"): own}).splitlines()
    assert first.split() == ["10", "pipe", "200", "2,000", "30%", "1.00"]
    assert second.split() == ["10", "own", "250", "2,500", "0%", "1.25"]


WRK = """Running 4s test @ http://127.0.0.1:8000/healthz
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.05ms  310.00us   9.12ms   90.12%
    Req/Sec    14.01k     1.02k   15.90k    71.43%
  55800 requests in 4.00s, 12.50MB read
Requests/sec:  13950.00
Transfer/sec:      3.12MB
"""


def test_what_wrk_has_measured_is_read() -> None:
    assert measured(WRK) == Answers(13950.0, 12.5 * 1024**2 / 55800)


@pytest.mark.parametrize("line", ["  Non-2xx or 3xx responses: 7\n", "  Socket errors: connect 0, read 3, write 0, timeout 0\n"])
def test_a_measurement_with_other_answers_is_worth_nothing(line: str) -> None:
    with pytest.raises(AssertionError, match=line.strip()[:7]):
        measured(WRK.replace("Requests/sec", f"{line}Requests/sec"))


def test_each_way_is_compared_with_the_guide_by_its_median() -> None:
    samples = {("/static/a.css?v=1", "guide"): [Answers(1, 9), Answers(100, 9)], ("/static/a.css?v=1", "ports"): [Answers(101, 5)]}
    _, guide, ports = answers_report(samples).splitlines()
    assert guide.split() == ["/static/a.css", "guide", "50", "1.00", "9"]
    assert ports.split() == ["/static/a.css", "ports", "101", "2.00", "5"]


def test_ways_to_move_websockets_are_side_by_side() -> None:
    way = {
        "count": 10000,
        "connect_seconds": 12.34,
        "broadcast_seconds": {"half": 0.5, "last": 1.25},
        "change_seconds": 30.0,
        "move_seconds": 8.0,
        "back": 9000,
        "closed": {"1001": 9000, "1006": 1000},
        "refused": {"HTTP 502": 3, "HTTP 503": 4},
        "posts": {"answered": 28, "failed": {"HTTP 503": 2}},
        "complete": 10000,
        "memory_bytes_each": 51234.0,
        "cpu_seconds_each": 0.0023,
    }
    lines = [line.split("  ", 1) for line in sockets_report({"this role": way, "guide and restart": way}).splitlines()]
    shown = {name.strip(): " ".join(rest.split()) for name, rest in lines[1:]}
    assert shown["seconds to connect"] == "12.3 12.3"
    assert shown["closed, by code"] == "1001: 9,000, 1006: 1,000 1001: 9,000, 1006: 1,000"
    assert (shown["refused"], shown["messages that failed"]) == ("7 7", "2 of 30 2 of 30")
    assert (shown["kB of memory each"], shown["ms of CPU each, to connect"]) == ("51 51", "2.3 2.3")


def test_the_family_of_a_process_has_its_grandchildren() -> None:
    command = [sys.executable, "-c", "import subprocess, sys; subprocess.run(['sh', '-c', 'echo $$; read line'])"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        grandchild = int(child.stdout.readline())
        assert {child.pid, grandchild} <= family(child.pid)
        child.communicate("\n")
