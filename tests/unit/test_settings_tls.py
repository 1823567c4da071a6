"""What cannot be of TLS in the settings, and what the plan makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import plan
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.files import nginx_absent
from tests.unit.builders import DEFAULTS, HOST, SHOP, planned

FILES = {"certificate": "shop.pem", "key": "shop.key"}
ACME = {"acme": {"email": "ops@example.com"}}
OWN = {"self_signed": True}


def problems(tls: Any, **app: Any) -> list[str]:
    apps = {"shop": {**SHOP, "server_names": ["shop.example.com"], "tls": tls, **app}}
    return [found.removeprefix("tornado_apps.shop.") for found in plan.plan_problems(apps, DEFAULTS, HOST)]


@pytest.mark.parametrize("tls", [{}, FILES, ACME, OWN, {**FILES, "redirect": False, "hsts": 3600}, None])
def test_each_way_alone_is_fine(tls: Any) -> None:
    assert problems(tls) == []


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({**FILES, **OWN}, "tls has certificate and self_signed: one of them says where the certificate comes from"),
        ({**ACME, **OWN}, "tls has acme and self_signed: one of them"),
        ({**ACME, **FILES, **OWN}, "tls has certificate and acme and self_signed: one of them"),
        ({"certificate": "shop.pem"}, "tls has certificate and no key: nginx needs both"),
        ({"key": "shop.key"}, "tls has key and no certificate: nginx needs both"),
        ({**OWN, "hsts": -1}, "tls.hsts is -1: a number of seconds is needed, 0 for none"),
        ({"hsts": 1}, "tls.hsts is for TLS"),
        ({"acme": {"directory": "https://acme.test/directory"}}, "tls.acme.email '' is not an address"),
        ({"acme": {"email": "ops"}}, "tls.acme.email 'ops' is not an address"),
        ({"acme": {**ACME["acme"], "directory": "acme.test"}}, "tls.acme.directory 'acme.test' is not a URL that begins with https://"),
        ({"cert": "shop.pem"}, "tls.cert is not a setting; did you mean certificate?"),
        ({"acme": {"mail": "x"}}, "tls.acme.mail is not a setting; did you mean email?"),
        ({"redirect": "sometimes"}, "tls: "),
    ],
)
def test_what_cannot_be_is_said(tls: Any, said: str) -> None:
    (found,) = problems(tls)
    assert found.startswith(said)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("*.example.com", "a wildcard"), ("192.0.2.1", "an address"), ("[2001:db8::1]", "an address"), ("web-1", "no public name")],
)
def test_names_that_http_01_cannot_prove(name: str, kind: str) -> None:
    found = problems(ACME, server_names=["shop.example.com", name])
    found += problems(ACME, redirect_names=["old.example.com", name])
    for setting, problem in zip(("server_names", "redirect_names"), found, strict=True):
        assert problem.startswith(f"{setting}: {name} is {kind}, and HTTP-01 cannot prove it; give tls a certificate and its key")
    assert problems(OWN, server_names=["shop.example.com", name]) == []


def test_two_headers_do_not_say_the_same() -> None:
    headers = {"strict-transport-security": "max-age=1"}
    (found,) = problems({**OWN, "hsts": 60}, response_headers=headers)
    assert found == "response_headers has Strict-Transport-Security, which tls.hsts says already: one of them is enough"
    assert problems(OWN, response_headers=headers) == []


def apps(*tls: Any) -> dict[str, Any]:
    """Apps a, b, c under one name."""
    common = {**SHOP, "server_names": ["x.test"]}
    return {name: {**common, "path": f"/{name}/", "tls": own} for name, own in zip("abc", tls, strict=False)}


def test_apps_that_share_names_share_a_certificate() -> None:
    found = planned(
        {**apps(OWN, OWN), "other": {**SHOP, "server_names": ["y.test"], "tls": FILES}, "plain": {**SHOP, "server_names": ["z.test"]}}
    )
    assert {name: app["tls"]["served"] for name, app in found.items()} == {
        "a": "tornado_app/a.pem",
        "b": "tornado_app/a.pem",
        "other": "tornado_app/other.pem",
        "plain": "",
    }
    assert {name: app["slots"]["green"]["certificate"] for name, app in found.items()} == {
        "a": "/etc/nginx/tornado_app/a.pem",
        "b": "/etc/nginx/tornado_app/a.pem",
        "other": "/etc/nginx/tornado_app/other.pem",
        "plain": "",
    }
    assert [app["tls"]["source"] for app in found.values()] == ["self_signed", "self_signed", "files", ""]
    # A key goes with the last site that uses it.
    gone = nginx_absent({"apps": found, "absent": {}, "host": HOST})
    assert gone == ["sites-enabled/default", "conf.d/b.conf", "tornado_app/b.pem", "tornado_app/plain.pem"]


def test_a_certificate_is_for_all_names_of_a_site() -> None:
    """Those that lead to its apps too, each once."""
    common = {**SHOP, "server_names": ["X.test", "x.test"], "tls": OWN}
    both = {"a": {**common, "redirect_names": ["www.x.test"]}, "b": {**common, "path": "/b/", "redirect_names": ["Old.test", "www.x.test"]}}
    found = planned({**both, "plain": {**SHOP, "server_names": ["z.test"]}})
    names = ["x.test", "www.x.test", "old.test"]
    assert {name: app["tls"]["names"] for name, app in found.items()} == {"a": names, "b": names, "plain": []}


@pytest.mark.parametrize(("tls", "at_balancer"), [({}, False), ({**ACME, "hsts": 60}, True)])
def test_a_host_without_a_certificate_neither_speaks_of_tls_nor_sends_anybody_there(tls: Any, at_balancer: bool) -> None:
    app = planned({"shop": {**SHOP, "server_names": ["x.test"], "tls": tls}}, tls_at_balancer=at_balancer)["shop"]
    assert app["tls"] == {**app["tls"], "source": "", "served": "", "redirect": False, "hsts": 0}


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ({"proxy_port": 80}, "tornado_app_proxy_port is 80: a port that nginx has not yet is needed, like 8081, or 0 for none"),
        ({"proxy_port": 65536}, "tornado_app_proxy_port is 65536: a port "),
        ({"proxy_tls_port": 443}, "tornado_app_proxy_tls_port is 443: a port that nginx has not yet is needed, like 8444, or 0 for none"),
        ({"proxy_tls_port": -1}, "tornado_app_proxy_tls_port is -1: a port "),
        ({"proxy_port": 7000, "proxy_tls_port": 7000}, "tornado_app_proxy_tls_port is 7000: a port "),
        ({"proxy_port": 8000}, "tornado_app_proxy_port 8000 is among the ports of shop on web-1; choose another"),
        ({"proxy_tls_port": 9000}, "tornado_app_proxy_tls_port 9000 is among the ports of shop on web-1; choose another"),
        ({"proxy_port": 7000, "proxy_tls_port": 7001}, ""),
    ],
)
def test_ports_for_the_proxy_protocol(ports: dict[str, int], said: str) -> None:
    app = {**SHOP, "port": 8000, "processes": 1, "tls": OWN}
    found = plan.plan_problems({"shop": app}, DEFAULTS, {**HOST, **ports})  # type: ignore[typeddict-item]
    assert [problem[: len(said)] for problem in found] == ([said] if said else [])


def test_apps_that_share_names_and_not_their_tls_are_refused() -> None:
    (found,) = plan.plan_problems(apps(OWN, {**OWN, "hsts": 60}), DEFAULTS, HOST)
    assert found == "tornado_apps.b.tls differs from a's, which has the same names on web-1; give both the same"
    assert plan.plan_problems(apps(OWN, {"self_signed": "yes", "redirect": True}), DEFAULTS, HOST) == []
