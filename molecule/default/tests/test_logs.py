"""Where a request is noted, and that the notes do not grow for ever."""

import json
from collections.abc import Callable
from typing import Any

from testinfra.host import Host
from tornado.httpclient import HTTPResponse

Fetch = Callable[..., HTTPResponse]
Root = Callable[[str], str]
ACCESS_LOG = "/var/log/nginx/shop.access.log"


def noted(root: Root, uri: str) -> dict[str, Any]:
    """What nginx noted of the one request for a URI."""
    (line,) = root(f"grep --fixed-strings '{uri}' {ACCESS_LOG}").splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_request_is_found_in_the_logs_of_nginx_and_of_its_process(fetch: Fetch, root: Root) -> None:
    fetch("/api/info?mark=first")
    found = noted(root, "mark=first")
    assert (found["slot"], found["status"]) == ("blue", 200)
    assert float(found["request_time"]) >= 0
    assert float(found["upstream_response_time"]) >= 0
    port = found["upstream_addr"].rpartition(":")[2]
    assert json.loads(root(f"grep --fixed-strings 'mark=first' /var/log/shop/{port}.log"))["request_id"] == found["request_id"]


def test_the_log_of_a_process_is_rotated_by_its_own_user(host: Host, fetch: Fetch, root: Root) -> None:
    """The process goes on writing to the file that it has opened."""
    fetch("/api/info?mark=fourth")
    port = noted(root, "mark=fourth")["upstream_addr"].rpartition(":")[2]
    log = f"/var/log/shop/{port}.log"
    file = root(f"stat --format=%i {log}")
    root(f"truncate --size=+60M {log}")
    root("systemctl start tornado_app-logs@shop.service")
    assert root(f"stat --format='%U %a' {log}.1") == "shop 640"
    assert root(f"grep --text --count mark=fourth {log}.1") == "1"
    root(f"rm {log}.1")
    root(f"python3 -c 'import urllib.request as ask; ask.urlopen(\"http://127.0.0.1:{port}/api/info?mark=fifth\")'")
    assert root(f"grep --count mark=fifth {log}") == "1"
    assert root(f"stat --format=%i {log}") == file
    assert int(root(f"stat --format=%s {log}")) < 1_000_000
    with host.sudo():
        assert host.service("tornado_app-logs@shop.timer").is_enabled
        assert host.service("tornado_app-logs@shop.timer").is_running


def test_the_log_of_nginx_is_rotated(host: Host, fetch: Fetch, root: Root) -> None:
    fetch("/api/info?mark=second")
    root("logrotate --force /etc/logrotate.d/nginx")
    fetch("/api/info?mark=third")
    assert noted(root, "mark=third")["status"] == 200
    assert root(f"grep --count mark=second {ACCESS_LOG}.1") == "1"
    with host.sudo():
        assert host.service("logrotate.timer").is_enabled
        assert host.service("logrotate.timer").is_running
