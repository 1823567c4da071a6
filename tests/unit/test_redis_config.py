"""The module that configures Redis, against a real one: what it writes, what a running server gets, and what needs a restart."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.unit.loading import plugin
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.setting_rules import REDIS_PATTERN
from tests.unit.certified import authority
from tests.unit.conftest import run_module, utils
from tests.unit.redis_host import FLEET, RedisHost

APPS = {"shop": ["shop:*"], "api": ["*"]}
users = utils("redis_users")


@pytest.fixture
def host(tmp_path: Path, ports: Callable[[int], list[int]]) -> RedisHost:
    return RedisHost(tmp_path, ports(1)[0])


@pytest.fixture
def started(host: RedisHost) -> Iterator[RedisHost]:
    """One that runs as it is configured."""
    host.configure(APPS)
    with host.running():
        yield host


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_a_fresh_host_gets_files_that_only_root_changes(host: RedisHost) -> None:
    checked = host.configure(APPS, check=True)
    assert (checked["changed"], checked["restart"], host.directory.exists()) == (True, True, False)
    result = host.configure(APPS)
    assert result["paths"] == checked["paths"]
    assert {mode(host.directory / name) for name in ("redis.conf", "users.acl")} == {"0o640"}
    assert (mode(host.secret_file), mode(host.directory)) == ("0o600", "0o755")
    assert host.unit_file.read_text() == "[Service]\n"


def test_the_second_time_nothing_changes(started: RedisHost) -> None:
    for check in (False, True):
        result = started.configure(APPS, check=check)
        assert (result["changed"], result["restart"], result["paths"], result["diff"]) == (False, False, [], [])


def test_no_result_has_a_secret(host: RedisHost) -> None:
    pem = authority().leaf("localhost", "127.0.0.1")
    result = json.dumps(host.configure(APPS, pem=pem.pem + pem.key_pem))
    hashes = [word[1:] for word in (host.directory / "users.acl").read_text().split() if word.startswith("#")]
    assert len(hashes) == 3
    assert not [secret for secret in (FLEET, "PRIVATE KEY", *hashes) if secret in result]


def test_the_host_makes_a_secret_and_keeps_it(host: RedisHost) -> None:
    host.configure(APPS, secret="")
    made = host.secret_file.read_text().strip()
    assert len(made) == 64
    assert not host.configure(APPS, secret="")["paths"]
    asked = run_module("redis_secret", path=str(host.secret_file))
    assert (asked["secret"], asked["changed"]) == (made, False)
    with host.running():
        assert host.client("shop", made).ping()


def test_who_asks_first_for_the_secret_has_it_made(host: RedisHost) -> None:
    assert len(run_module("redis_secret", path=str(host.secret_file), check=True)["secret"]) == 64
    assert not host.secret_file.exists()
    made = run_module("redis_secret", path=str(host.secret_file))
    assert (host.secret_file.read_text(), mode(host.secret_file)) == (f"{made['secret']}\n", "0o600")


def test_users_come_and_go_without_a_restart_and_others_stay_connected(started: RedisHost) -> None:
    """Unlike by ACL LOAD."""
    shop, api = started.client("shop"), started.client("api")
    ids = shop.client_id(), api.client_id()
    result = started.configure({"shop": ["shop:*", "more:*"], "tool": ["tool:*"]}, absent=("api",))
    assert (result["changed"], result["restart"]) == (True, False)
    assert shop.client_id() == ids[0]
    assert shop.set("more:x", "1")
    assert started.client("tool").set("tool:x", "1")
    with pytest.raises((redis.exceptions.ConnectionError, redis.exceptions.AuthenticationError)):
        api.ping()
    assert not started.configure({"shop": ["shop:*", "more:*"], "tool": ["tool:*"]}, absent=("api",))["changed"]


def test_the_file_is_what_the_server_has_after_its_next_start(started: RedisHost) -> None:
    """What it has loaded it loads again, by ACL LOAD too."""
    started.configure({"tool": ["tool:*"]}, absent=("shop",))
    admin = started.client(users.ADMIN)
    before = admin.acl_list()
    assert admin.execute_command("ACL LOAD") in ("OK", True, b"OK")
    assert sorted(started.client(users.ADMIN).acl_list()) == sorted(before)
    assert {line.split()[1] for line in before} == {"default", users.ADMIN, "tool", "api"}


def test_what_somebody_else_has_changed_is_brought_back(started: RedisHost) -> None:
    admin = started.client(users.ADMIN)
    admin.execute_command("ACL", "SETUSER", "shop", "+@all", "~*")
    admin.config_set("maxmemory-policy", "allkeys-lru")
    assert started.configure(APPS)["changed"]
    assert admin.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with pytest.raises(redis.exceptions.NoPermissionError):
        started.client("shop").get("api:x")


def test_memory_comes_without_a_restart(started: RedisHost) -> None:
    checked = started.configure(APPS, check=True, maxmemory=50_000_000, maxmemory_policy="allkeys-lru")
    result = started.configure(APPS, maxmemory=50_000_000, maxmemory_policy="allkeys-lru")
    assert [(found["changed"], found["restart"]) for found in (checked, result)] == [(True, False)] * 2
    assert started.info()["maxmemory"] == 50_000_000


@pytest.mark.parametrize("changed", [{"maxclients": 50}, {"unit": "[Service]\nUMask=0077\n"}])
def test_anything_else_asks_for_a_restart_until_there_is_one(started: RedisHost, changed: dict[str, Any]) -> None:
    assert started.configure(APPS, **changed)["restart"]
    later = time.time() + 60
    os.utime(started.unit_file, (later, later))  # as the start was a minute before
    assert started.configure(APPS, **changed)["restart"]


def test_a_new_secret_is_brought_by_the_former_one(started: RedisHost) -> None:
    new = "another-secret-of-at-least-32-characters"
    result = started.configure(APPS, secret=new)
    assert (result["restart"], started.secret_file.read_text()) == (False, f"{new}\n")
    assert started.client("shop", new).ping()
    with pytest.raises(redis.exceptions.AuthenticationError):
        started.client("shop").ping()
    assert not started.configure(APPS, secret=new)["changed"]


def test_every_character_of_a_pattern_is_taken_as_it_is(host: RedisHost) -> None:
    """From the file, and by a running server."""
    pattern = "".join(chr(code) for code in range(33, 127) if REDIS_PATTERN.fullmatch(chr(code)))
    host.configure({"shop": [pattern]})
    with host.running():
        assert host.client(users.ADMIN).acl_getuser("shop")["keys"] == [f"~{pattern}", "~shop:tornado_app:*"]
        assert not host.configure({"shop": [pattern]})["changed"]


def test_what_redis_refuses_leaves_its_files(started: RedisHost) -> None:
    before = (started.directory / "users.acl").read_text()
    result = started.configure({"shop": ["a b"]})
    assert "Redis does not take what is wanted, and keeps its files: ERR Error in ACL SETUSER" in result["msg"]
    assert (started.directory / "users.acl").read_text() == before


def test_an_address_of_somebody_else_is_refused(host: RedisHost) -> None:
    result = host.configure(APPS, addresses=["127.0.0.1", "192.0.2.77"])
    assert result["msg"].startswith("192.0.2.77 is not an address of this host (Cannot assign requested address): give redis_bind")
    assert not host.directory.exists()


def test_it_is_refused_while_redis_runs_which_would_not_start_again(started: RedisHost) -> None:
    before = (started.directory / "redis.conf").read_text()
    assert "192.0.2.77 is not an address of this host" in started.configure(APPS, addresses=["127.0.0.1", "192.0.2.77"])["msg"]
    assert (started.directory / "redis.conf").read_text() == before


def test_data_that_would_be_lost_is_refused(host: RedisHost) -> None:
    (host.data / "dump.rdb").write_bytes(b"REDIS0009")
    assert "has data of a Redis without a log (AOF), which would be lost" in host.configure(APPS)["msg"]
    (host.data / "appendonlydir").mkdir()
    assert "msg" not in host.configure(APPS)


def test_a_server_that_is_not_installed_counts_in_check_mode_alone(host: RedisHost) -> None:
    host.program.unlink()
    assert host.configure(APPS, check=True)["restart"]


def test_data_survives_a_kill(host: RedisHost) -> None:
    host.configure(APPS)
    with host.running():
        host.client("shop").set("shop:job", "1")
    with host.running():
        assert host.client("shop").get("shop:job") == "1"


def test_the_status_of_a_server_that_runs(started: RedisHost) -> None:
    found = started.info()
    assert found["running"]
    assert found["version"].startswith("7.")
    assert (found["maxmemory"], found["clients"], found["shortfalls"]) == (100_000_000, 0, [])
    assert found["memory"] > 0


def test_the_status_of_one_that_does_not(host: RedisHost) -> None:
    assert host.info()["shortfalls"] == ["Redis is not set up; run --tags provision"]
    host.configure(APPS)
    found = host.info()
    assert not found["running"]
    assert found["shortfalls"][0].startswith("Redis does not run as it is set up; see journalctl -u redis-server")
    with host.running():
        host.client(users.ADMIN).config_set("appendonly", "no")
        assert host.info()["shortfalls"] == ["Redis does not write what it is given to its log (AOF); run --tags provision"]


def test_one_that_takes_no_writes_says_so(host: RedisHost) -> None:
    host.configure(APPS, maxmemory=1)
    with host.running():
        (said,) = host.info()["shortfalls"]
        assert said.startswith("Redis has no memory left, and takes no writes: raise redis_maxmemory")
        host.configure(APPS, maxmemory=1, maxmemory_policy="allkeys-lru")
        assert host.info()["shortfalls"] == []


def test_one_that_reads_its_data_is_not_said_to_have_no_log() -> None:
    loading = {"loading": "1", "loading_eta_seconds": "42", "aof_enabled": "0", "used_memory": "0", "maxmemory": "0"}
    (said,) = plugin("modules", "redis_info").shortfalls(loading)
    assert said.startswith("Redis reads its data, and answers nobody until then, in 42 seconds")


def test_data_behind_a_link_is_where_it_is_said_to_be(host: RedisHost) -> None:
    (host.root / "link").symlink_to(host.data)
    host.data = host.root / "link"
    host.configure(APPS)
    with host.running():
        assert host.configure(APPS)["restart"] is False


def test_one_that_takes_no_more_clients_says_so_and_is_not_restarted(host: RedisHost) -> None:
    host.configure(APPS, maxclients=10)
    with host.running():
        clients = [host.client("shop") for _ in range(10)]
        assert all(client.ping() for client in clients)
        for _ in range(20):  # by the socket the refusal comes before or behind the question
            assert host.info()["shortfalls"][0].startswith("Redis does not answer: ERR max number of clients reached; ")
        assert "max number of clients reached" in host.configure(APPS, maxclients=10)["msg"]
        assert "max number of clients reached" in host.configure({**APPS, "another": ["*"]}, maxclients=10)["msg"]
        assert host.configure(APPS, maxclients=20)["restart"]
    with host.running():
        assert not host.configure(APPS, maxclients=20)["changed"]
