"""What the balancer makes of the inventory: who gets which requests, which hosts an app has, and what cannot be."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import balancer, balancer_rules
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.balancer import Host
from tests.unit.haproxy_host import config, given, haproxy, host

__all__ = ["haproxy"]  # a fixture

SHOP = given("shop.test")
FILES = {"certificate": "c.pem", "key": "k.pem"}
ISSUED = {"acme": {"email": "ops@shop.test"}}
SECURE = given("shop.test", tls=FILES)


def routed(*hosts: Host) -> list[tuple[str, str, str]]:
    """App, names and prefix, in the order in which a request is looked up."""
    routes = balancer.template_variables(hosts, "terminate", False, "", [])["routes"]
    return [(route["app"], f"{route['match']} {' '.join(route['names'])}", route["prefix"]) for route in routes]


def test_whole_names_come_before_wildcards_and_the_longest_first() -> None:
    apps = {
        "wide": given("*.test", path="/long/prefix/"),
        "all": given("*.test"),
        "near": given("*.shop.test", "shop.test"),
        "admin": given("shop.test", "*.shop.test", path="/admin/"),
        "one": given("one.shop.test"),
    }
    assert routed(host(1, apps)) == [
        ("admin", "str shop.test", "/admin"),
        ("near", "str shop.test", ""),
        ("one", "str one.shop.test", ""),
        ("admin", "end .shop.test", "/admin"),
        ("near", "end .shop.test", ""),
        ("wide", "end .test", "/long/prefix"),
        ("all", "end .test", ""),
    ]


def test_names_that_lead_to_an_app_are_of_its_hosts_whatever_its_prefix() -> None:
    apps = {"shop": given("shop.test", others=["www.test", "Old.test"]), "admin": given("shop.test", path="/admin/", others=["admin.test"])}
    other = {**apps, "shop": given("shop.test", others=["old.test"])}
    assert routed(host(1, apps), host(2, other)) == [
        ("admin", "str shop.test", "/admin"),
        ("shop", "str shop.test", ""),
        ("shop", "str old.test", ""),
        ("admin", "str admin.test", ""),
    ]


def test_connections_for_such_names_are_passed_to_the_site() -> None:
    apps = {
        "shop": given("shop.test", others=["www.test"], tls=FILES),
        "admin": given("shop.test", path="/admin/", others=["old.test", "www.test"], tls=FILES),
    }
    hosts = [host(1, apps, proxy_port=81, proxy_tls_port=444)]
    (route,) = balancer.template_variables(hosts, "pass", False, "", [])["routes_of_sites"]
    assert route["names"] == ["shop.test", "www.test", "old.test"]


@pytest.mark.parametrize(("tls", "backend"), [("terminate", "acme."), ("pass", "shop")])
def test_what_an_acme_server_asks_goes_to_who_wants_the_certificate_whatever_the_path_of_an_app(tls: str, backend: str) -> None:
    apps = {"shop": given("shop.test", others=["www.test"], path="/shop/", tls=ISSUED), "api": given("api.test", tls=FILES)}
    variables = balancer.template_variables([host(1, apps, proxy_port=81, proxy_tls_port=444)], tls, False, "", [])
    assert variables["proved_by"] == {"shop.test": backend, "www.test": backend}


def test_an_app_has_the_hosts_that_have_it_by_the_names_that_all_of_them_have() -> None:
    hosts = [
        host(1, {"shop": given("Shop.test", "web-1.test")}),
        host(2, {"shop": given("web-2.test", "shop.test"), "other": given("o.test")}),
    ]
    shop, other = balancer.backends(hosts)
    assert (shop["names"], [server["name"] for server in shop["servers"]]) == (["shop.test"], ["web-1", "web-2"])
    assert [server["name"] for server in other["servers"]] == ["web-2"]


def test_the_longest_patience_of_an_app_counts() -> None:
    (shop,) = balancer.backends([host(1, {"shop": given("shop.test", timeout=20)}), host(2, {"shop": given("shop.test", timeout=30)})])
    assert shop["timeout"] == 30 + balancer.MARGIN


def test_a_host_is_asked_by_a_name_that_it_has() -> None:
    for names, asked in (
        (("*.shop.test",), "tornado-app.shop.test"),
        (("192.0.2.1", "[2001:db8::1]", "*.shop.test", "shop.test"), "shop.test"),  # by an address a host answers for all of its apps
        (("[2001:db8::1]", "192.0.2.1"), "[2001:db8::1]"),
    ):
        (shop,) = balancer.backends([host(1, {"shop": given(*names)})])
        assert shop["host"] == asked


@pytest.mark.parametrize(
    ("name", "address", "server"),
    [("web-1", "192.0.2.1", ("web-1", "192.0.2.1")), ("web 1/x", "2001:db8::1", ("web_1_x", "[2001:db8::1]"))],
)
def test_a_host_is_called_as_haproxy_can_read_it(name: str, address: str, server: tuple[str, str]) -> None:
    found = balancer.server(Host(name, address, {}))
    assert (found["name"], found["address"]) == server


def test_apps_without_a_name_are_left_out() -> None:
    hosts = [host(1, {"shop": SHOP, "tool": given()}), host(2, {"shop": SHOP})]
    assert balancer_rules.problems(hosts, "terminate") == []
    assert balancer.unnamed(hosts) == ["tool"]
    assert [backend["app"] for backend in balancer.backends(hosts)] == ["shop"]


@pytest.mark.parametrize(
    ("hosts", "mode", "problem"),
    [
        ([], "terminate", "there is no host to balance: the group of tornado_app_group is empty in the inventory"),
        ([host(1, {"shop": given()})], "terminate", "no app has server_names: "),
        ([Host("web-1", "web 1", {"shop": SHOP})], "terminate", "web-1 has the address 'web 1': give it a load_balancer_address"),
        ([host(1, trusted=["cdn.test"])], "pass", "tornado_app_trusted_proxies of web-1: 'cdn.test' is neither an address nor a network "),
        ([host(1, {"shop": given("a b")})], "terminate", "tornado_apps.shop.server_names: 'a b' on web-1 is not a valid host name"),
        ([host(1, {"shop": given("a.test", path="x")})], "terminate", "tornado_apps.shop.path 'x' on web-1 is no valid prefix"),
        (
            [host(1, {"shop": given("a.test")}), host(2, {"shop": given("b.test")})],
            "terminate",
            "tornado_apps.shop.server_names: no name is on all of web-1, web-2; ",
        ),
        (
            [host(1, {"shop": SHOP}), host(2, {"shop": given("shop.test", path="/x/")})],
            "terminate",
            "tornado_apps.shop.path is not the same on all of web-1, web-2",
        ),
        (
            [host(1, {"shop": SHOP}), host(2, {"shop": SECURE})],
            "terminate",
            "tornado_apps.shop.tls is not the same on all of web-1, web-2",
        ),
        (
            [host(1, {"shop": SHOP}), host(2, {"shop": given("shop.test", balance="cookie")})],
            "terminate",
            "tornado_apps.shop.balance is not the same on all of web-1, web-2",
        ),
        (
            [host(1, {"shop": SHOP}), host(2, {"other": given("x.test", "SHOP.test")})],
            "terminate",
            "tornado_apps.other.server_names: shop.test/ is shop's already; ",
        ),
        (
            [host(1, {"shop": given("a.test", tls={"acme": {"email": "a b"}})})],
            "terminate",
            "tornado_apps.shop.tls.acme.email 'a b' is ",
        ),
        (
            [host(number, {"shop": given("shop.test", "*.shop.test", f"192.0.2.{number}", tls=ISSUED)}) for number in (1, 2)],
            "terminate",
            "tornado_apps.shop.server_names: *.shop.test is a wildcard, and HTTP-01 cannot prove it; ",
        ),
        (
            [host(1, {"shop": given("shop.test", tls={"certificate": "c"})})],
            "terminate",
            "tornado_apps.shop.tls needs both certificate and key",
        ),
        ([host(1, {"shop": SECURE})], "pass", "load_balancer_tls is pass, and tornado_app_proxy_tls_port of web-1 is 0: "),
        (
            [
                host(1, {"shop": SECURE}, proxy_port=1, proxy_tls_port=2),
                host(2, {"admin": {**SECURE, "path": "/admin/"}}, proxy_port=1, proxy_tls_port=2),
            ],
            "pass",
            "load_balancer_tls is pass, and no host has all apps of shop.test: ",
        ),
        ([host(1, proxy_tls_port=444)], "pass", "tornado_app_proxy_port of web-1 is 0, and with tornado_app_proxy_tls_port its nginx "),
        ([host(1, {"shop": SECURE}, proxy_port=81)], "terminate", "tornado_apps.shop.tls ends at the balancer, and nginx of web-1 "),
        ([host(1, {"shop": given("a.test", others=["a b"])})], "pass", "tornado_apps.shop.redirect_names: 'a b' on web-1 is not a valid "),
    ],
)
def test_what_cannot_work_is_said_with_its_setting(hosts: list[Host], mode: str, problem: str) -> None:
    (found,) = balancer_rules.problems(hosts, mode)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("tls", "found"),
    [({}, False), ({"redirect": True}, False), (FILES, True), ({"self_signed": True}, True), ({"acme": {"email": ""}}, False)],
)
def test_an_app_has_tls_when_it_says_where_its_certificate_comes_from(tls: dict[str, Any], found: bool) -> None:
    assert balancer.has_tls(given(tls=tls)["tls"]) == found


@pytest.mark.parametrize(
    ("said", "version"),
    [("HA-Proxy version 2.2.9-2+deb11u6 2023/12/23", [2, 2]), ("HAProxy version 3.0.11-1 2026/10/15", [3, 0]), ("", [99, 0])],
)
def test_the_version_is_what_haproxy_says(said: str, version: list[int]) -> None:
    assert balancer.version(said) == version


# The configuration

NAMES = [f"{number}.shop.example.com" for number in range(100)]
SHAPES: dict[str, dict[str, Any]] = {
    "one host": {"hosts": [host(1, {"shop": SHOP})]},
    "a hundred names": {"hosts": [host(1, {"shop": given(*NAMES, "*.example.com"), "api": given("[2001:db8::1]", "192.0.2.1")})]},
    "two hundred hosts": {"hosts": [Host(f"web-{number}", f"192.0.2.{number}", {"shop": SHOP}) for number in range(200)]},
    "apps of one name": {
        "hosts": [host(1, {"shop": given("shop.test", others=["www.test", "*.old.test"]), "admin": given("shop.test", path="/a.b~c_d-e/")})]
    },
    "clients that come back": {
        "hosts": [host(1, {"shop": given("shop.test", balance="cookie"), "api": given("api.test", path="/a.b~c/", balance="ip_hash")})]
    },
    "proxies in front": {
        "hosts": [host(1, {"shop": given("shop.test", balance="ip_hash")}, trusted=[f"10.{net}.0.0/16" for net in range(200)] + ["::1"])]
    },
    "an IPv6 address": {"hosts": [Host("web-1", "2001:db8::1", {"shop": SHOP})]},
    "the PROXY protocol": {"hosts": [host(1, {"shop": SHOP}, proxy_port=8081)]},
    "TLS passed": {
        "hosts": [host(1, {"shop": SECURE, "api": given("*.api.test", tls=FILES)}, proxy_port=81, proxy_tls_port=443)],
        "tls": "pass",
    },
    "names that HAProxy has for itself": {"hosts": [host(1, {"clients": SHOP, "http": given("h.test"), "nobody": given("n.test")})]},
    "IPv6": {"hosts": [host(1, {"shop": SECURE}, proxy_port=81, proxy_tls_port=443)], "tls": "pass", "ipv6": True},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_haproxy_takes_the_configuration_without_a_warning(haproxy: Path, tmp_path: Path, shape: str) -> None:
    given = dict(SHAPES[shape])
    text = config(*given.pop("hosts"), **given)
    file = tmp_path / "haproxy.cfg"
    (tmp_path / "state").write_text("1\n")
    own = {"/run/haproxy/tornado_app.state": f"{tmp_path}/state", "    user haproxy\n    group haproxy\n": ""}
    for before, after in own.items():
        text = text.replace(before, after)
    file.write_text(text)
    done = subprocess.run([haproxy, "-c", "-f", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Configuration file is valid\n"), done.stderr


def test_an_older_haproxy_is_told_what_it_knows() -> None:
    old = config(host(1, {"shop": SHOP}), version="HA-Proxy version 2.2.9-2+deb11u6 2023/12/23 - https://haproxy.org/")
    new = config(host(1, {"shop": SHOP}), version="HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/")
    later = {"idle-close-on-response", "srvtcpka-idle", "srvtcpka-intvl", "srvtcpka-cnt"}
    assert {word for word in later if word in new} == later
    assert not {word for word in later if word in old}
