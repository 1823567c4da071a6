"""The action that configures the balancer, in process: what it takes from the inventory, what it hands over, and what it refuses."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.template import trust_as_template

from tests.unit.loading import COLLECTION, ROOT
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import acme
from tests.unit import test_actions
from tests.unit.builders import state
from tests.unit.certified import KEY, Issued, authority
from tests.unit.conftest import facts, templar
from tests.unit.test_actions import SHOP_PLANNED

ROLE = ROOT / "roles/load_balancer"
SHOP = {"server_names": ["shop.test", "{{ inventory_hostname }}.test"], "source": "x"}
PAIR = {"certificate": "c.pem", "key": "k.pem"}


def trusted(value: Any) -> Any:
    """The same with templates, as an inventory has them."""
    if isinstance(value, Mapping):
        return {key: trusted(item) for key, item in value.items()}
    return [trusted(item) for item in value] if isinstance(value, list) else trust_as_template(value) if isinstance(value, str) else value


class Inventory(dict[str, Any]):
    """The variables of all hosts, as they stand in the inventory."""

    def raw_get(self, name: str) -> dict[str, Any]:
        return {"inventory_hostname": name, **trusted(self[name])}


def act(
    hosts: Mapping[str, Any],
    loader: DataLoader | None = None,
    project: Path = Path("/nowhere"),
    *,
    action: str = "balancer",
    found: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    """Run the action for the hosts web-…; return what it has handed to the module, of which ``found`` comes back."""
    given = {
        "ansible_facts": facts(),
        "hostvars": Inventory(hosts),
        "groups": {},
        "ansible_search_path": [str(ROLE)],
        "inventory_hostname": "lb-1",
        "__load_balancer_project": str(project),
    }
    engine = templar(given)
    of_fleet = {"hosts": [name for name in hosts if name.startswith("web-")], **({"maxconn": 100} if action == "balancer" else {})}
    task = SimpleNamespace(args={**of_fleet, **arguments}, async_val=0, check_mode=False, action=action)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
    plugin = importlib.import_module(f"{COLLECTION}.plugins.action.{action}")
    handed: dict[str, Any] = {}

    class Action(plugin.ActionModule):  # type: ignore[misc, name-defined]  # known when it runs
        """The action, without a host to send a module to."""

        def _execute_module(self, module_name: str, module_args: dict[str, Any], task_vars: Any) -> Any:  # noqa: ARG002
            handed.update(module_args)
            return {"changed": True, **(found or {})}

        def _low_level_execute_command(self, cmd: str) -> dict[str, str]:  # noqa: ARG002
            return {"stdout": ""}

    made = Action(task, connection, None, loader or DataLoader(), engine, None)
    handed["result"] = made.run(task_vars=engine.available_variables)
    return handed


def refusal(*arguments: Any, **named: Any) -> str:
    with pytest.raises(AnsibleActionFail) as failure:
        act(*arguments, **named)
    return str(failure.value)


def servers(config: str) -> list[str]:
    return [line.strip() for line in config.splitlines() if line.startswith("    server ")]


def test_what_the_inventory_says_is_enough_for_hosts_that_nobody_has_asked() -> None:
    """A setting of an app that needs facts is none of the balancer's."""
    shop = {**SHOP, "processes": "{{ ansible_facts['processor_nproc'] }}", "secrets": {"TOKEN": "{{ nowhere }}"}}
    hosts = {
        "web-1": {"ansible_host": "192.0.2.1", "tornado_apps": {"shop": shop, "tool": {"source": "x"}, "old": {"state": "absent"}}},
        "web-2": {"tornado_apps": {"shop": shop}},
        "web-3": {"ansible_host": "192.0.2.3", "load_balancer_address": "10.0.0.3", "tornado_apps": "{{ {'shop': other} }}", "other": SHOP},
    }
    handed = act(hosts)
    assert servers(handed["config"]) == [
        "server web-1 192.0.2.1:80 check port 80",
        "server web-2 web-2:80 check port 80",
        "server web-3 10.0.0.3:80 check port 80",
    ]
    assert handed["result"] == {"changed": True, "unnamed": ["tool"], "issuing": False}
    assert "timeout server 210s" in handed["config"]


def test_a_host_with_workers_alone_gets_no_requests_for_the_app() -> None:
    other = {**SHOP, "server_names": ["other.test"]}
    shop = {**SHOP, "processes": "{{ shop_processes }}"}
    hosts = {
        "web-1": {"tornado_apps": {"shop": {**SHOP, "processes": "{{ (ansible_facts['processor_nproc'] | int) * 2 }}"}, "other": other}},
        "web-2": {"shop_processes": 2, "tornado_apps": {"shop": shop, "other": {**other, "processes": 0}}},
        "web-3": {"shop_processes": "0", "tornado_apps": {"shop": shop}},
    }
    config = act(hosts)["config"]
    of_shop, of_other = (config.partition(f"backend {app}\n")[2].partition("\nbackend")[0] for app in ("shop", "other"))
    assert [line.split()[1] for line in servers(of_shop)] == ["web-1", "web-2"]
    assert [line.split()[1] for line in servers(of_other)] == ["web-1"]


def test_a_name_may_be_what_the_inventory_says_of_another_host() -> None:
    shop = {**SHOP, "server_names": ["{{ hostvars['web-2']['ansible_host'] }}"]}
    handed = act({"web-1": {"tornado_apps": {"shop": shop}}, "web-2": {"ansible_host": "192.0.2.2", "tornado_apps": {"shop": shop}}})
    assert " -m str 192.0.2.2\n" in handed["config"]


def test_defaults_of_the_inventory_count() -> None:
    defaults = {"path": "/x/", "proxy_read_timeout": 300, "server_names": ["none"], "tls": {"self_signed": True}, "balance": "ip_hash"}
    shop = {**SHOP, "tls": {"hsts": 600}}  # keys of dictionaries are taken one by one
    handed = act({"web-1": {"tornado_app_defaults": defaults, "tornado_apps": {"shop": shop, "tool": {"source": "x"}}}})
    assert handed["result"]["unnamed"] == ["tool"]
    assert "max-age=600" in handed["config"]
    assert [file["path"] for file in handed["certificates"]] == ["/etc/haproxy/tornado_app/shop.self_signed.pem"]
    assert "uri /x/.tornado_app/ready" in handed["config"]
    assert "balance source" in handed["config"]
    assert "timeout server 310s" in handed["config"]


def test_a_port_for_the_proxy_protocol_is_used() -> None:
    handed = act({"web-1": {"tornado_app_proxy_port": "8081", "tornado_apps": {"shop": SHOP}}})
    assert servers(handed["config"]) == ["server web-1 web-1:8081 check port 80 send-proxy-v2"]


def test_the_proxies_that_any_host_trusts_are_believed() -> None:
    shop = {"tornado_apps": {"shop": SHOP}}
    hosts = {"web-1": shop, "web-2": {**shop, "tornado_app_trusted_proxies": "192.0.2.9"}}
    config = act({**hosts, "web-3": {**shop, "tornado_app_trusted_proxies": ["10.0.7.0/24", "192.0.2.9"]}})["config"]
    assert [line.strip() for line in config.splitlines() if "acl trusted" in line] == [
        "acl trusted src 192.0.2.9",
        "acl trusted src 10.0.7.0/24",
    ]


def test_a_setting_that_needs_facts_is_named() -> None:
    hosts = {"web-1": {"tornado_apps": {"shop": {"source": "x", "server_names": ["{{ ansible_facts['fqdn'] }}"]}}}}
    assert refusal(hosts).startswith("tornado_apps.shop of web-1 cannot be told without having been there: ")


def test_all_that_cannot_work_is_said_at_once() -> None:
    hosts = {"web-1": {"tornado_apps": {"shop": {"server_names": ["a b"], "path": "x"}}}}
    assert refusal(hosts).splitlines() == [
        "tornado_apps.shop.server_names: 'a b' on web-1 is not a valid host name",
        "tornado_apps.shop.path 'x' on web-1 is no valid prefix: it begins and ends with /",
    ]


def bring(project: Path, issued: Issued) -> None:
    """Put a certificate and its key into the project."""
    (project / "c.pem").write_text(authority().chain(issued))
    vault = VaultLib([("default", VaultSecret(b"password"))])
    (project / "k.pem").write_bytes(vault.encrypt(issued.key_pem, vault.secrets[0][1], vault_id="default"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a certificate, and a key that ansible-vault has encrypted."""
    bring(tmp_path, authority().leaf("shop.test"))
    return tmp_path


@pytest.fixture
def loader() -> DataLoader:
    made = DataLoader()
    made.set_vault_secrets([("default", VaultSecret(b"password"))])
    return made


def test_a_certificate_goes_with_its_key_into_a_file_that_is_named_by_both(project: Path, loader: DataLoader) -> None:
    hosts = {"web-1": {"tornado_apps": {"shop": {**SHOP, "server_names": ["shop.test"], "tls": PAIR}}}}
    handed = act(hosts, loader, project)
    (file,) = handed["certificates"]
    assert file["secret"].startswith((project / "c.pem").read_text())
    assert KEY in file["secret"]
    assert " crt-list /etc/haproxy/tornado_app/@digest@.list\n" in handed["config"]
    assert KEY not in handed["config"] + json.dumps(handed["result"])
    bring(project, authority().leaf("shop.test"))
    (other,) = act(hosts, loader, project)["certificates"]
    assert other["path"] != file["path"]


def test_for_a_self_signed_certificate_the_balancer_gets_the_names() -> None:
    shop = {"server_names": ["shop.test"], "redirect_names": ["www.shop.test"], "tls": {"self_signed": True}}
    handed = act({"web-1": {"tornado_apps": {"shop": shop}}})
    (file,) = handed["certificates"]
    path = "/etc/haproxy/tornado_app/shop.self_signed.pem"
    assert file == {"path": path, "self_signed": ["shop.test", "www.shop.test"], "force": True}
    assert " crt-list /etc/haproxy/tornado_app/@digest@.list\n" in handed["config"]


def test_with_tls_passed_no_key_leaves_the_controller() -> None:
    handed = act(
        {"web-1": {"tornado_app_proxy_port": 8081, "tornado_app_proxy_tls_port": 8444, "tornado_apps": {"shop": {**SHOP, "tls": PAIR}}}},
        tls="pass",
    )
    assert handed["certificates"] == []
    assert "server web-1 web-1:8444 send-proxy-v2 check" in servers(handed["config"])


@pytest.mark.parametrize("action", ["balancer", "balancer_shortfalls"])
def test_a_file_that_cannot_be_read_is_named(project: Path, action: str) -> None:
    hosts = {"web-1": {"tornado_apps": {"shop": {**SHOP, "tls": {**PAIR, "certificate": "none.pem"}}}}}
    assert refusal(hosts, None, project, action=action) == "tornado_apps.shop.tls.certificate none.pem is not there, on the controller"


def test_a_certificate_that_no_client_would_take_is_refused_before_anything_changes(project: Path, loader: DataLoader) -> None:
    bring(project, authority().leaf("other.test"))
    (project / "k.pem").write_text(authority().leaf("other.test").key_pem)
    hosts = {"web-1": {"tornado_apps": {"shop": {**SHOP, "server_names": ["shop.test"], "tls": PAIR}}}}
    assert [line.partition(";")[0] for line in refusal(hosts, loader, project).splitlines()][:2] == [
        "tornado_apps.shop.tls.key is not the one of the certificate",
        "tornado_apps.shop.tls.certificate is not for shop.test of server_names or redirect_names, but for other.test",
    ]


# Certificates of ACME servers

ACME = {"server_names": ["shop.test"], "tls": {"acme": {"email": "ops@shop.test"}}}


def test_a_certificate_that_is_issued_takes_a_script_a_timer_and_a_way_for_challenges() -> None:
    hosts = {"web-1": {"tornado_apps": {"shop": ACME}}, "lb-1": {}, "lb-2": {"load_balancer_address": "2001:db8::2"}}
    handed = act(hosts, balancers=["lb-1", "lb-2"])
    (file,) = handed["certificates"]
    assert file == {"path": "/etc/haproxy/tornado_app/shop.acme.pem", "self_signed": ["shop.test"], "force": False}
    assert servers(handed["config"])[:2] == ["server lb-1 127.0.0.1:8402", "server lb-2 [2001:db8::2]:8402"]
    assert json.loads(handed["files"]["/opt/tornado_app/acme.json"])["apps"]["shop"]["served"] == file["path"]
    assert handed["result"]["issuing"]  # also where an earlier run ended before certbot came
    assert "ReadWritePaths=/etc/haproxy/tornado_app\n" in handed["files"]["/etc/systemd/system/tornado_app-acme.service"]
    assert set(acme.UNITS.values()) < set(handed["files"])
    assert handed["unneeded"] == []


def test_where_none_is_issued_what_did_it_is_not_needed() -> None:
    handed = act({"web-1": {"tornado_apps": {"shop": SHOP}}})
    assert handed["files"] == {}
    assert set(acme.UNITS.values()) < set(handed["unneeded"])
    assert "acme" not in handed["config"]


def test_what_a_balancer_would_refuse_is_said_before_any_host_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of hosts that this run leaves out, too."""
    of_host = {"the_plan": SHOP_PLANNED, "the_state": state()}
    hosts = Inventory({"web-1": {"tornado_apps": {"shop": SHOP}, **of_host}, "web-2": {"tornado_apps": {"shop": {**SHOP, "path": "/x/"}}}})
    hosts["lb-1"] = {}
    groups = {"tornado": ["web-1", "web-2"], "balancer": ["lb-1"]}
    known = {"groups": groups, "ansible_play_hosts": ["web-1"], "ansible_play_hosts_all": ["web-1"]}
    monkeypatch.setattr(test_actions, "templar", lambda variables: templar({**variables, **known}))
    (found,) = test_actions.check_refusal(hosts)
    assert found.startswith("tornado_apps.shop.path is not the same on all of web-1, web-2")
    assert test_actions.check(hosts, operations=["restart"])["missing"] == []
    groups["balancer"] = []
    assert test_actions.check(hosts)["missing"] == []


# What a balancer does not deliver


def looked(found: Mapping[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    """What is asked of the host, and the shortfalls and the notes that follow from its answers."""
    handed = act(
        {"web-1": {"tornado_apps": {"shop": ACME, "api": {"server_names": ["a.test"]}}}}, action="balancer_shortfalls", found=found
    )
    return handed, handed["result"]["shortfalls"], handed["result"]["certificates"]


UP = {"shop": {"web-1": True}, "api": {"web-1": True}}


def lasting(**given: Any) -> dict[str, Any]:
    return {"shop": {"source": "acme", "expires": "2026-03-01T00:00:00Z", "days_left": 60, "days": 90, "renewal": "", **given}}


def test_a_balancer_that_delivers_says_how_long_its_certificates_last() -> None:
    handed, shortfalls, notes = looked({"running": True, "servers": UP, "certificates": lasting()})
    assert handed["backends"] == ["shop", "api"]
    assert handed["certificates"] == [{"app": "shop", "source": "acme", "path": "/etc/haproxy/tornado_app/shop.acme.pem"}]
    assert (shortfalls, notes) == ([], ["lb-1: shop's certificate has 60 days left"])


def test_of_tls_that_is_passed_the_sites_are_asked_for_too() -> None:
    tls = {"self_signed": True}
    apps = {"shop": {"server_names": ["shop.test"], "tls": tls}, "admin": {"server_names": ["shop.test"], "path": "/admin/", "tls": tls}}
    ports = {"tornado_app_proxy_port": 81, "tornado_app_proxy_tls_port": 8444}
    handed = act(
        {"web-1": {"tornado_apps": apps, **ports}},
        action="balancer_shortfalls",
        found={"running": False, "servers": {}, "certificates": {}},
        tls="pass",
    )
    assert (handed["backends"], handed["certificates"]) == (["shop", "admin", "shop.tls"], [])


@pytest.mark.parametrize(
    ("found", "shortfall"),
    [
        ({"running": False, "servers": {"shop": {}, "api": {}}}, "lb-1: HAProxy does not run; see journalctl -u haproxy"),
        ({"servers": {**UP, "api": {}}}, "lb-1: HAProxy does not know api; run --tags provision, or playbooks/balance.yml"),
        ({"servers": {**UP, "api": {"web-1": False}}}, "lb-1: api has no host that is ready, of web-1; see http://127.0.0.1:8404/ there"),
        (
            {"certificates": lasting(days_left=9, renewal="refused")},
            "lb-1: shop's certificate ends in 9 days, and is not renewed: refused; ",
        ),
        ({"certificates": lasting(expires="", days_left=-1, renewal="none was issued yet")}, "lb-1: shop has no certificate: none was "),
    ],
)
def test_what_a_balancer_does_not_deliver_is_said(found: dict[str, Any], shortfall: str) -> None:
    _, (said,), _ = looked({"running": True, "servers": UP, "certificates": lasting(), **found})
    assert said.startswith(shortfall)
