"""What nobody else may see: names in the plan, values only where they are written."""

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import secret_values as values
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.plan import plan
from tests.unit.builders import DEFAULTS, HOST, SHOP
from tests.unit.conftest import run_module


def planned(**settings: Any) -> dict[str, Any]:
    return dict(plan({"shop": {**SHOP, **settings}}, DEFAULTS, HOST))


def test_the_plan_has_the_names_alone() -> None:
    found = planned(secrets={"TOKEN": "hunter2"})
    assert found["shop"]["secrets"] == ["COOKIE_SECRET", "TOKEN"]
    assert "hunter2" not in json.dumps(found)


def test_each_app_gets_its_own_values_and_the_cookie_secret() -> None:
    apps = {"shop": {"secrets": {"TOKEN": "hunter2", "PIN": 42}}}
    assert values.secret_values(planned(**apps["shop"]), apps, DEFAULTS, {"shop": "c"}, {}) == {
        "shop": {"TOKEN": "hunter2", "PIN": "42", "COOKIE_SECRET": "c"}
    }
    assert values.secret_values(planned(), {"shop": {}}, DEFAULTS, {"shop": "c"}, {}) == {"shop": {"COOKIE_SECRET": "c"}}


def test_defaults_are_for_all_apps() -> None:
    defaults = {**DEFAULTS, "secrets": {"TOKEN": "all"}}
    found = plan({"shop": SHOP, "api": {**SHOP, "port": 8500, "server_names": ["api.test"], "secrets": {"PIN": "1"}}}, defaults, HOST)
    given: dict[str, Any] = {"shop": {}, "api": {"secrets": {"PIN": "1"}}}
    assert values.secret_values(found, given, defaults, {"shop": "c", "api": "c"}, {}) == {
        "shop": {"TOKEN": "all", "COOKIE_SECRET": "c"},
        "api": {"TOKEN": "all", "PIN": "1", "COOKIE_SECRET": "c"},
    }


def test_a_cookie_secret_of_the_operators_own_is_taken() -> None:
    mine = {"secrets": {"COOKIE_SECRET": "mine"}}
    assert values.secret_values(planned(**mine), {"shop": mine}, DEFAULTS, {"shop": "c"}, {}) == {"shop": {"COOKIE_SECRET": "mine"}}
    public = {"environment": {"COOKIE_SECRET": "mine"}}
    assert values.secret_values(planned(**public), {"shop": public}, DEFAULTS, {"shop": "c"}, {}) == {"shop": {}}


def test_a_fleet_keeps_the_cookie_secret_that_it_has() -> None:
    plans = [planned(), planned()]
    assert values.cookie_secrets(plans, [{"shop": ""}, {"shop": "old"}]) == {"shop": "old"}
    assert values.cookie_secrets(plans, [{"shop": "late"}, {"shop": "old"}, {"shop": "old", "gone": "x"}]) == {"shop": "old"}


def test_a_fleet_without_one_gets_a_new_one_each_app_its_own() -> None:
    plans = [planned(), {"api": {}}]
    one, two = (values.cookie_secrets(plans, [{"shop": ""}, {}]) for _ in range(2))
    assert len({*one.values(), *two.values()}) == 4
    assert all(len(secret) >= 43 for secret in one.values())


def read(**files: Path) -> dict[str, Any]:
    """What the module reads of apps whose secrets are in these files."""
    return run_module("cookie_secrets_info", apps={name: {"cookie_secret": str(path)} for name, path in files.items()})


def test_it_is_read_from_the_host(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("s3cret\n")
    result = read(shop=tmp_path / "shop", api=tmp_path / "api")
    assert (result["secrets"], result["changed"]) == ({"shop": "s3cret", "api": ""}, False)


def test_a_damaged_one_is_none(tmp_path: Path) -> None:
    (tmp_path / "shop").write_bytes(b"\xff\xfe")
    assert read(shop=tmp_path / "shop")["secrets"] == {"shop": ""}


def test_the_plan_says_where_it_is() -> None:
    assert planned()["shop"]["cookie_secret"] == "/etc/shop/cookie_secret"


# The URL of Redis, where the fleet has one


def with_redis(**settings: Any) -> dict[str, Any]:
    return dict(plan({"shop": {**SHOP, **settings}}, DEFAULTS, {**HOST, "redis": True}))


def test_an_app_gets_the_url_of_redis_by_its_name_in_the_plan() -> None:
    found = with_redis()
    assert (found["shop"]["secrets"], found["shop"]["redis"]) == (["COOKIE_SECRET", "REDIS_URL"], True)
    given = values.secret_values(found, {"shop": {}}, DEFAULTS, {"shop": "c"}, {"shop": "redis://x"})
    assert given == {"shop": {"COOKIE_SECRET": "c", "REDIS_URL": "redis://x"}}


def test_an_app_whose_url_nobody_knows_has_none() -> None:
    assert values.secret_values(with_redis(), {"shop": {}}, DEFAULTS, {"shop": "c"}, {}) == {"shop": {"COOKIE_SECRET": "c"}}


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ({"secrets": {"REDIS_URL": "mine"}}, {"COOKIE_SECRET": "c", "REDIS_URL": "mine"}),
        ({"environment": {"REDIS_URL": "mine"}}, {"COOKIE_SECRET": "c"}),
        ({"redis_keys": []}, {"COOKIE_SECRET": "c"}),
    ],
)
def test_an_url_of_its_own_stays_and_who_wants_none_gets_none(own: dict[str, Any], found: dict[str, str]) -> None:
    made = with_redis(**own)
    assert not made["shop"]["redis"]
    assert values.secret_values(made, {"shop": own}, DEFAULTS, {"shop": "c"}, {"shop": "redis://fleet"}) == {"shop": found}
