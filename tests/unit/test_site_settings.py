"""What is refused of the settings of an app's site, and how these are planned."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.plugin_utils import plan
from tests.unit.builders import DEFAULTS, HOST, SHOP, planned

NAMED = {**SHOP, "server_names": ["shop.test"]}
SIX = f"$6$salt${'x' * 86}"
WORD = "s3cr3t"


def problems(**settings: Any) -> list[str]:
    """What is wrong with the app shop with these settings."""
    return plan.plan_problems({"shop": {**NAMED, **settings}}, DEFAULTS, HOST)


def both(shop: dict[str, Any], api: dict[str, Any]) -> list[str]:
    """What is wrong with two apps."""
    return plan.plan_problems({"shop": {**NAMED, **shop}, "api": {**SHOP, "server_names": ["api.test"], **api}}, DEFAULTS, HOST)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"redirect_names": ["a b"]}, "redirect_names: 'a b' is not a valid host name"),
        (
            {"redirect_names": ["SHOP.test"]},
            "redirect_names has shop.test, which is among server_names too: it either leads somewhere or is served",
        ),
        (
            {"server_names": ["*.shop.test"], "redirect_names": ["a.test"]},
            "redirect_names needs one of server_names to lead to that has no *",
        ),
        ({"response_headers": {"X Y": "z"}}, "response_headers: 'X Y' is not a valid name of a header"),
        ({"response_headers": {True: "z"}}, "response_headers: True is not a valid name of a header"),
        (
            {"response_headers": {"set-Cookie": "z"}},
            "response_headers.set-Cookie is a matter of each answer: the app, or nginx, gives it where it belongs",
        ),
        ({"response_headers": {"X-A": "b", "x-a": "c"}}, "response_headers.x-a is there twice: upper and lower case are one"),
        ({"response_headers": {"X-A": True}}, "response_headers.X-A is a boolean: write it in quotes"),
        (
            {"response_headers": {"X-A": "b\nX-B: c"}},
            "response_headers.X-A has a line break or another control character, which no header can have",
        ),
        ({"limits": {"rate": -1}}, "limits.rate is -1: a number is needed, 0 for no limit"),
        ({"limits": {"connections": -1}}, "limits.connections is -1: a number is needed, 0 for no limit"),
        ({"limits": {"burst": 5}}, "limits.burst is for limits.rate, which is 0; give both"),
        (
            {"basic_auth": {"a:b": SIX}},
            "basic_auth: 'a:b' is not a valid name of a user: it has no space and no colon, and is text in quotes",
        ),
        (
            {"basic_auth": {7: SIX}},
            "basic_auth: 7 is not a valid name of a user: it has no space and no colon, and is text in quotes",
        ),
        (
            {"error_pages": {"502": "/etc/shadow"}},
            "error_pages.502 is '/etc/shadow': the path of a file below the directory `static` is needed, like errors/down.html",
        ),
        (
            {"error_pages": {"502": "../app.py"}},
            "error_pages.502 is '../app.py': the path of a file below the directory `static` is needed, like errors/down.html",
        ),
        (
            {"error_pages": {404: False}},
            "error_pages.404 is False: the path of a file below the directory `static` is needed, like errors/down.html",
        ),
        (
            {"error_pages": {500: "a.html"}},
            "error_pages.500 is not a status that nginx itself answers here: 401, 403, 404, 413, 429, 502, 503, 504",
        ),
        (
            {"static": "", "error_pages": {502: "a.html"}},
            "error_pages.502 is a file below the directory `static`, which is empty: give both",
        ),
        (
            {"static": "", "maintenance": {"page": "a.html"}},
            "maintenance.page is a file below the directory `static`, which is empty: give both",
        ),
        (
            {"maintenance": {"page": "a b.html"}},
            "maintenance.page is 'a b.html': the path of a file below the directory `static` is needed, like errors/down.html",
        ),
        ({"maintenance": {"retry_after": 0}}, "maintenance.retry_after is 0: a number of seconds above 0 is needed"),
        ({"nginx_server": "location /x {"}, "nginx_server has a { without its other half"),
        ({"nginx_server": "} server {"}, "nginx_server has a } without its other half"),
        ({"nginx_location": "proxy_buffering off"}, "nginx_location does not end with ; or }"),
        (
            {"nginx_server": "gzip off; add_header X y;"},
            "nginx_server has add_header, which would cancel all others that come from outside of it: give it as response_headers",
        ),
        (
            {"nginx_location": "gzip off;\nproxy_set_header X y;"},
            "nginx_location has proxy_set_header, which would cancel all others that come from outside of it: put it into nginx_server",
        ),
    ],
)
def test_a_message_names_setting_value_and_way_out(settings: dict[str, Any], said: str) -> None:
    assert problems(**settings) == [f"tornado_apps.shop.{said}"]


@pytest.mark.parametrize("address", ["example.com", "192.0.2.1/33", "192.0.2.1/24", "default", "10.0.0.0/8; return 200", ""])
def test_what_is_no_address_and_no_network(address: str) -> None:
    (found,) = problems(maintenance={"allow": [address]})
    assert found.startswith(f"tornado_apps.shop.maintenance.allow: {address!r} is not an address or a network like 192.0.2.0/24: ")


@pytest.mark.parametrize("word", [WORD, f"{{PLAIN}}{WORD}", f"{{SHA}}{WORD}", f"$6$salt${WORD}", f"{SIX}\neve:{SIX}", 1234, None])
def test_no_password_is_taken_for_a_hash_and_none_is_shown(word: Any) -> None:
    (found,) = problems(basic_auth={"ana": word})
    assert found.startswith("tornado_apps.shop.basic_auth.ana is not a hash of a password that nginx knows")
    assert found.endswith("make one with: openssl passwd -6")
    assert str(word) not in found


def test_users_without_hashes_are_not_shown() -> None:
    assert problems(basic_auth=f"ana={WORD}") == ["tornado_apps.shop.basic_auth is not a dictionary of users"]


@pytest.mark.parametrize(
    "settings",
    [
        {"nginx_server": 'location /x {\n    add_header X "}";\n    return 200 \'a "{\';\n}'},
        {"nginx_server": "# add_header is a word here, and { too\ngzip off;\nif ($host ~ \"^[a-z]{3}\\.\") { set $x '}'; }  # }\n"},
        {"nginx_location": "", "nginx_server": "   \n"},
        {"response_headers": {"X-A": 'it\'s "$uri" \\ ü', "X-B": 1}},
        {"maintenance": {"allow": ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]}},
        {"redirect_names": ["www.shop.test", "*.old.test"]},
    ],
)
def test_what_is_right_is_taken(settings: dict[str, Any]) -> None:
    assert problems(**settings) == []


# Two apps


def test_a_name_leads_to_one_app() -> None:
    www = {"redirect_names": ["WWW.test"]}
    assert both(www, {"server_names": ["www.test"]}) == [
        "tornado_apps.shop.redirect_names: www.test on web-1 is served for api; take it from one of them"
    ]
    assert len(both({"server_names": ["www.test"]}, www)) == 1
    assert both(www, www) == ["tornado_apps.shop.redirect_names: www.test on web-1 leads to api already; take it from one of them"]


def test_apps_of_one_name_may_say_it_each() -> None:
    www = {"redirect_names": ["www.test"], "server_names": ["shop.test"]}
    assert both(www, {**www, "path": "/api/"}) == []
    assert both(www, {"server_names": ["shop.test"], "path": "/api/"}) == []


# The plan


def test_a_plan_has_no_hash_and_text_alone() -> None:
    given = {
        "basic_auth": {"bob": SIX, "ana": SIX},
        "response_headers": {"X-A": 1},
        "error_pages": {502: "a.html"},
        "maintenance": {"page": "b.html"},
    }
    app = planned({"shop": {**NAMED, **given}})["shop"]
    assert (app["basic_auth"], app["response_headers"], app["error_pages"]) == (["ana", "bob"], {"X-A": "1"}, {"502": "a.html"})
    assert app["maintenance"] == {"page": "b.html", "retry_after": 300, "allow": []}
    assert SIX not in str(app)


def test_with_debug_nginx_has_no_files() -> None:
    given = {"debug": True, "error_pages": {502: "a.html"}, "maintenance": {"page": "b.html", "retry_after": 60}}
    app = planned({"shop": {**NAMED, **given}})["shop"]
    assert (app["error_pages"], app["maintenance"]) == ({}, {"page": "", "retry_after": 60, "allow": []})
