"""Who may do what in a real Redis that has the files of the role."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.unit.conftest import held_ports, utils
from tests.unit.redis_host import FLEET, NO_RETRY, RedisHost

users = utils("redis_users")
APPS = {"shop": ["shop:*"], "api": ["api:*", "both:*"], "tool-1": ["*"], "tool-2": ["*", "more:*"], "other": ["else:*"]}


@pytest.fixture(scope="module")
def host() -> Iterator[RedisHost]:
    """A Redis with three apps."""
    with tempfile.TemporaryDirectory() as folder, held_ports() as (port,):
        made = RedisHost(Path(folder), port)
        assert made.configure(APPS)["restart"]
        with made.running():
            yield made


@pytest.fixture
def shop(host: RedisHost) -> Any:
    """The first app."""
    return host.client("shop")


def test_an_app_may_do_what_apps_do(shop: Any) -> None:
    assert shop.set("shop:leader", "me", nx=True, px=60000)
    assert shop.set("shop:leader", "you", nx=True, px=60000) is None
    first = shop.xadd("shop:stream", {"text": "hello"}, maxlen=10, approximate=False)
    assert shop.xread({"shop:stream": "0"}) == [["shop:stream", [(first, {"text": "hello"})]]]
    assert shop.eval("return redis.call('get', KEYS[1])", 1, "shop:leader") == "me"
    assert shop.register_script("return redis.call('incr', KEYS[1])")(keys=["shop:count"]) == 1
    with shop.pipeline(transaction=True) as pipeline:
        assert pipeline.lpush("shop:jobs", "a").brpop("shop:jobs", timeout=1).execute()[0] == 1
    with shop.lock("shop:lock", timeout=5):
        assert shop.exists("shop:lock")
    assert shop.info("server")["redis_version"]
    assert shop.client_setname("shop")
    assert list(shop.scan_iter("shop:*"))


@pytest.mark.parametrize("app", APPS)
def test_an_app_may_hold_its_lease_whatever_its_keys_are(host: RedisHost, app: str) -> None:
    assert host.client(app).set(f"{app}:tornado_app:leader", "me")


def test_one_that_may_all_may_all_whatever_else_is_given(host: RedisHost) -> None:
    """Redis refuses a pattern beside that of all keys."""
    assert host.client("tool-2").set("anything", "1")


def test_an_app_hears_its_own_channels(host: RedisHost, shop: Any) -> None:
    with shop.pubsub() as listening:
        listening.psubscribe("shop:*")
        assert listening.get_message(timeout=5)["type"] == "psubscribe"
        assert shop.publish("shop:news", "hello") == 1
        assert listening.get_message(timeout=5)["data"] == "hello"
    with pytest.raises(redis.exceptions.NoPermissionError):
        host.client("api").publish("shop:news", "forged")
    with shop.pubsub() as listening:
        listening.subscribe("api:news")
        with pytest.raises(redis.exceptions.NoPermissionError):
            listening.get_message(timeout=5)


@pytest.mark.parametrize(
    "command",
    [
        *("CONFIG GET dir", "CONFIG SET dir /tmp", "ACL LIST", "ACL SETUSER shop +@all", "DEBUG SLEEP 0", "FLUSHALL", "FLUSHDB"),
        *("REPLICAOF 127.0.0.1 1", "SLAVEOF NO ONE", "MODULE LOAD /x.so", "SHUTDOWN NOSAVE", "SAVE", "BGREWRITEAOF", "MONITOR"),
        *("KEYS *", "SORT shop:jobs", "MIGRATE 127.0.0.1 1 shop:x 0 1", "SWAPDB 0 1", "CLIENT LIST", "CLIENT KILL TYPE normal"),
        *("FUNCTION FLUSH", "FUNCTION LIST", "SLOWLOG GET", "LATENCY RESET", "RESTORE shop:y 0 x"),
    ],
)
def test_an_app_may_not_do_what_is_the_servers(host: RedisHost, command: str) -> None:
    """With all keys neither, nor in a script."""
    for app in ("shop", "tool-1"):
        with pytest.raises(redis.exceptions.ResponseError, match=r"no permissions to run|command not allowed"):
            host.client(app).execute_command(*command.split())
    with pytest.raises(redis.exceptions.ResponseError):
        host.client("tool-1").eval("return redis.call(unpack(ARGV))", 0, *command.split())


def test_patterns_keep_apps_apart(host: RedisHost, shop: Any) -> None:
    api = host.client("api")
    api.set("api:token", "hunter2")
    api.set("both:x", "1")
    for key in ("api:token", "both:x", "shop"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            shop.get(key)
    with pytest.raises(redis.exceptions.ResponseError):
        shop.eval("return redis.call('get', 'api:token')", 0)
    with pytest.raises(redis.exceptions.NoPermissionError):
        shop.copy("api:token", "shop:token")
    assert host.client("tool-1").get("api:token") == "hunter2"


@pytest.mark.parametrize("given", [{}, {"username": "shop", "password": "wrong"}, {"username": "default", "password": FLEET}])
def test_who_has_no_password_gets_nowhere(host: RedisHost, given: dict[str, str]) -> None:
    with pytest.raises((redis.exceptions.AuthenticationError, redis.exceptions.ResponseError)):
        redis.Redis(port=host.port, retry=NO_RETRY, **given).ping()  # type: ignore[arg-type]  # of texts
    with pytest.raises(redis.exceptions.AuthenticationError):
        host.client("shop", secret=f"{FLEET}x").ping()


def test_each_app_has_its_own_password() -> None:
    assert len({users.password(FLEET, app) for app in (*APPS, users.ADMIN)}) == len(APPS) + 1
    assert users.password(FLEET, "shop") == users.password(FLEET, "shop") != users.password("another", "shop")


def test_the_file_has_no_password(host: RedisHost) -> None:
    text = (host.directory / "users.acl").read_text()
    assert all(users.password(FLEET, app) not in text for app in (*APPS, users.ADMIN))
    assert FLEET not in text


def test_what_an_old_version_does_not_know_is_left_out() -> None:
    """It would not start."""
    rules = users.rules(FLEET, {"shop": ["shop:*"]}, (6, 0))
    old = " ".join(rules["shop"])
    assert "&" not in old
    assert "function" not in old
    assert rules["default"] == ["reset", "off", "+hello"]
    assert " resetchannels &shop:* " in " ".join(users.rules(FLEET, {"shop": ["shop:*"]}, (6, 2))["shop"])


def test_users_that_nobody_has_removed_stay() -> None:
    present = "user default on nopass\nuser hand on >x +@all\nuser old on\nuser shop off\n\n"
    found = users.users_file({"default": ["off"], "shop": ["on"]}, present, ["old"])
    assert found == "user default off\nuser shop on\nuser hand on >x +@all\n"
