"""TLS in the actions: what is refused before anything changes, what a host is given, and who sees the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.unit.loading import plugin
from tests.unit.builders import HOST, SHOP, planned, state
from tests.unit.certified import authority, issue, written
from tests.unit.test_action_files import Handed
from tests.unit.test_actions import act, refusal

NAMES = {"server_names": ["shop.test"]}
LEAF = authority().leaf("shop.test", "old.test")
FLEET: dict[str, Any] = {"plan": "the_plan", "state": "the_state", "group": "tornado"}
WORDS = LEAF.key_pem.splitlines()[1:-1]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller trusts somebody else."""
    certificates = plugin("plugin_utils", "certificates")
    (tmp_path / "store.pem").write_text(issue("Somebody").pem)
    monkeypatch.setattr(certificates, "STORES", (str(tmp_path / "store.pem"),))
    certificates.trusted.cache_clear()


def plan(tls: Any, **more: Any) -> dict[str, Any]:
    apps = {
        "shop": {**SHOP, **NAMES, "redirect_names": ["old.test"], "tls": tls},
        "admin": {**SHOP, **NAMES, "path": "/admin/", "tls": tls},
        "api": SHOP,
        **more,
    }
    return {"apps": planned(apps), "absent": {}, "host": HOST}


def nginx_files(made: dict[str, Any]) -> Handed:
    found = state()
    found["apps"] = dict.fromkeys(made["apps"], found["apps"]["shop"])
    return Handed("nginx_files", run="r-9", plan=made, state=found)


def hosts(tls: Any) -> dict[str, dict[str, Any]]:
    made, found = plan(tls), state()
    found["apps"] = dict.fromkeys(made["apps"], found["apps"]["shop"])
    return {f"web-{number}": {"the_plan": made, "the_state": found} for number in (1, 2)}


def refused(tls: Any) -> list[str]:
    return refusal("check", hosts(tls), **FLEET, operations=["provision", "deploy"])


def test_a_good_certificate_is_no_reason_to_stop(tmp_path: Path) -> None:
    assert not act("check", hosts(written(tmp_path, LEAF)), **FLEET, operations=["provision", "deploy"])["stale"]


def test_all_that_is_bad_is_said_once(tmp_path: Path) -> None:
    tls = written(tmp_path, authority().leaf("other.test", days=-1))
    found = [problem.removeprefix("tornado_apps.shop.tls.") for problem in refused(tls) if ".shop." in problem]
    assert [problem.partition(" ")[0] for problem in found] == ["certificate:", "certificate"]
    assert "has expired on" in found[0]
    assert "is not for shop.test, old.test of server_names or redirect_names, but for other.test" in found[1]


@pytest.mark.parametrize(
    ("part", "content", "said"),
    [
        ("key", authority().leaf("shop.test").key_pem, "tornado_apps.shop.tls.key is not the one of the certificate"),
        ("key", None, "tornado_apps.shop.tls.key {path} is not there, on the controller"),
        ("certificate", None, "tornado_apps.shop.tls.certificate {path} is not there, on the controller"),
        ("key", "nonsense", "tornado_apps.shop.tls.key {path} has no private key in PEM"),
        ("certificate", LEAF.pem, "tornado_apps.shop.tls.certificate: the chain ends at CN=shop.test"),
        ("key", "$ANSIBLE_VAULT;1.1;AES256\n6161\n", "tornado_apps.shop.tls.key {path} cannot be read: "),
    ],
)
def test_what_cannot_be_served_is_refused(part: str, content: str | None, said: str, tmp_path: Path) -> None:
    tls = written(tmp_path, LEAF)
    path = Path(tls[part])
    path.unlink() if content is None else path.write_text(content)
    assert refused(tls)[0].startswith(said.format(path=path))
    assert not any(word in str(refused(tls)) for word in WORDS)


@pytest.mark.parametrize("operations", [["deploy"], ["rollback"], ["stop"], ["start"]])
def test_what_is_on_the_hosts_can_go_on_without_it(operations: list[str], tmp_path: Path) -> None:
    """Whoever is in a hurry has no use for a certificate that is over."""
    for tls in (written(tmp_path, authority().leaf("shop.test", days=-1)), {"certificate": "/nowhere", "key": "/nowhere"}):
        assert act("check", hosts(tls), **FLEET, operations=operations)


def test_nginx_gets_a_certificate_for_each_site(tmp_path: Path) -> None:
    other = {**SHOP, "server_names": ["own.test"], "redirect_names": ["www.own.test"], "tls": {"self_signed": True}}
    issued = {**SHOP, "server_names": ["acme.test"], "tls": {"acme": {"email": "x@acme.test"}}}
    handed = nginx_files(plan(written(tmp_path, LEAF), own=other, acme=issued))
    files = handed.files()
    assert files["tornado_app/shop.pem"] == {"path": "tornado_app/shop.pem", "secret": authority().chain(LEAF) + LEAF.key_pem}
    assert files["tornado_app/own.pem"] == {"path": "tornado_app/own.pem", "self_signed": ["own.test", "www.own.test"], "force": True}
    assert files["tornado_app/acme.pem"] == {"path": "tornado_app/acme.pem", "self_signed": ["acme.test"], "force": False}
    assert [path for path in handed.arguments["absent"] if "pem" in path] == ["tornado_app/admin.pem", "tornado_app/api.pem"]
    assert not any(word in str({**handed.arguments, "files": [file for file in files.values() if "secret" not in file]}) for word in WORDS)
    assert not any(word in str(handed.result) for word in WORDS)


def test_a_key_that_is_gone_by_then_is_named(tmp_path: Path) -> None:
    tls = written(tmp_path, LEAF)
    Path(tls["key"]).unlink()
    with pytest.raises(AnsibleActionFail, match=rf"tornado_apps\.shop\.tls\.key {tls['key']} is not there, on the controller"):
        nginx_files(plan(tls))


def look(made: dict[str, Any]) -> Handed:
    return Handed("state", {"failed": True}, plan=made, python="3.11", packages=["nginx"], own_files=[], noted={})


def test_a_host_is_compared_with_the_certificate_and_never_asked_for_the_key(tmp_path: Path) -> None:
    other = {**SHOP, "server_names": ["own.test"], "tls": {"self_signed": True}}
    arguments = look(plan(written(tmp_path, LEAF), own=other)).arguments
    found = {thing["name"]: thing for thing in arguments["things"] if thing["check"] == "certificate"}
    assert {name: thing["mode"] for name, thing in found.items()} == {"tornado_app/shop.pem": "0600", "tornado_app/own.pem": "0600"}
    assert found["tornado_app/own.pem"]["names"] == ["own.test"]
    assert "names" not in found["tornado_app/shop.pem"]
    again = look(plan(written(tmp_path, authority().leaf("shop.test")))).arguments
    digests = [thing["sha256"] for thing in (*arguments["things"], *again["things"]) if thing["name"] == "tornado_app/shop.pem"]
    assert len(set(digests)) == 2
    assert not any(word in str(arguments) for word in WORDS)
    assert {"kind": "package", "name": "openssl", "check": "package"} in arguments["things"]
    (folder,) = {thing["path"]: thing for thing in arguments["things"] if thing["name"] == "/etc/nginx/tornado_app"}.values()
    assert (folder["check"], folder["owner"], folder["mode"]) == ("directory", "root", "0755")
    assert not [thing for thing in look(plan({})).arguments["things"] if thing["name"] == "openssl" or thing["check"] == "certificate"]


def test_a_controller_without_the_files_looks_at_hosts_all_the_same() -> None:
    (thing,) = [
        thing for thing in look(plan({"certificate": "/nowhere", "key": "/nowhere"})).arguments["things"] if thing["check"] == "certificate"
    ]
    assert "sha256" not in thing


def test_ansible_vault_may_have_encrypted_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = written(tmp_path, LEAF)
    secret = VaultSecret(b"hunter2")
    for part in tls.values():
        Path(part).write_bytes(VaultLib().encrypt(Path(part).read_bytes(), secret))
    real = DataLoader.__init__

    def with_secret(self: DataLoader) -> None:
        real(self)
        self.set_vault_secrets([("default", secret)])

    monkeypatch.setattr(DataLoader, "__init__", with_secret)
    handed = nginx_files(plan(tls))
    assert handed.files()["tornado_app/shop.pem"]["secret"] == authority().chain(LEAF) + LEAF.key_pem


def test_a_relative_path_starts_where_the_project_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, LEAF)
    monkeypatch.setattr(plugin("plugin_utils", "controller").CollectionAction, "value", lambda *_: str(tmp_path))
    found = act("check", hosts({"certificate": "certificate.pem", "key": "key.pem"}), **FLEET, operations=["provision"])
    assert not found["stale"]
