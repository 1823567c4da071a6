"""The actions that put files and things together for a module, in process: what they hand over, and what they make of its result."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader

from tests.unit.loading import COLLECTION, ROLE
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Lock, State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import fleet_changes, live_slots
from tests.unit.builders import DEFAULTS, HOST, PLAN, SHOP, SHOP_PLAN, A, B, host, planned, release, state, unfinished
from tests.unit.conftest import facts, run_module, templar

GREEN = SHOP_PLAN["slots"]["green"]
SETTINGS = {"shop": {**SHOP, "processes": 2, "secrets": {"TOKEN": "hunter2"}}}
SECRET = planned(SETTINGS)
RUN: Lock = {"run": "r-9", "since": "2026-01-03T00:00:00Z", "user": "ana", "controller": "build-1"}


class Handed:
    """An action, and what it has handed to modules, each of which returns what is given for it."""

    def __init__(self, action: str, *results: Mapping[str, Any], **arguments: Any) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        given = iter(results)
        variables = {"ansible_facts": facts(), "inventory_hostname": "web-1", "tornado_app_nofile": 65536}
        # As the role's own variables have them where state.yml has run.
        engine = templar({**variables, "__tornado_app_state": {"host": {"python": "3.11"}}})
        task = SimpleNamespace(args=arguments, async_val=0, check_mode=False, action=action)
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
        plugin = importlib.import_module(f"{COLLECTION}.plugins.action.{action}")

        class Action(plugin.ActionModule):  # type: ignore[misc, name-defined]  # known when it runs
            """The action, without a host to send a module to."""

            def _execute_module(own, module_name: str, module_args: dict[str, Any], task_vars: Any) -> Any:  # noqa: ARG002, N805
                self.calls.append((module_name.removeprefix("tornado_app.deploy."), module_args))
                return dict(next(given, {}))

        self.result = Action(task, connection, None, DataLoader(), engine, None).run(task_vars=engine.available_variables)

    @property
    def arguments(self) -> dict[str, Any]:
        """Those of the one module that was called."""
        ((_, found),) = self.calls
        return found

    def files(self) -> dict[str, dict[str, Any]]:
        """Path -> file."""
        return {file["path"]: file for file in self.arguments["files"]}


# slot_files


def slot_files(*results: Mapping[str, Any], plan: Any = SECRET, **arguments: Any) -> Handed:
    common = {"plan": {"apps": plan, "absent": {}, "host": HOST}, "run": "r-9", "settings": SETTINGS, "defaults": DEFAULTS}
    return Handed("slot_files", *results, **{**common, "releases": {"shop": release(B)}, "cookie_secrets": {"shop": "c00kie"}, **arguments})


def test_a_slot_that_is_to_start_gets_all_of_its_files() -> None:
    (own,) = fleet_changes([host(state(), {"shop": release(B)}, ("shop",), apps=SECRET)], "deploy", RUN).values()
    handed = slot_files(changes=own["changes"], noted={"old": 8300})
    assert (handed.calls[0][0], handed.arguments["run"]) == ("install_files", "r-9")
    files = handed.files()
    launcher, fact, *rest = files
    assert files[launcher]["content"] == (ROLE / "files/launch.py").read_text()
    assert json.loads(files[fact]["content"]) == {"old": 8300, "shop": 8000}
    assert set(rest) == {GREEN[key] for key in ("record", "secrets", "config", "logrotate", "cwd", "history")} | {"/etc/shop/cookie_secret"}
    assert json.loads(files[GREEN["secrets"]]["secret"]) == {"TOKEN": "hunter2", "COOKIE_SECRET": "c00kie"}
    assert files[GREEN["cwd"]]["target"] == f"/srv/shop/releases/{B}"
    assert files["/etc/shop/cookie_secret"]["secret"] == "c00kie"
    assert launcher in files[GREEN["config"]]["content"]
    assert "program:shop-green" in files[GREEN["config"]]["content"]
    assert "hunter2" not in "".join(str(file.get("content")) for file in files.values())


def test_a_slot_that_runs_already_gets_none() -> None:
    (own,) = fleet_changes([host(unfinished(), {"shop": release(B)}, apps=SECRET)], "deploy", RUN).values()
    (change,) = own["changes"]
    assert change["running"]
    assert not {GREEN[key] for key in ("record", "secrets", "config", "logrotate", "cwd", "history")} & set(
        slot_files(changes=own["changes"]).files()
    )


@pytest.mark.parametrize("key", ["record", "config", "secrets", "logrotate"])
def test_an_app_differs_when_a_file_of_its_live_slot_does(key: str) -> None:
    live = live_slots(SECRET, state())
    blue, green = (SECRET["shop"]["slots"][name] for name in ("blue", "green"))
    assert slot_files({"paths": [blue[key]]}, state="compared", slots=live).result["apps"] == ["shop"]  # type: ignore[literal-required]
    assert slot_files({"paths": [green[key]]}, state="compared", slots=live).result["apps"] == []  # type: ignore[literal-required]


def test_what_is_compared_is_what_would_be_written_now_whatever_the_slot_has() -> None:
    """Its ports, its workers, and nothing that is no slot's own."""
    found = state()
    found["apps"]["shop"]["slots"]["blue"]["processes"].pop()
    wanted = {"shop": release(A, commands={"worker": "python work.py"})}
    files = slot_files(state="compared", slots=live_slots(SECRET, found), releases=wanted).files()
    blue = SECRET["shop"]["slots"]["blue"]
    assert set(files) == {blue[key] for key in ("record", "secrets", "config", "logrotate")}
    assert "/var/log/shop/blue.worker.1.log {" in files[blue["logrotate"]]["content"]
    assert "numprocs = 2" in files[blue["config"]]["content"]
    assert "shop-blue-worker" in files[blue["config"]]["content"]


def test_another_url_of_redis_is_another_secret_of_the_live_slot() -> None:
    """So a changed password or address is a difference, as is Redis itself when it comes."""
    plan = planned(SETTINGS, redis=True)
    live = live_slots(plan, state())
    blue = SECRET["shop"]["slots"]["blue"]
    with_url, without = (
        slot_files({"paths": []}, plan=plan, state="compared", slots=live, redis_urls=urls).files()[blue["secrets"]]["secret"]
        for urls in ({"shop": "redis://shop:pw@10.0.0.9:6379/0"}, {})
    )
    assert json.loads(with_url) == {**json.loads(without), "REDIS_URL": "redis://shop:pw@10.0.0.9:6379/0"}


def test_of_a_slot_that_goes_nothing_stays_but_its_link() -> None:
    """The app can write where its logs are, so they are removed in another way."""
    handed = slot_files({"changed": True}, {"changed": False}, state="absent", slots=[{**GREEN, "ports": [9000, 9001, 9002]}], plan=PLAN)
    (first, files), (second, logs) = handed.calls
    assert (first, second, handed.result["changed"]) == ("install_files", "remove_logs", True)
    assert files["files"] == [{"path": GREEN[key], "state": "absent"} for key in ("config", "record", "secrets", "logrotate")]
    assert "/var/log/shop/9002.log" in logs["paths"]
    assert [name for name, _ in slot_files(state="absent", slots=[GREEN], plan=PLAN).calls] == ["install_files"]
    failed = slot_files({"failed": True}, state="absent", slots=[{**GREEN, "ports": [9002]}], plan=PLAN)
    assert (len(failed.calls), failed.result["failed"]) == (1, True)


# nginx_files


def test_nginx_gets_all_sites_and_upstreams_in_one_call() -> None:
    names = {"server_names": ["shop.test"]}
    apps = planned({"shop": {**SHOP, **names}, "admin": {**SHOP, **names, "path": "/admin/"}})
    absent = {"old": {"nginx": ["conf.d/old.conf"]}}
    found = state()
    found["apps"]["admin"] = state()["apps"]["shop"]
    found["apps"]["shop"]["slots"]["blue"]["addresses"] = ["127.0.0.1:8007"]
    arguments = Handed("nginx_files", run="r-9", plan={"apps": apps, "absent": absent, "host": HOST}, state=found).arguments
    files = {file["path"]: file for file in arguments["files"]}
    upstreams = {slot["upstream_config"] for app in apps.values() for slot in app["slots"].values()}
    assert set(files) == {"nginx.conf", "conf.d/tornado_app.conf", "conf.d/shop.conf", *upstreams}
    assert (files["conf.d/shop.conf"]["app"], files["nginx.conf"]["app"]) == ("shop", "")
    assert "location ^~ /admin/ {" in files["conf.d/shop.conf"]["content"]
    # The processes of a slot that runs are the slot's, whatever the plan has.
    assert "server 127.0.0.1:8007 " in files["conf.d/shop.blue.conf"]["content"]
    assert "server 127.0.0.1:9000 " in files["conf.d/shop.green.conf"]["content"]
    certificates = ["tornado_app/shop.pem", "tornado_app/admin.pem"]
    assert arguments["absent"] == ["sites-enabled/default", "conf.d/admin.conf", *certificates, "conf.d/old.conf"]


def test_nginx_gets_the_upstreams_of_slots_as_they_start() -> None:
    arguments = Handed("nginx_files", run="r-9", upstreams=[{**GREEN, "addresses": ["127.0.0.1:9007"]}]).arguments
    (file,) = arguments["files"]
    assert file["path"] == GREEN["upstream_config"]
    assert "server 127.0.0.1:9007 " in file["content"]
    assert arguments["absent"] == []


@pytest.mark.parametrize("balance", ["least_conn", "ip_hash", "cookie"])
def test_another_balance_is_a_difference_and_comes_to_the_processes_that_run(balance: str) -> None:
    """The live slot may have other processes than the plan."""
    plan = planned({"shop": {**SHOP, "processes": 2, "balance": balance}})
    wanted = {thing["name"]: thing for thing in look(state(), plan=plan).arguments["things"] if thing["check"] == "line"}
    found = state()
    found["apps"]["shop"]["slots"]["blue"]["addresses"] = ["127.0.0.1:8007"]
    handed = Handed("nginx_files", run="r-9", plan={"apps": plan, "absent": {}, "host": HOST}, state=found)
    files = {file["path"]: file["content"] for file in handed.arguments["files"]}
    assert set(wanted) == {"conf.d/shop.blue.conf", "conf.d/shop.green.conf"}
    for path, thing in wanted.items():
        assert thing["line"] in map(str.strip, files[path].splitlines())
        assert ("least_conn;" in files[path]) == (balance == "least_conn")
    assert "server 127.0.0.1:8007 " in files["conf.d/shop.blue.conf"]


HASHES = {"ana": f"$6$salt${'x' * 86}", "bob": f"$6$salt${'y' * 86}"}
GUARDED = {"shop": {**SHOP, "server_names": ["shop.test"], "basic_auth": HASHES}, "api": {**SHOP, "server_names": ["api.test"]}}


def guarded(*results: Mapping[str, Any], users_of: tuple[str, ...] = ("shop", "api")) -> Handed:
    plan = {"apps": planned(GUARDED), "absent": {}, "host": HOST}
    found = state()
    found["apps"]["api"] = found["apps"]["shop"]
    return Handed("nginx_files", *results, run="r-9", plan=plan, state=found, users_of=list(users_of), settings=GUARDED, defaults=DEFAULTS)


def test_users_are_there_before_nginx_asks_for_passwords_and_go_after_it() -> None:
    handed = guarded({"changed": True, "diff": [1]}, {"changed": False, "diff": [2], "reloaded": True}, {"changed": True, "diff": [3]})
    assert [name for name, _ in handed.calls] == ["install_files", "nginx_config", "install_files"]
    (_, first), (_, config), (_, last) = handed.calls
    secret = "".join(f"{user}:{password}\n" for user, password in HASHES.items())
    path = "/etc/nginx/tornado_app/shop.htpasswd"
    assert (first["run"], first["files"]) == ("r-9", [{"path": path, "secret": secret, "group": "www-data", "mode": "0640"}])
    assert last["files"] == [{"path": "/etc/nginx/tornado_app/api.htpasswd", "state": "absent"}]
    assert not any(password in str(config) for password in HASHES.values())
    assert (handed.result["changed"], handed.result["diff"], handed.result["reloaded"]) == (True, [1, 2, 3], True)
    assert [name for name, _ in guarded(users_of=()).calls] == ["nginx_config"]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_nothing_goes_on_after_a_failure(failing: int) -> None:
    results: list[dict[str, Any]] = [{"changed": True}, {"changed": True}, {"changed": True}]
    results[failing] = {"failed": True, "msg": "no"}
    handed = guarded(*results)
    assert (len(handed.calls), handed.result["msg"]) == (failing + 1, "no")


def test_a_host_is_compared_with_its_users_by_digest_alone() -> None:
    plan = {"apps": planned(GUARDED), "absent": {}, "host": HOST}
    found = state()
    found["apps"]["api"] = found["apps"]["shop"]
    handed = Handed("state", found, plan=plan, python="3.11", packages=[], own_files=[], settings=GUARDED, defaults=DEFAULTS)
    things = {(thing["kind"], thing["name"]): thing for thing in handed.arguments["things"]}
    one, other = things["htpasswd", "shop"], things["htpasswd", "api"]
    assert (one["check"], one["owner"], one["group"], one["mode"]) == ("file", "root", "www-data", "0640")
    assert (other["check"], other["path"]) == ("absent", "/etc/nginx/tornado_app/api.htpasswd")
    assert things["directory", "/etc/nginx/tornado_app"]["mode"] == "0755"
    assert not any(password in str((handed.calls, handed.result)) for password in HASHES.values())


# state


def look(*results: State, python: str = "3.11", plan: Any = PLAN) -> Handed:
    own = {"plan": {"apps": plan, "absent": {}, "host": HOST}, "packages": ["nginx"], "own_files": ["wsgi.py"], "noted": {"old": 8300}}
    return Handed("state", *results, python=python, **own)


def test_a_host_is_compared_with_all_that_it_is_to_have() -> None:
    things = look(state()).arguments["things"]
    assert {thing["kind"] for thing in things} == {
        *(
            "package",
            "directory",
            "service",
            "own_file",
            "ports",
            "limits",
            "needrestart",
            "supervisord",
            "watchdog_settings",
            "unit_file",
            "tmpfiles",
            "user",
            "reload",
            "unit",
            "rotation",
            "rotation_file",
            "nginx",
            "acme_left",
        ),
        *("access_log", "htpasswd"),
    }
    paths = {thing.get("path"): thing for thing in things}
    assert (paths["/run/tornado_app/sockets"]["owner"], paths["/run/tornado_app/sockets/shop"]["mode"]) == ("root", "2750")
    names = {(thing["kind"], thing["name"]) for thing in things}
    assert names >= {("own_file", "wsgi.py"), ("nginx", "conf.d/shop.conf"), ("nginx", "conf.d/shop.blue.conf"), ("unit", "shop")}


def test_what_differs_comes_by_kind_with_what_only_the_controller_knows() -> None:
    found = state()
    fact, unit = "/etc/ansible/facts.d/tornado_app.fact", "/etc/systemd/system/tornado_app-logs@.timer"
    differing = [
        ("directory", "/srv/shop/live"),
        ("ports", fact),
        ("own_file", "wsgi.py"),
        ("supervisord", "shop"),
        ("rotation_file", unit),
    ]
    found["differences"] = [{"kind": kind, "name": name, "reason": "missing"} for kind, name in differing]
    result = look(found).result
    assert set(result["differs"]) == {*(kind for kind, _ in differing), "environment"}  # there is none of supervisord
    written = {step: [file["path"] for file in files] for step, files in result["files"].items()}
    assert written == {
        "host": [fact],
        "role": ["/opt/tornado_app/wsgi.py"],
        "acme": [],
        "supervisord": [unit, "/etc/shop/supervisord.conf"],
    }
    assert result["files"]["supervisord"][1]["validate"].endswith("check_supervisord.py %s")
    assert run_module("install_directories", check=True, run="r", directories=result["directories"])["paths"] == ["/srv/shop/live"]
    assert result["reasons"][0] == "directory /srv/shop/live: missing"
    assert [slot["name"] for slot in result["live"]] == ["blue"]
    assert json.loads(result["files"]["host"][0]["content"]) == {"old": 8300, "shop": 8000}
    assert result["static_files"] == {"shop": {"path": "app.css", "version": "f" * 128}}
    assert (result["unlisted"], result["removals"], result["sysctls"], result["outdated"]) == ([], [], {}, [])


def test_an_app_that_waits_for_its_next_start_is_named_and_no_difference() -> None:
    found = state()
    found["apps"]["shop"]["outdated"] = "2026-01-02T03:04:05Z"
    result = look(found).result
    assert [line.partition(";")[0] for line in result["outdated"]] == ["shop: its unit has changed since its start at 2026-01-02T03:04:05Z"]
    assert result["differences"] == look(state()).result["differences"]


def test_an_app_in_maintenance_is_named_and_no_difference() -> None:
    found = state()
    found["apps"]["shop"]["maintenance"] = "2026-01-02T03:04:05Z"
    result = look(found).result
    assert result["maintenance"] == ["web-1: shop has been in maintenance since 2026-01-02T03:04:05Z; --tags live ends that"]
    assert result["differences"] == look(state()).result["differences"]
    assert look(state()).result["maintenance"] == []


def test_a_host_whose_python_is_another_one_is_looked_at_again() -> None:
    """The unit names the environment of supervisord, which is for one Python."""
    other = state()
    other["host"]["python"] = "3.13"
    one, two = (call[1]["things"] for call in look(other, other).calls)
    digests = [{thing["name"]: thing["sha256"] for thing in things if thing["kind"] == "unit_file"} for things in (one, two)]
    assert digests[0] != digests[1]
    assert len(look(state()).calls) == 1


def test_a_look_that_failed_is_the_result() -> None:
    handed = Handed(
        "state",
        {"failed": True, "msg": "no python"},
        plan={"apps": PLAN, "absent": {}, "host": HOST},
        python="3.11",
        packages=[],
        own_files=[],
    )
    assert handed.result == {"changed": False, "failed": True, "msg": "no python"}
