"""The actions that know of Redis, in process: what they take from the inventory, what they hand over, and what they refuse."""

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

from tests.unit.loading import COLLECTION, ROOT
from ansible_collections.tornado_app.deploy.plugins.module_utils.redis_users import password
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import redis
from tests.unit import test_actions
from tests.unit.builders import HOST, planned, state
from tests.unit.certified import Issued, authority, written
from tests.unit.conftest import facts, templar
from tests.unit.test_action_balancer import Inventory

ROLES = [str(ROOT / "roles/redis"), str(ROOT / "roles/tornado_app")]
FLEET = "s3cret-of-the-fleet-with-32-characters"
SHOP = {"source": "x", "processes": "{{ ansible_facts['processor_nproc'] }}", "redis_keys": ["shop:*"]}
REDIS = {"redis-1": {"ansible_host": "192.0.2.9"}}
WEB = {"web-1": {"tornado_apps": {"shop": SHOP}}}
Hosts = Mapping[str, Any]


def act(action: str, hosts: Hosts, project: Path = Path("/nowhere"), /, **arguments: Any) -> dict[str, Any]:
    """Run an action on the host of Redis; its result, and as ``handed`` what the module got."""
    of_role: dict[str, Any] = {"__redis_project": str(project), "__tornado_app_project": str(project), "ansible_search_path": ROLES}
    groups = {group: [name for name in hosts if name.startswith(kind)] for group, kind in (("redis", "redis-"), ("tornado", "web-"))}
    of_role["__tornado_app_state"] = {"host": {"python": "3.11"}}  # as it is where state.yml has run
    plays = {"ansible_play_hosts": groups["tornado"], "ansible_play_hosts_all": groups["tornado"]}
    engine = templar({**of_role, **plays, "ansible_facts": facts(), "groups": groups, "hostvars": Inventory(hosts)})
    task = SimpleNamespace(args=arguments, async_val=0, check_mode=False, action=action)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
    plugin = importlib.import_module(f"{COLLECTION}.plugins.action.{action}")
    handed: dict[str, Any] = {}

    class Action(plugin.ActionModule):  # type: ignore[misc, name-defined]  # known when it runs
        """The action, without a host to send a module to."""

        def _execute_module(self, module_name: str, module_args: dict[str, Any], task_vars: Any) -> Any:  # noqa: ARG002
            handed.update(module_args)
            return {"changed": True, "failed": action == "state"}  # there is more to do with what state_info says

    result = Action(task, connection, None, DataLoader(), engine, None).run(task_vars=engine.available_variables)
    return {**result, "handed": handed}


def configure(hosts: Hosts, project: Path = Path("/nowhere"), **arguments: Any) -> dict[str, Any]:
    """What the module redis_config gets."""
    webs = [name for name in hosts if name.startswith("web-")]
    found: dict[str, Any] = act("redis", hosts, project, **{"server": "redis", "hosts": webs, "maxmemory": "512M", **arguments})["handed"]
    return found


def refusal(hosts: Hosts, project: Path = Path("/nowhere"), **arguments: Any) -> list[str]:
    with pytest.raises(AnsibleActionFail) as failure:
        configure(hosts, project, **arguments)
    return str(failure.value).splitlines()


def test_the_apps_of_all_hosts_get_a_user_whoever_is_asked() -> None:
    apps = {"api": {"source": "x"}, "none": {"source": "x", "redis_keys": []}, "old": {"state": "absent"}}
    handed = configure({**REDIS, **WEB, "web-2": {"tornado_apps": {"shop": SHOP, **apps}}})
    assert handed["users"] == {"shop": ["shop:*"], "api": ["*"]}
    assert handed["absent"] == ["none", "old"]
    assert (handed["secret"], handed["addresses"]) == ("", ["127.0.0.1", "192.0.2.9"])
    assert "bind 127.0.0.1 192.0.2.9\nprotected-mode yes\nport 6379\n" in handed["config"]
    assert f"maxmemory {512 << 20}\nmaxmemory-policy noeviction\n" in handed["config"]
    assert "certificate" not in handed
    assert {handed[file].partition("\n")[0] for file in ("config", "unit")} == {"# Ansible managed"}


def test_an_app_that_goes_from_one_host_alone_keeps_its_user() -> None:
    handed = configure({**REDIS, **WEB, "web-2": {"tornado_apps": {"shop": {"state": "absent"}}}})
    assert (handed["users"], handed["absent"]) == ({"shop": ["shop:*"]}, [])


def test_defaults_of_the_inventory_count() -> None:
    web = {"tornado_app_defaults": {"redis_keys": ["all:*"]}, "tornado_apps": {"shop": {"source": "x"}}}
    assert configure({**REDIS, "web-1": web})["users"] == {"shop": ["all:*"]}


@pytest.mark.parametrize(
    ("own", "bind", "found"),
    [
        ({}, [], "192.0.2.9"),
        ({"redis_address": "10.0.0.9"}, [], "10.0.0.9"),
        ({"redis_address": "198.51.100.1"}, ["10.0.0.9", "fd00::9"], "10.0.0.9 fd00::9"),
        ({"ansible_host": "localhost"}, ["127.0.0.1"], ""),
    ],
)
def test_it_listens_where_apps_reach_it(own: dict[str, Any], bind: list[str], found: str) -> None:
    config = configure({"redis-1": {**REDIS["redis-1"], **own}, **WEB}, bind=bind)["config"]
    assert f"bind 127.0.0.1 {found}".strip() in config.splitlines()


@pytest.mark.parametrize(("bind", "line"), [(["0.0.0.0"], "bind 0.0.0.0"), (["0.0.0.0", "::"], "bind 0.0.0.0 ::")])
def test_all_addresses_have_no_loopback_beside_them(bind: list[str], line: str) -> None:
    """It would not start: that address is in use by then."""
    assert line in configure({**REDIS, **WEB}, bind=bind)["config"].splitlines()


def test_a_name_that_nobody_knows_is_an_error_with_a_way_out() -> None:
    (found,) = refusal({"redis-1": {"redis_address": "redis.invalid"}, **WEB})
    assert found.endswith("give redis-1 one in the inventory, by redis_address or ansible_host")


def test_valkey_has_its_own_places() -> None:
    handed = configure({**REDIS, **WEB}, server="valkey")
    assert "unixsocket /run/valkey/tornado_app.sock\n" in handed["config"]
    assert "dir /var/lib/valkey\n" in handed["config"]
    assert "ExecStart=\nExecStart=/usr/bin/valkey-server /etc/tornado_app/redis/redis.conf " in handed["unit"]


def test_the_unit_is_hardened_and_has_the_open_files_of_its_clients() -> None:
    unit = configure({**REDIS, **WEB}, maxclients=2000)["unit"].splitlines()
    for line in (
        "LimitNOFILE=3024",
        "LimitCORE=0",
        "ReadWritePaths=/var/lib/redis",
        "Restart=always",
        "TimeoutStartSec=infinity",
        "StartLimitIntervalSec=0",
    ):
        assert line in unit
    assert unit.index("SystemCallFilter=") < unit.index("SystemCallFilter=@system-service")


def test_all_that_cannot_work_is_said_at_once() -> None:
    other = {"web-2": {"tornado_apps": {"shop": {**SHOP, "redis_keys": ["*"]}}}}
    redis_1 = {"redis-1": {"redis_secret": "short", "redis_tls": {"cert": "x", "key": "k"}}, "redis-2": {}}
    assert refusal({**redis_1, **WEB, **other}, maxmemory=1000, maxclients=1) == [
        "the group redis has redis-1, redis-2, and the role runs one Redis: leave one host there, or none, and give apps the URL of your "
        "Sentinel or cluster as tornado_apps.<app>.secrets.REDIS_URL",
        "redis_secret of redis-1 has to be at least 32 characters without spaces, as `openssl rand -hex 32` makes",
        "redis_tls.cert of redis-1 is not a setting; known keys: certificate, key, ca",
        "redis_tls.certificate of redis-1 is missing: give certificate and key, or leave redis_tls out",
        "tornado_apps.shop.redis_keys is not the same on all of web-1, web-2, as for one user it has to be",
        "redis_maxmemory is 1000: at least 1000000 is needed",
        "redis_maxclients is 1: at least 16 is needed",
    ]


def test_what_is_only_checked_asks_no_host() -> None:
    assert configure({**REDIS, **WEB}, state="checked") == {}
    assert refusal({**REDIS, **WEB}, state="checked", maxclients=1)


# TLS


def secured(folder: Path, leaf: Issued, **changed: str) -> Hosts:
    """The hosts, with these files for Redis."""
    (folder / "ca.pem").write_text(authority().root.pem)
    tls = {**written(folder, leaf, leaf.pem + authority().intermediate.pem), "ca": str(folder / "ca.pem"), **changed}
    return {"redis-1": {"redis_address": "10.0.0.9", "ansible_host": "127.0.0.1", "redis_tls": tls}, **WEB}


def test_with_tls_the_port_takes_nothing_else(tmp_path: Path) -> None:
    leaf = authority().leaf("10.0.0.9")
    handed = configure(secured(tmp_path, leaf), bind=["10.0.0.9"])
    assert "port 0\ntls-port 6379\n" in handed["config"]
    assert f"tls-cert-file {handed['certificate']}\ntls-key-file {handed['certificate']}\ntls-auth-clients no\n" in handed["config"]
    assert handed["pem"] == leaf.pem + authority().intermediate.pem + leaf.key_pem


@pytest.mark.parametrize(
    ("names", "options", "changed", "said"),
    [
        (["redis.test"], {}, {}, "redis_tls.certificate is not for 10.0.0.9 of redis_address, but for redis.test"),
        (["10.0.0.9"], {"days": -1}, {}, "redis_tls.certificate: CN=10.0.0.9 has expired on"),
        (["10.0.0.9"], {}, {"key": "/nowhere/k"}, "redis_tls.key /nowhere/k is not there, on the controller"),
        (["10.0.0.9"], {}, {"ca": "/nowhere/ca"}, "redis_tls.ca /nowhere/ca is not there, on the controller"),
    ],
)
def test_a_certificate_that_would_not_do_is_refused(
    tmp_path: Path, names: list[str], options: dict[str, Any], changed: dict[str, str], said: str
) -> None:
    (found,) = refusal(secured(tmp_path, authority().leaf(*names, **options), **changed))
    assert found.startswith(said)


def test_a_ca_that_has_not_issued_it_is_refused(tmp_path: Path) -> None:
    hosts = secured(tmp_path, authority().leaf("10.0.0.9"))
    (tmp_path / "ca.pem").write_text(authority().leaf("another.test").pem)
    assert "which has not issued it" in refusal(hosts)[0]


# The URLs of apps


def urls(
    redis_1: Mapping[str, Any],
    asked: Mapping[str, Any],
    *present: Mapping[str, str],
    apps: Mapping[str, Any] | None = None,
    refused: tuple[str, ...] = (),
) -> Any:
    """What the action says of the hosts web-1, ..., which have these URLs."""
    plan = {"apps": planned(apps or {"shop": {"source": "x"}}, redis=True), "absent": {}, "host": HOST}
    webs = {f"web-{n}": {"the_plan": plan, "found": {"urls": own}} for n, own in enumerate(present or [{}], 1)}
    answers = [{"app": app, "error": f"{app} is refused"} for app in refused]
    found = act("redis_urls", {"redis-1": redis_1, **webs}, plan="the_plan", asked=asked, present="found", refused=answers)
    return found["urls"], found["note"]


def test_an_app_gets_its_own_url() -> None:
    apps = {name: {"source": "x", "server_names": [f"{name}.test"]} for name in ("shop", "api")}
    (found, note) = urls({"redis_address": "10.0.0.9"}, {"secret": FLEET}, apps=apps)
    assert found == {app: f"redis://{app}:{password(FLEET, app)}@10.0.0.9:6379/0" for app in apps}
    assert note == ""
    assert urls({"redis_secret": FLEET}, {"skipped": True})[0]["shop"] == f"redis://shop:{password(FLEET, 'shop')}@redis-1:6379/0"


def test_an_address_of_ipv6_has_brackets() -> None:
    assert urls({"redis_address": "fd00::9"}, {"secret": FLEET})[0]["shop"].endswith("@[fd00::9]:6379/0")


def test_apps_keep_what_they_have_where_nobody_says_the_secret() -> None:
    old = {"shop": "redis://old"}
    assert urls({}, {"unreachable": True}, {"shop": "redis://x"}, old, old)[0] == old
    found, note = urls({}, {"unreachable": True}, {"shop": ""})
    assert found == {}
    assert note == (
        "redis-1 does not say the secret of Redis, and apps keep the REDIS_URL that they have; shop goes without one until a later run"
    )


def test_apps_keep_what_they_have_where_redis_does_not_take_the_new_one() -> None:
    """One that has none gets the new one, and one whose is the same gets no word of it: Redis is away."""
    apps = {name: {"source": "x", "server_names": [f"{name}.test"]} for name in ("shop", "api", "new")}
    same = f"redis://api:{password(FLEET, 'api')}@redis-1:6379/0"
    found, note = urls({}, {"secret": FLEET}, {"shop": "redis://old", "api": same}, apps=apps, refused=("shop", "api", "new"))
    assert found == {"shop": "redis://old", "api": same, "new": f"redis://new:{password(FLEET, 'new')}@redis-1:6379/0"}
    assert note == ("Redis does not take a REDIS_URL as the inventory has it, and apps keep the one that they have: shop is refused")


@pytest.mark.parametrize("own", [{"redis_keys": []}, {"secrets": {"REDIS_URL": "x"}}, {"environment": {"REDIS_URL": "x"}}])
def test_an_app_that_wants_none_or_has_its_own_gets_none(own: dict[str, Any]) -> None:
    assert urls({}, {"secret": FLEET}, apps={"shop": {"source": "x", **own}}) == ({}, "")


# What the apps' hosts are checked for, and get


def test_the_apps_hosts_get_whom_they_trust(tmp_path: Path) -> None:
    hosts = secured(tmp_path, authority().leaf("10.0.0.9"))
    given = {"plan": {"apps": {}, "absent": {}, "host": HOST}, "python": "3.11", "packages": [], "own_files": []}
    handed = act("state", hosts, tmp_path, **given)["handed"]
    (ca,) = (thing for thing in handed["things"] if thing.get("path", "").endswith("redis_ca.pem"))
    assert (ca["kind"], ca["path"], ca["mode"]) == ("own_file", "/opt/tornado_app/redis_ca.pem", "0644")


def check(hosts: Hosts, operation: str) -> dict[str, Any]:
    webs = {name: {**own, "the_plan": test_actions.SHOP_PLANNED, "the_state": state()} for name, own in hosts.items() if "web" in name}
    given: dict[str, Any] = {"plan": "the_plan", "state": "the_state", "group": "tornado", "operations": [operation]}
    return act("check", {**hosts, **webs}, **given)


def test_what_redis_would_refuse_stops_a_run_before_anything_changes() -> None:
    two = {**REDIS, "redis-2": {}, **WEB}
    for operation in ("provision", "deploy", "restart", "rollback"):
        with pytest.raises(AnsibleActionFail, match="the group redis has redis-1, redis-2"):
            check(two, operation)
    assert check(two, "verify")
    with pytest.raises(AnsibleActionFail, match="redis_secret of redis-1"):
        check({"redis-1": {"redis_secret": "short"}, **WEB}, "provision")
    assert check({"redis-1": {"redis_secret": "short"}, **WEB}, "deploy")


def test_redis_is_a_line_of_the_status() -> None:
    looked = {"running": True, "version": "7.0.15", "uptime": 90000, "memory": 1_200_000, "maxmemory": 2_048_000_000, "clients": 12}
    line = redis.line("redis-1", {**looked, "saved": "2026-11-21T06:38:18Z", "shortfalls": []})
    assert line == (
        "Redis on redis-1: 7.0.15, up for 1d, 1.2 of 2048 MB, 12 clients, last snapshot 2026-11-21T06:38:18Z, log (AOF) written"
    )
    assert redis.line("redis-1", {"unreachable": True, "msg": "x"}) == "Redis on redis-1 cannot be asked: x"
    assert redis.line("redis-1", {"running": False, "shortfalls": ["x"]}) == "Redis on redis-1 is down: x"
    hosts = {**REDIS, "web-1": {"the_plan": test_actions.SHOP_PLANNED, "the_state": state()}}
    text = act("status", hosts, plan="the_plan", state="the_state", redis={"unreachable": True})["text"]
    assert text.endswith("\n\nRedis on redis-1 cannot be asked: its host does not answer")


def test_no_result_of_the_action_has_the_secret() -> None:
    arguments: dict[str, Any] = {"server": "redis", "hosts": ["web-1"], "maxmemory": 1 << 30, "bind": ["127.0.0.1"]}
    result = act("redis", {"redis-1": {"redis_secret": FLEET}, **WEB}, **arguments)
    assert result.pop("handed")["secret"] == FLEET
    assert FLEET not in json.dumps(result)
