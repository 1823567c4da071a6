"""The files of nginx, rendered from the real plan and judged by nginx's own parser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.conftest import facts, nginx_test, nginx_tree, render
from tests.unit.rendering import Plan, nginx_files, plan

__all__ = ["plan"]  # a fixture


def directives(text: str) -> list[str]:
    """nginx's simple directives, without comments and with single spaces."""
    bare = re.sub(r"#.*", "", text)
    return [" ".join(part.split()) for part in re.findall(r"[^;{}]+;", bare)]


@pytest.mark.parametrize("ipv6", [True, False])
def test_nginx_takes_its_files(
    plan: Plan, tmp_path: Path, nginx: Path, has_ipv6: bool, ipv6: bool, ports: Callable[[int], list[int]]
) -> None:
    if ipv6 and not has_ipv6:
        pytest.skip("no IPv6 here")
    config = nginx_tree(tmp_path, nginx_files(plan, ipv6=ipv6), ports(1)[0])
    passed, words = nginx_test(nginx, config)
    assert passed, words
    # Whoever is not root hears that `user` has no effect.
    assert not [line for line in words.splitlines() if "[warn]" in line and 'the "user" directive makes sense only' not in line]


def test_nginx_refuses_what_is_wrong(plan: Plan, tmp_path: Path, nginx: Path, ports: Callable[[int], list[int]]) -> None:
    """The judge above does look into each of the files."""
    files = nginx_files(plan, ipv6=False)
    for path, text in files.items():
        config = nginx_tree(tmp_path, {**files, path: f"{text}\nnonsense;\n"}, ports(1)[0])
        passed, words = nginx_test(nginx, config)
        assert not passed
        assert 'unknown directive "nonsense"' in words
        assert path in words


def test_upstreams(plan: Plan) -> None:
    files = nginx_files(plan)
    for app in plan.values():
        for slot in app["slots"].values():
            text = files[slot["upstream_config"]]
            (name,) = re.findall(r"upstream (\S+) \{", text)
            assert name == slot["upstream"] == f"{app['name']}_{slot['name']}"
            found = directives(text.split("{", 1)[1])
            assert [line for line in found if line.startswith("server ")] == [
                f"server 127.0.0.1:{port} max_fails=0;" for port in slot["ports"]
            ]
            assert {"least_conn;", f"zone {name} 256k;", "keepalive_timeout 2s;"} <= set(found)


def test_sites(plan: Plan) -> None:
    files = nginx_files(plan)
    for app in plan.values():
        text = files[app["site_config"]]
        found = directives(text)
        names = list(dict.fromkeys(app["server_names"]))
        assert f"server_name {' '.join(names)};" in found
        assert "proxy_next_upstream error;" in found
        assert "open_file_cache off;" in found
        assert f"client_max_body_size {app['client_max_body_size']};" in found
        assert f"proxy_read_timeout {app['proxy_read_timeout']}s;" in found
        assert f"if (-e {app['flag']})" in text
        assert f"access_log {app['access_log']} tornado_app_{app['name']};" in found
        assert set(re.findall(r"proxy_pass (\S+);", text)) == {
            f"http://{app['name']}_${app['variable']}{path}" for path in ("", app["ready_path"])
        }
        assert {f"{app['name']}_{slot}" for slot in ("blue", "green")} == {slot["upstream"] for slot in app["slots"].values()}
        if app["static"]:
            assert f"alias {app['home']}/slots/${app['variable']}/{app['static']}/;" in found
            assert "expires $tornado_app_expires;" in found
        else:
            assert "static" not in text


@pytest.mark.parametrize("ipv6", [True, False])
def test_listening_addresses(plan: Plan, ipv6: bool) -> None:
    files = nginx_files(plan, ipv6=ipv6)
    default = [line for line in directives(files["conf.d/tornado_app.conf"]) if "listen" in line]
    assert [line.split("listen ")[1] for line in default] == ["80 default_server;", *(["[::]:80 default_server;"] if ipv6 else [])]
    for app in plan.values():
        text = files[app["site_config"]]
        assert re.findall(r"listen (.*);", text) == ["80", *(["[::]:80"] if ipv6 else [])]


def test_shared_site(plan: Plan) -> None:
    text = nginx_files(plan)["conf.d/tornado_app.conf"]
    assert "return 444;" in directives(text)
    maps = {
        name: dict(re.findall(r"^\s+(\S+|\".*?\")\s+(\S+);", body, re.MULTILINE))
        for name, body in re.findall(r"map [^\n]*(\$\S+) \{(.*?)\n\}", text, re.DOTALL)
    }
    assert maps["$tornado_app_upgrade"] == {"default": '""', "websocket": "websocket"}
    assert maps["$tornado_app_connection"] == {"default": "upgrade", '""': '""'}
    assert maps["$tornado_app_expires"] == {"default": "max", '""': "-1"}
    assert maps["$tornado_app_retry_after"] == {"default": '""', '"~^503 502(, 502)*$"': "5"}
    assert maps["$tornado_app_outside"] == {"default": "1", '"127.0.0.1 127.0.0.1"': '""', '"::1 ::1"': '""'}


def test_timeouts_and_buffers_of_clients() -> None:
    found = directives(render("nginx.conf.j2", {}))
    assert {
        "client_header_timeout 15s;",
        "client_body_timeout 30s;",
        "send_timeout 60s;",
        "large_client_header_buffers 4 8k;",
        "reset_timedout_connection on;",
    } <= set(found)


@pytest.mark.parametrize("cpus", [1, 64])
def test_main_file_of_nginx(cpus: int) -> None:
    variables = {"ansible_facts": facts(cpus), "tornado_app_nofile": 65537}
    found = directives(render("nginx.conf.j2", variables))
    assert {f"worker_processes {cpus};", "worker_rlimit_nofile 65537;", "worker_shutdown_timeout 1h;", "server_tokens off;"} <= set(found)
    (connections,) = (line for line in found if "worker_connections" in line)
    assert "worker_connections 32768;" in connections
    assert next(line for line in found if line.startswith("include conf.d")) == "include conf.d/*.conf;"
    (types,) = (line.split()[1:] for line in found if line.startswith("gzip_types"))
    assert {"text/css", "application/javascript", "text/javascript", "application/json", "image/svg+xml"} <= {
        kind.rstrip(";") for kind in types
    }
    # A relative path is what a copy of the tree can be judged by.
    assert not [line for line in found if line.startswith("include /")]
