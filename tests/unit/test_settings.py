"""What is refused of settings, in a sentence that names setting, value and way out; and what YAML reads otherwise than written."""

from typing import Any

import pytest
import yaml

from tests.unit.loading import ROLE
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import plan, setting_rules, setting_types
from tests.unit.builders import DEFAULTS, HOST, SHOP, host_settings


def problems(apps: Any, **host: Any) -> list[str]:
    return plan.plan_problems(apps, DEFAULTS, host_settings(**host))


def problem(**settings: Any) -> str:
    """The only problem of the app shop with these settings."""
    (found,) = problems({"shop": {**SHOP, **settings}})
    return found


def test_debug_is_refused_where_it_does_harm() -> None:
    assert problems({"shop": {**SHOP, "debug": True, "processes": 1}}) == []
    for inventory in (
        ["tornado", "production"],
        ["tornado", "/ops/prod", "/ops/prod/hosts.yml"],
        ["tornado", "/ops", "/ops/production.yml"],
    ):
        assert problems({"shop": {**SHOP, "debug": True}}, inventory=inventory) == [
            "tornado_apps.shop.debug is for development, and the inventory of web-1 calls itself production"
        ]
    assert problems({"shop": {**SHOP, "debug": True}}, inventory=["tornado", "/ops/products", "/ops/products/hosts.yml"]) == []
    assert problem(debug=True, processes=2).endswith("has debug and 2 processes: with debug there is one, leave out processes")
    assert problem(debug=True, listen="fork").endswith("which is for several processes; with debug there is one")
    assert problem(watch=["x"]) == "tornado_apps.shop.watch is for debug: true; without that nothing is watched"


@pytest.mark.parametrize("name", ["Shop", "1shop", "shop.example", "../shop", "my shop", "", "-shop", "a" * 33, "nginx", "root", "café", 7])
def test_a_name_that_is_no_user_unit_and_path_is_refused(name: Any) -> None:
    (found,) = problems({name: SHOP})
    assert f"tornado_apps.{name}: {name!r} cannot name a user" in found


def test_a_name_of_32_characters_is_the_longest() -> None:
    assert problems({"a" * 32: SHOP}) == []


@pytest.mark.parametrize(
    ("key", "near"), [("proceses", "processes"), ("sorce", "source"), ("helth", "health"), ("server_name", "server_names")]
)
def test_an_unknown_key_is_named_with_the_nearest_one(key: str, near: str) -> None:
    assert problem(**{key: 1}) == f"tornado_apps.shop.{key} is not a setting; did you mean {near}?"


def test_an_unknown_key_that_is_near_nothing_lists_the_known_ones() -> None:
    assert problem(xyzzy=1).startswith("tornado_apps.shop.xyzzy is not a setting; known keys: state, purge, source, version, ")


def test_an_unknown_key_in_a_nested_dictionary_is_named() -> None:
    assert problem(health={"pth": "/"}) == "tornado_apps.shop.health.pth is not a setting; did you mean path?"


def test_fewer_processes_than_none_are_refused() -> None:
    assert problem(processes=-1) == "tornado_apps.shop.processes is -1: a number is needed, 0 for a host that runs workers alone"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"command": "", "wsgi": "app:app"}, "tornado_apps.shop.processes is 0, and wsgi starts web processes"),
        ({"debug": True}, "tornado_apps.shop has debug and 0 processes"),
    ],
)
def test_workers_alone_are_refused_with_what_is_for_web_processes(setting: dict[str, Any], said: str) -> None:
    assert problem(processes=0, **setting).startswith(said)


def test_a_number_in_words_is_refused() -> None:
    assert problem(processes="many").startswith("tornado_apps.shop.processes: ")
    assert "many" in problem(processes="many")


def test_slots_that_overlap_are_refused() -> None:
    assert problems({"shop": SHOP}, slot_stride=3) == [
        "tornado_apps.shop.processes 4 is above tornado_app_slot_stride 3: raise the stride",
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("{python} app.py", "has no {port}"),
        ("{python} app.py --port={port} {prot}", "{prot} is not known"),
        ("{python} app.py --port={port} {", "cannot be read"),
        ("{python} app.py --port={port} 'open", "cannot be read"),
        ("{python} app.py --port={}", "has no {port}"),
    ],
)
def test_a_command_that_cannot_work_is_refused(command: str, said: str) -> None:
    found = problems({"shop": {**SHOP, "command": command}})
    assert any(said in text and "tornado_apps.shop.command" in text for text in found)


def test_a_literal_brace_is_written_twice() -> None:
    assert problems({"shop": {**SHOP, "command": "{python} app.py --port={port} --json={{}}"}}) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"health": {"path": "healthz"}}, "tornado_apps.shop.health.path"),
        ({"health": {"path": "/a b"}}, "tornado_apps.shop.health.path"),
        ({"health": {"timeout": 0}}, "tornado_apps.shop.health.timeout"),
        ({"drain": {"timeout": -1}}, "tornado_apps.shop.drain.timeout"),
        ({"stop_timeout": 0}, "tornado_apps.shop.stop_timeout"),
        ({"proxy_read_timeout": 0}, "tornado_apps.shop.proxy_read_timeout"),
        ({"server_names": []}, "tornado_apps.shop.server_names"),
        ({"server_names": ["a; return 200"]}, "tornado_apps.shop.server_names"),
        ({"client_max_body_size": "50 MB"}, "tornado_apps.shop.client_max_body_size"),
        ({"static": "../secrets"}, "tornado_apps.shop.static"),
        ({"static": "/etc"}, "tornado_apps.shop.static"),
        ({"static": "."}, "tornado_apps.shop.static"),
        ({"static_versions": "all"}, "tornado_apps.shop.static_versions"),
        ({"server_names": ["_"]}, "tornado_apps.shop.server_names"),
        ({"command": "{python} app.py --port={port} {port!r}"}, "tornado_apps.shop.command"),
        ({"requirements": "a/../../b"}, "tornado_apps.shop.requirements"),
        ({"environment": {"A=B": "x"}}, "tornado_apps.shop.environment"),
        ({"environment": {"DEBUG": True}}, "tornado_apps.shop.environment.DEBUG"),
        ({"environment": {"NUL": "a\0b"}}, "tornado_apps.shop.environment.NUL"),
        ({"secrets": {"A=B": "x"}}, "tornado_apps.shop.secrets: 'A=B' is not a valid name of an environment variable"),
        ({"secrets": {"DEBUG": True}}, "tornado_apps.shop.secrets.DEBUG is a boolean: write it in quotes"),
        ({"secrets": {"A": "x"}, "environment": {"A": "y"}}, "tornado_apps.shop has A in both environment and secrets"),
        ({"secrets": "TOKEN=x"}, "tornado_apps.shop.secrets is not a dictionary of variables"),
        (
            {"listen": "sockets", "command": "{python} app.py"},
            "tornado_apps.shop.command has no {socket}: without it all processes would listen on the same socket",
        ),
        ({"listen": "pipes"}, "tornado_apps.shop.listen: "),
        ({"listen": "fork", "wsgi": "a:b", "command": None}, "tornado_apps.shop.listen is fork, which is a matter of the app's own code"),
        ({"scale": {"web": 2}}, "tornado_apps.shop.scale.web: its processes are counted by `processes`"),
        ({"scale": {"worker": -1}}, "tornado_apps.shop.scale.worker is -1: a number of processes is needed"),
        ({"scale": {"worker": True}}, "tornado_apps.shop.scale.worker is True: a number of processes is needed"),
        ({"scale": {"a b": 1}}, "tornado_apps.shop.scale: 'a b' is not a valid type of process"),
        ({"python": "3"}, "tornado_apps.shop.python '3' is not a valid version of Python like 3.12, in quotes"),
        ({"logs": "syslog"}, "tornado_apps.shop.logs: "),
        ({"log_budget": "1K"}, "tornado_apps.shop.log_budget is 1024: at least 1000000 bytes are needed"),
    ],
)
def test_a_value_that_cannot_work_is_named(settings: dict[str, Any], named: str) -> None:
    assert problem(**settings).startswith(named)


@pytest.mark.parametrize("nofile", [0, 1023, 2147483585])
def test_a_limit_that_no_kernel_takes_is_refused(nofile: int) -> None:
    (found,) = problems({"shop": SHOP}, nofile=nofile)
    assert found.startswith(f"tornado_app_nofile is {nofile}: a number from 1024 to 2147483584 is needed")


@pytest.mark.parametrize("serial", [1, "1", "25%", "100%", "007", [1], [1, "25%", "100%"], ["1", 5]])
def test_batches_in_the_form_of_ansibles_serial_are_taken(serial: Any) -> None:
    assert problems({"shop": SHOP}, serial=serial) == []


@pytest.mark.parametrize(
    "serial", [0, "0", "0%", "101%", -1, "", "all", "1,2", "[1, 2]", 0.5, True, None, {}, [], [[1]], [1, 0], [1, None]]
)
def test_batches_that_ansible_would_take_otherwise_than_they_look_are_refused(serial: Any) -> None:
    (found,) = problems({"shop": SHOP}, serial=serial)
    assert found.startswith(f"tornado_app_serial is {serial!r}: a number of hosts, a percentage like 25%, or a list of these is needed")


def test_a_time_of_watching_below_nought_is_refused() -> None:
    (found,) = problems({"shop": SHOP}, bake=-1)
    assert found == "tornado_app_bake is -1: a number of seconds is needed, 0 for none"


@pytest.mark.parametrize("share", [0, 0.01, 1])
def test_a_share_of_errors_is_taken(share: float) -> None:
    assert problems({"shop": SHOP}, bake_max_errors=share) == []


@pytest.mark.parametrize("share", [-0.01, 1.01, 5, float("nan")])
def test_what_is_no_share_of_errors_is_refused(share: float) -> None:
    (found,) = problems({"shop": SHOP}, bake_max_errors=share)
    assert found.startswith(f"tornado_app_bake_max_errors is {share}: a share from 0 to 1 is needed")


def test_what_is_required_is_named() -> None:
    assert problems({"shop": {}}) == ["tornado_apps.shop.source is missing"]


def test_one_thing_starts_a_process() -> None:
    assert problem(wsgi="shop.web:app").startswith("tornado_apps.shop has both command and wsgi: one of them")
    assert problems({"shop": {**SHOP, "command": None}}) == []  # the source may have a Procfile


@pytest.mark.parametrize("wsgi", ["shop", "shop:", ":app", "shop.web:app()", "shop web:app", "../shop:app", "shop..web:app", "shöp:app"])
def test_what_names_no_wsgi_application(wsgi: str) -> None:
    assert problem(command="", wsgi=wsgi) == (
        f"tornado_apps.shop.wsgi {wsgi!r} names no WSGI application: it has the form package.module:app"
    )


def test_defaults_that_lack_a_key_are_refused() -> None:
    defaults = {key: value for key, value in DEFAULTS.items() if key != "stop_timeout"}
    (found,) = plan.plan_problems({"shop": SHOP}, defaults, HOST)
    assert found.startswith("tornado_app_defaults.stop_timeout is missing")


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        f"https://ana:{SECRET}@git.example.com/shop.git",
        f"https://{SECRET}@git.example.com/shop.git",
        f"https://{SECRET}:x-oauth-basic@git.example.com/shop.git",
        f"https://:{SECRET}@git.example.com/shop.git",
        f"HTTPS://ana:{SECRET}@git.example.com:8443",
        f"https://ana@example.com:{SECRET}@git.example.com/shop.git",
        f"https://ana:{SECRET}/+=@git.example.com/shop.git",  # as AWS makes them
        f"https://ana:8{SECRET}#?@git.example.com/shop.git",
        f"https://ana:{SECRET} {SECRET}@git.example.com/shop.git",
        f"git+https://ana:{SECRET}@git.example.com/shop.git",
        f"ssh://git:{SECRET}@git.example.com/shop.git",
        f"http://ana:{SECRET}@[2001:db8::1]:8080/shop.git",
    ],
)
def test_credentials_in_the_url_of_a_source_are_refused_and_not_shown(url: str) -> None:
    said = problem(source=url)
    assert said.startswith("tornado_apps.shop.source has a name or a password before the host of its URL")
    assert "credential helper, GIT_ASKPASS or ~/.netrc; or name the repository as ssh://git@… with a deploy key" in said
    for source in (url, [url], {"url": url}):
        assert SECRET not in problem(source=source)


@pytest.mark.parametrize(
    "source",
    [
        "https://git.example.com/shop.git",
        "https://git.example.com:8443/@ana/shop.git",
        "https://git.example.com/~ana/shop@v1",
        "git@git.example.com:shop.git",
        "ssh://git@git.example.com/shop.git",
        "ssh://git@git.example.com:2222/~ana/shop.git",
        "git+ssh://git@git.example.com/shop.git",
        "ssh://git.example.com/shop.git",
        "file:///srv/git/shop@v1.git",
        "/srv/git/ana:shop@v1.git",
        "files/app",
    ],
)
def test_a_source_without_credentials_is_taken(source: str) -> None:
    assert problems({"shop": {**SHOP, "source": source}}) == []


def test_purge_alone_removes_nothing() -> None:
    assert problem(purge=True).startswith("tornado_apps.shop.purge is for state: absent")


@pytest.mark.parametrize("path", ["api/", "/api", "api", "", "//", "/a b/", "/a$b/", "/a//b/"])
def test_a_prefix_begins_and_ends_with_a_slash(path: str) -> None:
    assert problem(path=path).startswith(f"tornado_apps.shop.path {path!r} is not a valid prefix")


# What YAML makes of a word without quotes


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("version: 1.10", "version is 1.1, a number: write it in quotes"),
        ("version: 2024-01-02", "version is 2024-01-02, a date: write it in quotes"),
        ("version: yes", "version is true, a boolean: write it in quotes"),
        ("python: 3.10", "python is 3.1, a number: write it in quotes"),
        ("source: 1.0", "source is 1.0, a number: write it in quotes"),
        ("static: off", "static is false, a boolean: write it in quotes"),
        ("logs: no", "logs is false, a boolean: write it in quotes"),
        ("client_max_body_size: 1.5", "client_max_body_size is 1.5, a number: write it in quotes"),
        ("command: [python, app.py]", "command is ['python', 'app.py'], a list: text is needed"),
        ("path: {a: b}", "path is {'a': 'b'}, a dictionary: text is needed"),
        ("health: {path: 1.0}", "health.path is 1.0, a number: write it in quotes"),
        ("server_names: [a.test, 1.10]", "server_names[1] is 1.1, a number: write it in quotes"),
        ("server_names: 1.10", "server_names[0] is 1.1, a number: write it in quotes"),
        ("server_names: [a.test, ~]", "server_names[1] is empty"),
        ("processes: yes", "processes is true, a boolean: a number is needed"),
        ("health: {timeout: on}", "health.timeout is true, a boolean: a number is needed"),
        ("log_budget: 2024-01-02", "log_budget is 2024-01-02, a date: a number is needed"),
        ("environment: {V: 1.10}", "environment.V is a number: write it in quotes"),
        ("environment: {V: 2024-01-02}", "environment.V is a date: write it in quotes"),
        ("environment: {V: [a]}", "environment.V is a list: write it in quotes"),
        ("environment: {V: }", "environment.V is empty: write it in quotes"),
        ("environment: {on: x}", "environment: True is not text: write it in quotes"),
        ("environment: {~: x}", "environment: None is not text: write it in quotes"),
        ("secrets: {V: 1.10}", "secrets.V is a number: write it in quotes"),
        ("secrets: {V: 2024-01-02 10:00:00}", "secrets.V is a date: write it in quotes"),
        ("secrets: {yes: x}", "secrets: True is not text: write it in quotes"),
        ("scale: {on: 1}", "scale: True is not text: write it in quotes"),
        ("scale: {1: 1}", "scale: 1 is not text: write it in quotes"),
    ],
)
def test_what_yaml_does_not_read_as_it_was_written_is_refused(written: str, said: str) -> None:
    assert problem(**yaml.safe_load(written)) == f"tornado_apps.shop.{said}"


@pytest.mark.parametrize(
    "option",
    [*((name, option) for name, option in setting_types.APP_OPTIONS.items() if option["type"] == "str")],
    ids=lambda option: option[0],
)
def test_no_text_of_an_app_takes_a_number_with_a_point(option: tuple[str, Any]) -> None:
    assert f"tornado_apps.shop.{option[0]} is 1.1, a number: write it in quotes" in problems({"shop": {**SHOP, option[0]: 1.10}})


def test_a_default_that_yaml_has_read_otherwise_is_refused_too() -> None:
    (found,) = plan.plan_problems({"shop": SHOP}, {**DEFAULTS, "python": 3.10}, HOST)
    assert found == "tornado_apps.shop.python is 3.1, a number: write it in quotes"


def test_a_whole_number_has_lost_nothing() -> None:
    settings = {"version": 20240102, "client_max_body_size": 0, "environment": {"N": 10}, "secrets": {"PIN": 1234}}
    app = plan.plan({"shop": {**SHOP, **settings}}, DEFAULTS, HOST)["shop"]
    assert (app["version"], app["client_max_body_size"], app["environment"]) == ("20240102", "0", {"N": "10"})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("tornado_app_release", 12e4, "is 120000.0, a number: write it in quotes"),
        ("tornado_app_release", 123456789012, "is 123456789012, a number: write it in quotes"),
        ("tornado_app_wheelhouse", 1.10, "is 1.1, a number: write it in quotes"),
        ("tornado_app_wheelhouse", False, "is false, a boolean: write it in quotes"),
        ("tornado_app_bake", True, "is true, a boolean: a number is needed"),
    ],
)
def test_an_input_of_the_role_that_yaml_does_not_read_as_it_was_written_is_refused(name: str, value: Any, said: str) -> None:
    assert problems({"shop": SHOP}, inputs={name: value}) == [f"{name} {said}"]


def test_the_inputs_of_the_role_are_looked_at_as_they_were_given() -> None:
    """All that are text or a number, by their own names, with no filter between."""
    looked_at = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__tornado_app_host"]["inputs"]
    assert looked_at == {
        name: f"{{{{ {name} }}}}" for name, option in setting_types.INPUTS.items() if option["type"] in ("str", "int", "float")
    }
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    assert problems({"shop": SHOP}, inputs={name: defaults[name] for name in looked_at}) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"health": {"path": "healthz"}}, "health.path 'healthz' is not a valid URL path: it starts with / and has no spaces"),
        ({"server_names": ["a_", "a; b"]}, "server_names: 'a; b' is not a valid host name"),
        ({"server_names": []}, "server_names is empty: nginx would never serve the app"),
        ({"client_max_body_size": "50 MB"}, "client_max_body_size '50 MB' is not a valid size of nginx, like 50m"),
        ({"static": "../{x}"}, "static '../{x}' is not a valid relative path inside the source"),
        ({"requirements": "/r.txt"}, "requirements '/r.txt' is not a valid relative path inside the source"),
        ({"environment": {"A=B": "x"}}, "environment: 'A=B' is not a valid name of an environment variable"),
        ({"drain": {"timeout": 0}}, "drain.timeout is 0: a number of seconds above 0 is needed"),
        (
            {"redis_keys": ["shop:*", "a b"]},
            "redis_keys is ['shop:*', 'a b']: patterns of Redis are needed, like shop:*, without spaces, quotes and backslashes; "
            "an empty list for none",
        ),
        ({"log_budget": 5}, "log_budget is 5: at least 1000000 bytes are needed, as in 500M"),
    ],
)
def test_a_message_names_setting_value_and_way_out(settings: dict[str, Any], said: str) -> None:
    assert problem(**settings) == f"tornado_apps.shop.{said}"


def test_each_rule_is_of_a_setting_and_lets_the_defaults_pass() -> None:
    app = plan.plan({"shop": SHOP}, DEFAULTS, HOST)["shop"]
    for setting, is_wrong, message in setting_rules.RULES:
        assert setting.split(".")[0] in setting_types.APP_OPTIONS
        assert not is_wrong(setting_rules.value_of(app, setting), app), message
