"""The files of nginx, rendered from the real plan and judged by nginx's own parser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.template import trust_as_template

from tests.unit.certified import authority
from tests.unit.conftest import facts, make_plan, render, templar
from tests.unit.nginx_trees import nginx_test, nginx_tree
from tests.unit.rendering import API, SHOP, Plan, nginx_files, plan

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


def test_nginx_has_room_for_many_apps(tmp_path: Path, nginx: Path, ports: Callable[[int], list[int]]) -> None:
    """With all that an app may have in its site."""
    own = {**SHOP, "processes": 1, "balance": "cookie", "response_headers": {"X-Frame-Options": "DENY", "X-Other": "a"}}
    apps = {f"app-{number}": {**own, "server_names": [f"{number}.example.com"], "port": 8000 + 2 * number} for number in range(40)}
    passed, words = nginx_test(nginx, nginx_tree(tmp_path, nginx_files(make_plan(apps, stride=1), ipv6=False), ports(1)[0]))
    assert passed, words
    assert "could not build" not in words


def test_the_site_of_an_app_that_is_not_listed_any_more_needs_nothing_of_the_plan(
    tmp_path: Path, nginx: Path, ports: Callable[[int], list[int]]
) -> None:
    """Its files stay as they are; those that all share are made anew, without it."""
    own = {"tls": {"self_signed": True, "hsts": 60}, "redirect_names": ["old.example.com"], "balance": "cookie"}
    before = nginx_files(make_plan({"shop": {**SHOP, **own}, "api": API}), ipv6=False)
    after = nginx_files(make_plan({"api": API}), ipv6=False)
    leaf = authority().leaf("shop.example.com")
    passed, words = nginx_test(nginx, nginx_tree(tmp_path, {**before, **after, "tornado_app/shop.pem": leaf.pem + leaf.key_pem}, *ports(2)))
    assert passed, words


def test_nginx_refuses_what_is_wrong(plan: Plan, tmp_path: Path, nginx: Path, ports: Callable[[int], list[int]]) -> None:
    """The judge above does look into each of the files."""
    files = nginx_files(plan, ipv6=False)
    for path, text in files.items():
        config = nginx_tree(tmp_path, {**files, path: f"{text}\nnonsense;\n"}, ports(1)[0])
        passed, words = nginx_test(nginx, config)
        assert not passed
        assert 'unknown directive "nonsense"' in words
        assert path in words


def test_the_header_of_hsts_is_there_once(plan: Plan) -> None:
    """Whatever an app says itself, and of no app that does not want it."""
    text = nginx_files(make_plan({"shop": {**SHOP, "tls": {"self_signed": True, "hsts": 60}}}))["conf.d/shop.conf"]
    assert {"proxy_hide_header Strict-Transport-Security;", 'set $tornado_app_hsts "max-age=60";'} <= set(directives(text))
    assert not [path for path, text in nginx_files(plan).items() if "set $tornado_app_hsts" in text]


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
        asked = plan.values() if "192.0.2.1" in names else [app]  # by address for the whole host
        assert set(re.findall(r"proxy_pass (\S+);", text)) == {
            f"http://{app['name']}_${app['variable']}",
            *(f"http://{one['name']}_${one['variable']}{one['ready_path']}" for one in asked),
        }
        assert {f"{app['name']}_{slot}" for slot in ("blue", "green")} == {slot["upstream"] for slot in app["slots"].values()}
        if app["static"]:
            path = f"{app['static']}$static_{app['variable']}"
            live = f"/slots/${app['variable']}/{path} /slots/$other_{app['variable']}/{path}"
            for near in ("", "closing_"):
                assert f"try_files /assets/$tornado_app_asset$static_{app['variable']} @{near}files_{app['name']};" in found
                assert f"try_files {live} @{near}{app['name']};" in found
            assert text.count("gzip_static on;") == 4
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


@pytest.mark.parametrize("ipv6", [True, False])
def test_listening_addresses_with_tls(ipv6: bool) -> None:
    """Of those sites that have it, and for names that none has."""
    files = nginx_files(make_plan({"shop": {**SHOP, "tls": {"self_signed": True}}, "api": API}), ipv6=ipv6)
    listening = {path: re.findall(r"listen (.*);", text) for path, text in files.items()}
    for path, ending in (("conf.d/shop.conf", ""), ("conf.d/tornado_app.conf", " default_server")):
        plain, tls = (["80", "[::]:80"], ["443 ssl http2", "[::]:443 ssl http2"]) if ipv6 else (["80"], ["443 ssl http2"])
        assert listening[path] == [f"{address}{ending}" for address in (*plain, *tls)]
    assert listening["conf.d/api.conf"] == plain
    assert "443 ssl" not in "".join(nginx_files(make_plan({"shop": SHOP, "api": API}), ipv6=ipv6).values())


def test_shared_site(plan: Plan) -> None:
    text = nginx_files(plan)["conf.d/tornado_app.conf"]
    assert "return 444;" in directives(text)
    maps = {
        name: dict(re.findall(r"^\s+(\S+|\".*?\")\s+(\S+);", body, re.MULTILINE))
        for name, body in re.findall(r"map [^\n]*(\$\S+) \{(.*?)\n\}", text, re.DOTALL)
    }
    assert maps["$tornado_app_upgrade"] == {"default": '""', "websocket": "websocket"}
    assert maps["$tornado_app_connection"] == {"default": "upgrade", '""': '""'}
    assert maps["$tornado_app_versioned"] == {"default": "v", '""': '""'}
    assert maps["$tornado_app_expires"] == {"default": "max", '""': "-1"}
    assert maps["$tornado_app_asset"] == {"default": '"-"', '"~^[0-9a-f]{32,128}$"': "$arg_v"}
    assert maps["$tornado_app_retry_after"] == {"default": "$tornado_app_maintenance", '"~^503 502(, 502)*$"': "5"}
    assert maps["$tornado_app_outside"] == {"default": "1", '"127.0.0.1 127.0.0.1"': '""', '"::1 ::1"': '""'}


def test_timeouts_and_buffers_of_clients_are_those_of_the_roles_own_servers() -> None:
    """Other sites keep nginx's."""
    files = nginx_files(make_plan({"shop": SHOP}))
    wanted = directives(render("nginx_site/clients.conf.j2", {}))
    assert "client_body_timeout 30s;" in wanted
    for path in ("conf.d/tornado_app.conf", "conf.d/shop.conf"):
        assert set(wanted) <= set(directives(files[path]))
    assert not set(wanted) & set(directives(files["nginx.conf"]))


@pytest.mark.parametrize(("debian", "count"), [(11, 0), (12, 4), (13, 4)])
def test_brotli_is_served_where_the_distribution_has_it(debian: int, count: int) -> None:
    app = make_plan({"shop": SHOP})["shop"]
    variables = {"ansible_facts": facts(debian=debian), "apps": [app], "all_apps": [app]}
    assert render("nginx_site.conf.j2", variables).count("brotli_static on;") == count
    # A check installs no package, and lets nginx judge its files all the same.
    missing = {"differs": {"package": ["libnginx-mod-http-brotli-static"]}}
    for state, found in ((missing, 0), ({"differs": {"package": ["nginx"]}}, count), ({"differs": {}}, count)):
        checked = {**variables, "ansible_check_mode": True, "__tornado_app_state": state}
        assert render("nginx_site.conf.j2", checked).count("brotli_static on;") == found
    assert render("nginx_site.conf.j2", {**variables, "__tornado_app_state": missing}).count("brotli_static on;") == count


@pytest.mark.parametrize(
    ("distribution", "version", "has"), [("Debian", "11", False), ("Debian", "13", True), ("Ubuntu", "22", False), ("Ubuntu", "24", True)]
)
def test_packages_for_brotli(distribution: str, version: str, has: bool) -> None:
    found = {"ansible_facts": {**facts(), "distribution": distribution, "distribution_major_version": version}}
    packages = templar(found).template(trust_as_template("{{ __tornado_app_packages }}"))
    assert {"nginx", "logrotate"} <= set(packages)
    assert ({"brotli", "libnginx-mod-http-brotli-static"} <= set(packages)) is has


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
