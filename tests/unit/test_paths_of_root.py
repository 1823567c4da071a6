"""What root does with paths: nothing below a directory that an app can write, but through the helper of module_utils/untrusted.py.

Its paths come from the plan. So the plan is looked at with whatever settings, and then who uses those of its keys that lead below such a
directory: in plugins as a subscript, in tasks and templates as an attribute.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.loading import ROLE, ROOT
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import files, layout, plan, things
from tests.unit.builders import DEFAULTS, HOST, SHOP, absent, release
from tests.unit.test_plan import names

PLUGINS = ROOT / "plugins"
WRITABLE = ("/mnt/uploads", "/data", "/srv/uploads", "/opt/own/cache")


@st.composite
def settings(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Apps of every kind."""
    found = {}
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        listen = draw(st.sampled_from(["ports", "sockets", "shared", "fork"]))
        found[name] = {
            **SHOP,
            "server_names": [f"{name}.example.com"],
            "listen": listen,
            "command": f"{{python}} app.py {'{socket}' if listen == 'sockets' else '{port}'}",
            **({"debug": True, "watch": ["/usr/local/etc/x"]} if listen == "ports" and draw(st.booleans()) else {}),
            "logs": draw(st.sampled_from(["files", "journal"])),
            "static": draw(st.sampled_from(["", "static", "web/public"])),
            "sandbox": {"writable": draw(st.lists(st.sampled_from(WRITABLE), unique=True)), "devices": [], "netlink": draw(st.booleans())},
        }
    return found


def writable(app: Mapping[str, Any]) -> list[str]:
    """The directories that an app can write."""
    return [app["shared"], app["logs"], app["run"], app["sockets"], *app["sandbox"]["writable"]]


def texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """All texts of a plan, each with its key; those in lists with that of the list."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from texts(item, str(name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item, key)


def below(apps: Mapping[str, Any], value: Any) -> dict[str, str]:
    """Key -> a path that has a parent which an app can write. A path that is such a directory itself has none."""
    own = [path for app in apps.values() for path in writable(app)]
    paths = ((key, text.removeprefix("unix:")) for key, text in texts(value) if text.removeprefix("unix:").startswith("/"))
    return {key: path for key, path in paths if any(path.startswith(f"{directory}/") for directory in own)}


# Keys of the plan with such paths -> why.
LEAD_BELOW = {
    "socket": "where supervisord answers: by module_utils/supervisor.py alone, see below",
    "addresses": "where processes answer: by module_utils/http.py alone, and nginx's workers",
    "watchdog": "what a watchdog says of itself: by module_utils/watchdog.py alone",
    "jobs": "what who runs singletons says of them: by module_utils/jobs.py alone",
}


@given(settings())
def test_no_path_of_the_plan_has_a_parent_that_an_app_can_write(given_apps: dict[str, Any]) -> None:
    apps = plan.plan(given_apps, DEFAULTS, HOST)
    assert set(below(apps, apps)) <= set(LEAD_BELOW)
    for app in apps.values():
        assert below(apps, app["directories"]) == below(apps, app["runtime_directories"]) == {}


@given(settings())
def test_no_file_that_is_installed_compared_or_removed_has(given_apps: dict[str, Any]) -> None:
    apps = plan.plan(given_apps, DEFAULTS, HOST)
    for name, app in apps.items():
        own = release("0123456789ab")
        for slot in app["slots"].values():
            found = [
                *files.own_files(app, slot, own, "", "check", {}),
                *files.removals([slot]),
                files.link(slot, own),
                files.history(slot, {}),
            ]
            assert below(apps, [file["path"] for file in found]) == {}
        assert below(apps, [files.cookie(app, "")["path"], *(file["path"] for file in files.release_records(apps, {name: own}))]) == {}
        assert below(apps, [thing.get("path") for thing in things.of_apps(apps)]) == {}
        purged = layout.absent({name: {"state": "absent", "purge": True}})
        assert below(apps, purged) == below(apps, absent(name)) == {}


# Who uses what leads below such a directory

KEYS = {"logs", "run", "shared", "socket", "sockets", "addresses", "runtime_directories", "watchdog", "jobs"}
OF = {"app", "slot", "group", "planned"}  # names of what comes from a plan
NO_PATH = "no path is opened"
# File and function -> the keys that it uses, and why it may.
PYTHON = {
    ("module_utils/app_state.py", "foreign_paths"): ("logs run", "the directories themselves, whose parents are root's"),
    ("module_utils/app_state.py", "foreign_ports"): ("addresses", NO_PATH),
    ("module_utils/app_state.py", "supervised"): ("socket", "by Supervisor"),
    ("module_utils/app_state.py", "watchdog_state"): ("watchdog", "by watchdog.read, which takes untrusted.tail"),
    ("module_utils/jobs.py", "state"): ("jobs", "by untrusted.tail"),
    ("modules/open_sockets.py", "directories"): ("addresses", "the directory itself, whose parents are root's"),
    ("modules/open_sockets.py", "opened"): ("socket", "by Supervisor"),
    ("modules/slot_processes.py", "main"): ("socket", "by Supervisor"),
    ("modules/slot_processes.py", "noted"): ("socket", NO_PATH),
    ("modules/wait_for_drain.py", "main"): ("addresses", NO_PATH),
    ("module_utils/logs.py", "log_of"): ("logs", "by last_lines, which takes untrusted.tail"),
    ("modules/wait_for_health.py", "look"): ("addresses socket", "by http.get, which takes untrusted.connection"),
    ("modules/wait_for_health.py", "missing"): ("addresses", NO_PATH),
    ("modules/wait_for_health.py", "supervised"): ("socket", "by Supervisor"),
    ("modules/watchdogs.py", "start"): ("socket", "by Supervisor"),
    ("modules/watchdogs.py", "tried"): ("socket", "by Supervisor"),
    ("plugin_utils/changes.py", "found_slot"): ("addresses", NO_PATH),
    ("plugin_utils/checks.py", "socket_problems"): ("runtime_directories sockets", NO_PATH),
    ("plugin_utils/controller.py", "upstreams"): ("addresses", NO_PATH),
    ("plugin_utils/files.py", "jobs"): ("jobs", NO_PATH),
    ("plugin_utils/files.py", "log_files"): ("logs", "for remove_logs, and for logrotate, which is the app's user"),
    ("plugin_utils/files.py", "record"): ("addresses shared", NO_PATH),
    ("plugin_utils/files.py", "stale_logs"): ("logs", "for remove_logs, which takes untrusted.remove"),
    ("plugin_utils/files.py", "watchdog_settings"): ("watchdog", NO_PATH),
    ("plugin_utils/status_text.py", "_job_lines"): ("jobs", "what was said, no path"),
    ("plugin_utils/status_text.py", "_job_rows"): ("jobs", "what was said, no path"),
    ("plugin_utils/status_text.py", "_watchdog_lines"): ("watchdog", "a state, no path"),
    ("plugin_utils/things.py", "of_apps"): ("runtime_directories", "the directories themselves, whose parents are root's"),
}
# Task file or template -> the keys that it uses, and why it may.
ROLES = {
    "tasks/start.yml": ("socket", "wait_for asks whether there is something, and opens nothing"),
    "tasks/supervisord.yml": ("socket", "the same"),
    "templates/app.service.j2": ("run sockets", "the app's own command makes the link"),
    "templates/nginx_upstream.conf.j2": ("addresses", "nginx's workers connect, and they are not root"),
    "templates/slot.conf.j2": ("logs", "supervisord and the launcher are the app's user"),
    "templates/supervisord.conf.j2": ("logs run socket", "supervisord is the app's user"),
    "templates/tmpfiles.conf.j2": ("runtime_directories", "the directories themselves, whose parents are root's"),
}
# What takes a path; no function above calls it, but those of the helper.
OPENERS = {"open", "read_text", "read_bytes", "write_text", "stat", "exists", "is_file", "glob", "rglob", "iterdir", "unlink", "connect"}
# Who takes what of the helper.
HELPED = {
    "module_utils/http.py": {"connection", "over_tls"},
    "module_utils/jobs.py": {"tail"},
    "module_utils/supervisor.py": {"connection"},
    "module_utils/watchdog.py": {"tail"},
    "modules/install_environments.py": {"remove_tree"},
    "modules/prune_releases.py": {"remove_tree"},
    "modules/remove_logs.py": {"remove"},
    "module_utils/static_store.py": {"remove_tree"},
    "module_utils/logs.py": {"tail"},
}


def functions() -> Iterator[tuple[tuple[str, str], ast.FunctionDef]]:
    """File and name of each function of the plugins."""
    for path in sorted(PLUGINS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield (str(path.relative_to(PLUGINS)), node.name), node


def used(function: ast.FunctionDef) -> set[str]:
    """The keys of a plan that a function uses, of those that matter here."""
    subscripts = (node for node in ast.walk(function) if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name))
    return {
        str(node.slice.value)
        for node in subscripts
        if isinstance(node.slice, ast.Constant) and node.slice.value in KEYS and node.value.id in OF  # type: ignore[attr-defined]
    }


def test_who_uses_paths_below_such_a_directory_is_known() -> None:
    found = {where: " ".join(sorted(keys)) for where, function in functions() if (keys := used(function))}
    assert found == {where: keys for where, (keys, _) in PYTHON.items()}


def test_none_of_them_opens_a_path() -> None:
    for where, function in functions():
        if where in PYTHON:
            calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
            names = {call.id if isinstance(call, ast.Name) else call.attr for call in calls if isinstance(call, (ast.Name, ast.Attribute))}
            assert not names & OPENERS, where


def test_tasks_and_templates_that_use_them_are_known() -> None:
    found = {}
    for path in sorted([*(ROLE / "tasks").glob("*.yml"), *(ROLE / "templates").rglob("*.j2")]):
        keys = re.findall(rf"\b(?:app|slot|item|\w+\])\.({'|'.join(sorted(KEYS))})\b", path.read_text(encoding="utf-8"))
        if keys:
            found[str(path.relative_to(ROLE))] = " ".join(sorted(set(keys)))
    assert found == {where: keys for where, (keys, _) in ROLES.items()}


def test_who_takes_what_of_the_helper_is_known() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted(PLUGINS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).endswith("module_utils.untrusted"):
                taken = {alias.name for alias in node.names if alias.name[0].islower()}
                found |= {str(path.relative_to(PLUGINS)): taken} if taken else {}
    assert found == HELPED
