"""Apps of every kind beside each other: what runs, and that no client notices what is done with it."""

import json
from collections.abc import Callable

from tests.fleet import Fleet, changed_tasks

# What each app's processes are, by its settings: pids of web processes, and sockets on which they listen.
PROCESSES = {"procfile_app": 2, "flask_app": 2, "forking_app": 3, "sockets_app": 2, "shared_app": 2}
LISTENERS = {"procfile_app": 2, "flask_app": 2, "forking_app": 1, "sockets_app": 2, "shared_app": 2}


def listeners(fleet: Fleet, name: str) -> dict[str, list[str]]:
    """App -> where its live slot listens on a host, once for each socket, as its kernel says."""
    host = fleet.hosts[name]
    found: dict[str, list[str]] = {}
    for app, state in ((app, states[name]) for app, states in fleet.everything().items()):
        lines = host.check_output("ss -Hltnp; ss -Hlxp").splitlines()
        own = [line.split() for line in lines if any(f"pid={pid}," in line for pid in state.pids)]
        found[app] = [fields[4] if fields[0].startswith("u_") else fields[3] for fields in own]
    return found


def workers(fleet: Fleet) -> dict[str, list[str]]:
    """Host -> the process ids of the workers of the Procfile."""
    command = "pgrep --uid procfile_app --full '^[^ ]*python work.py --queue=two words$' || true"
    return {name: host.check_output(command).split() for name, host in fleet.hosts.items()}


def migrated(fleet: Fleet) -> list[str]:
    """The releases for which the release command ran, on any host."""
    command = "cat /srv/procfile_app/shared/migrated 2>/dev/null || true"
    return [release for host in fleet.hosts.values() for release in host.check_output(command).split()]


def test_every_kind_of_app_listens_in_its_way(fleet: Fleet) -> None:
    fleet.answers()
    for name in fleet.hosts:
        found = listeners(fleet, name)
        assert {app: len(places) for app, places in found.items()} == LISTENERS
        assert {app: len(set(places)) for app, places in found.items()} == {**LISTENERS, "shared_app": 1}
        assert all(place.startswith("/run/tornado_app/sockets/sockets_app/") for place in found["sockets_app"])
        assert {app: len(hosts[name].pids) for app, hosts in fleet.everything().items()} == PROCESSES


def test_a_second_run_changes_nothing(fleet: Fleet) -> None:
    before = fleet.everything()
    output = fleet.play()
    assert changed_tasks(output) == dict.fromkeys(fleet.hosts, ())
    assert fleet.everything() == before


def test_no_client_notices_a_deploy_a_restart_or_a_rollback(fleet: Fleet, change: Callable[[str], None]) -> None:
    first, first_workers = fleet.everything(), workers(fleet)
    assert {len(pids) for pids in first_workers.values()} == {2}
    assert migrated(fleet) == [first["procfile_app"]["web-1"].release]
    with fleet.unnoticed():
        change("second")
        fleet.play("--tags", "deploy")
        second = fleet.everything()
        fleet.play("--tags", "restart")
        third = fleet.everything()
        fleet.play("--tags", "rollback")
        last = fleet.everything()
    for app, hosts in last.items():
        assert {state.release for state in hosts.values()} == {first[app]["web-1"].release}
        assert {state.release for state in second[app].values()} == {state.release for state in third[app].values()}
        for name, state in hosts.items():
            assert second[app][name].release != state.release
            runs = [first, second, third, last]
            assert len(frozenset().union(*(run[app][name].pids for run in runs))) == PROCESSES[app] * len(runs)
    for name, pids in workers(fleet).items():
        assert len(pids) == 2
        assert not set(pids) & set(first_workers[name])
    assert migrated(fleet) == [first["procfile_app"]["web-1"].release, second["procfile_app"]["web-1"].release]
    assert fleet.leftovers() == {}


def test_status_shows_all_of_them_in_the_same_way(fleet: Fleet) -> None:
    rows = [line.split() for line in fleet.play("--tags", "status").splitlines() if line.split()[:1] in (["web-1"], ["web-2"])]
    for app in fleet.apps:
        own = [row for row in rows if row[1] == app]
        assert [row[0] for row in own] == ["web-1", "web-2"]
        assert all("2/2" in row for row in own)
        assert all(("+" in row) == (app == "procfile_app") for row in own)


def test_apps_under_one_name_are_told_apart_by_path(fleet: Fleet) -> None:
    for name in fleet.hosts:
        assert [json.load(fleet.get(name, "/api/info", app))["app"] for app in ("sockets_app", "shared_app")] == [
            "sockets_app",
            "shared_app",
        ]
        assert fleet.get(name, "/shared", "sockets_app").status == 308
