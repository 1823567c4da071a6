"""What hosts have, and what is refused, where ACME servers issue certificates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.template import trust_as_template

from tests.unit.loading import ROLE, plugin
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import TlsState
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import acme, report
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.status import status
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.status_text import status_text
from tests.unit.builders import HOST, PLAN, SHOP, planned
from tests.unit.builders import state as whole
from tests.unit.certified import authority, issue
from tests.unit.conftest import make_plan, render, templar
from tests.unit.rendering import SHOP as SITE
from tests.unit.rendering import nginx_files
from tests.unit.test_action_files import Handed
from tests.unit.test_actions import act, refusal
from tests.unit.test_nginx_templates import directives
from tests.unit.test_things import reason

certificates = plugin("module_utils", "certificates")
ISSUED = {"acme": {"email": "ops@shop.test"}}
NAMES = ["Shop.test", "shop.test", "www.shop.test"]
APPS = planned({"shop": {**SHOP, "processes": 2, "server_names": NAMES, "tls": ISSUED}})


def test_the_settings_of_the_script() -> None:
    found = json.loads(acme.settings(APPS))
    assert found["apps"] == {
        "shop": {
            "names": ["shop.test", "www.shop.test"],
            "email": "ops@shop.test",
            "directory": acme.LETS_ENCRYPT,
            "served": "tornado_app/shop.pem",
        }
    }
    own = {"acme": {**ISSUED["acme"], "directory": "https://acme.test/d"}}
    both = planned({name: {**SHOP, "server_names": ["x.test"], "path": f"/{name}/", "tls": own} for name in ("a", "b")})
    assert [(name, app["directory"]) for name, app in json.loads(acme.settings(both))["apps"].items()] == [("a", "https://acme.test/d")]


def test_nginx_answers_challenges_on_port_80() -> None:
    site = nginx_files(make_plan({"shop": {**SITE, "server_names": ["shop.test"], "tls": ISSUED}}))["conf.d/shop.conf"]
    assert "location ^~ /.well-known/acme-challenge/ {" in site
    assert f"root {acme.WEBROOT};" in directives(site)
    assert "acme-challenge/ {" not in nginx_files(make_plan({"shop": {**SITE, "tls": {"self_signed": True}}}))["conf.d/shop.conf"]


def test_at_a_balancer_that_ends_tls_it_is_none_of_the_hosts_affairs() -> None:
    """Nor are names of a host's own, which no server could prove."""
    names = {"server_names": ["shop.test", "192.0.2.1"], "tls": {**ISSUED, "hsts": 600}}
    (shop,) = planned({"shop": {**SHOP, **names}}, tls_at_balancer=True).values()
    assert (shop["tls"]["source"], shop["tls"]["served"]) == ("", "")
    with pytest.raises(AnsibleFilterError, match=r"192\.0\.2\.1 is an address, and HTTP-01 cannot prove it"):
        planned({"shop": {**SHOP, **names}})
    with pytest.raises(AnsibleFilterError, match="is not an address"):
        planned({"shop": {**SHOP, "tls": {"acme": {"email": "a b"}}}}, tls_at_balancer=True)
    (own,) = planned({"shop": {**SHOP, "tls": {"self_signed": True}}}, tls_at_balancer=True).values()
    assert (own["tls"]["source"], own["tls"]["redirect"]) == ("self_signed", False)  # HAProxy redirects once it has a certificate


@pytest.mark.parametrize(
    ("groups", "balancers", "ends"),
    [({}, {}, False), ({"balancer": []}, {}, False), ({"balancer": ["lb"]}, {"lb": {}}, True)]
    + [({"balancer": ["lb"]}, {"lb": {"load_balancer_tls": way}}, way == "terminate") for way in ("terminate", "pass")],
)
def test_whether_it_is_the_balancers(groups: dict[str, list[str]], balancers: dict[str, Any], ends: bool) -> None:
    expression = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__tornado_app_host"]["tls_at_balancer"]
    assert templar({"groups": groups, "hostvars": balancers}).template(trust_as_template(expression)) is ends


# What a host is compared with


def look(apps: Any) -> tuple[list[dict[str, Any]], Any]:
    found = whole()
    found["differences"] = [{"kind": "acme_file", "name": "/opt/tornado_app/acme.py", "reason": "missing"}]
    plan = {"apps": apps, "absent": {}, "host": HOST}
    handed = Handed("state", found, plan=plan, python="3.11", packages=["nginx"], own_files=[], noted={})
    return handed.arguments["things"], handed.result


def test_a_host_that_has_certificates_issued() -> None:
    things, result = look(APPS)
    files = {thing["path"] for thing in things if thing["kind"] == "acme_file"}
    assert files >= {"/opt/tornado_app/acme.py", "/opt/tornado_app/acme.json", *acme.UNITS.values()}
    folders = {thing["path"] for thing in things if thing["check"] == "directory"}
    assert {str(Path(path).parent) for path in files} - {"/etc/systemd/system"} <= folders
    assert {"/var/lib/tornado_app", acme.WEBROOT} <= folders
    assert {"kind": "acme", "name": "shop", "check": "issued", "path": "/etc/nginx/tornado_app/shop.pem", "names": NAMES[1:]} in things
    assert {thing["name"] for thing in things if thing["kind"] == "package"} == {"nginx", "openssl", "certbot"}
    assert [file["path"] for file in result["files"]["acme"]] == ["/opt/tornado_app/acme.py"]
    assert not [thing for thing in things if thing["kind"] == "acme_left"]


def test_a_host_that_has_none_issued_keeps_nothing_for_it() -> None:
    things, _ = look(PLAN)
    assert not [thing for thing in things if thing["kind"] in ("acme", "acme_file")]
    gone = {thing["path"]: thing["check"] for thing in things if thing["kind"] == "acme_left"}
    assert set(gone.values()) == {"absent"}
    assert {acme.CERTBOT, "/opt/tornado_app/lib", *acme.UNITS.values()} <= set(gone)
    assert list(gone)[-1].endswith(".timer")  # as long as it is there, a run that was cut short is finished by the next one


def test_when_a_certificate_is_to_be_issued(tmp_path: Path) -> None:
    path = tmp_path / "shop.pem"
    thing = {"check": "issued", "path": str(path), "names": NAMES}
    assert reason(thing) == "none was issued yet"
    for found, problem in (
        (issue("own", names=["shop.test", "www.shop.test"]), "none was issued yet"),
        (authority().leaf("shop.test", "www.shop.test"), ""),
        (authority().leaf("shop.test"), "for other names"),
    ):
        path.write_text(found.pem + found.key_pem)
        assert reason(thing) == problem


def test_the_units_name_what_is_there() -> None:
    assert "ExecStart=/usr/bin/python3 -I /opt/tornado_app/acme.py /opt/tornado_app/acme.json\n" in render(
        "acme.service.j2", {"root": "/opt/tornado_app", "server": "nginx"}
    )
    assert "Persistent=yes" in render("acme.timer.j2", {})


# Several hosts


def check(**hosts: Any) -> dict[str, dict[str, Any]]:
    found = whole()
    return {name: {"the_plan": {"apps": apps, "absent": {}, "host": HOST}, "the_state": found} for name, apps in hosts.items()}


FLEET: dict[str, Any] = {"plan": "the_plan", "state": "the_state", "group": "tornado", "operations": ["provision"]}


def test_a_name_of_several_hosts_is_refused_with_the_ways_out() -> None:
    (found,) = refusal("check", check(web_1=APPS, web_2=APPS), **FLEET)
    assert found == (
        "tornado_apps.shop.tls.acme: shop.test, www.shop.test leads to web_1, web_2, and the ACME server asks one of them alone; "
        "put balancers in front at which TLS ends, give tls a certificate and its key, or let one host have the name"
    )
    assert act("check", check(web_1=APPS), **FLEET)
    other = planned({"shop": {**SHOP, "processes": 2, "server_names": ["two.test"], "tls": ISSUED}})
    assert act("check", check(web_1=APPS, web_2=other), **FLEET)
    assert act("check", check(web_1=APPS, web_2=APPS), **{**FLEET, "operations": ["deploy"]})


# What is said of a renewal


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "acme.json"
    monkeypatch.setattr(certificates, "ACME_RECORD", str(path))
    return path


def test_the_state_says_why_none_was_issued_or_renewed(record: Path, tmp_path: Path) -> None:
    path, own, leaf = tmp_path / "shop.pem", issue("own", names=["shop.test"]), authority().leaf("shop.test", days=20.5)
    path.write_text(own.pem + own.key_pem)
    none = {"source": "acme", "expires": "", "days_left": -1, "days": 0}
    assert certificates.state("shop", "acme", path) == {**none, "renewal": "none was issued yet"}
    record.write_text('{"shop": {"error": "refused"}, "api": {"error": "other"}}')
    assert certificates.state("shop", "acme", path) == {**none, "renewal": "none was issued yet: refused"}
    path.write_text(leaf.pem + leaf.key_pem)
    found = certificates.state("shop", "acme", path)
    assert (found["days_left"], found["renewal"]) == (20, "refused")
    assert certificates.state("shop", "files", path)["renewal"] == ""
    for broken in ("", "[]", '{"shop": 1}', "{}"):
        record.write_text(broken)
        assert certificates.state("shop", "acme", path)["renewal"] == ""


def said(**tls: Any) -> tuple[list[str], list[str], str]:
    """The shortfalls, the notes and the status of a host with this certificate."""
    found = whole()
    found["apps"]["shop"]["tls"] = cast(
        TlsState, {"source": "acme", "expires": "2026-03-01T00:00:00Z", "days_left": 60, "days": 90, "renewal": "", **tls}
    )
    shortfalls = report.shortfalls({"apps": APPS, "absent": {}, "host": HOST}, found, {"apps": []}, {"answers": []}, {"skipped": True})
    return (
        shortfalls,
        report.certificate_notes({"shop": found["apps"]["shop"]["tls"]}),
        status_text(status(["web-1"], {"web-1": APPS}, {"web-1": found}, {})),
    )


def test_a_renewal_that_failed_is_reported_and_fails_when_time_is_short() -> None:
    assert said()[:2] == ([], ["shop's certificate has 60 days left"])
    shortfalls, notes, shown = said(renewal="Detail: refused", days_left=25)
    assert (shortfalls, notes) == ([], ["shop's certificate, which has 25 days left, was not renewed: Detail: refused"])
    assert "web-1: shop's certificate was not renewed: Detail: refused" in shown
    (found,), notes, _ = said(renewal="Detail: refused", days_left=13)
    assert found.startswith(
        "web-1: shop's certificate ends in 13 days, and is not renewed: Detail: refused; port 80 of each of its names has"
    )
    assert notes == []
    assert said(renewal="refused", days_left=9, days=10)[:2] == (
        [],
        ["shop's certificate, which has 9 days left, was not renewed: refused"],
    )
    assert "ends in 6 days, and is not renewed" in said(days_left=6, days=45)[0][0]
    assert said(days_left=13)[0][0].startswith("web-1: shop's certificate ends in 13 days, and is not renewed; port 80")
    assert "has expired at 2026-03-01T00:00:00Z: Detail: refused; port 80" in said(renewal="Detail: refused", days_left=-1)[0][0]
    (found,), _, shown = said(renewal="none was issued yet: Detail: refused", days_left=-1, expires="")
    assert found.startswith(
        "web-1: shop has no certificate: none was issued yet: Detail: refused; port 80 of each of its names has to lead"
    )
    assert "web-1: shop's certificate was not issued: none was issued yet: Detail: refused" in shown


def test_a_certificate_of_files_that_ends_soon_is_worth_a_word() -> None:
    assert said(source="files", days_left=13)[:2] == (
        [],
        ["shop's certificate ends in 13 days; give tls.certificate and tls.key a new one, and run --tags provision"],
    )
    assert said(source="files", days_left=14)[:2] == ([], ["shop's certificate has 14 days left"])
    assert said(source="self_signed", days_left=13)[:2] == ([], ["shop's certificate has 13 days left"])
