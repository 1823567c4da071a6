"""Apps that are no longer wanted. The last test leaves none."""

import re

import pytest

from tests.fleet import Fleet, changed_tasks


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """One of the hosts."""
    return fleet.on("web-1")


def traces(fleet: Fleet, *apps: str) -> dict[str, list[str]]:
    """Host -> the paths that are named after the apps."""
    names = " -o ".join(f"-name '{app}' -o -name '{app}.*' -o -name '*.{app}' -o -name '*.{app}.*' -o -name '*[-@]{app}.*'" for app in apps)
    command = f"find / /run -xdev \\( -path /proc -o -path /sys -o -path /tmp \\) -prune -o \\( {names} \\) -print"
    return {name: host.check_output(command).split() for name, host in fleet.hosts.items()}


def test_an_app_goes_and_one_that_is_not_listed_any_more_runs_on(fleet: Fleet) -> None:
    rest = fleet.only(*(app for app in fleet.apps if app != "procfile_app"))
    listed = {app: settings for app, settings in fleet.settings().items() if app.startswith("forking")}
    apps = {**listed, "procfile_app": {"state": "absent"}}
    before = rest.everything()
    with rest.unnoticed():
        output = rest.play("--tags", "provision", apps=apps)
    for name in fleet.hosts:
        told = f"{name} runs flask_app, shared_app, sockets_app, which is not in tornado_apps, and leaves it alone."
        assert told in " ".join(output.split())
    assert rest.everything() == before
    for name, paths in traces(fleet, "procfile_app").items():
        assert paths == ["/srv/procfile_app"]
        host = fleet.hosts[name]
        assert host.check_output("find /srv/procfile_app -type f") == ("/srv/procfile_app/shared/migrated" if name == "web-1" else "")
        assert host.user("procfile_app").exists
        assert not host.service("procfile_app").is_running
        assert not host.service("tornado_app-logs@procfile_app.timer").is_running
        assert '"procfile_app"' not in host.file("/etc/ansible/facts.d/tornado_app.fact").content_string
    assert changed_tasks(rest.play("--tags", "provision", apps=apps)) == dict.fromkeys(fleet.hosts, ())


def test_apps_that_are_purged_leave_no_trace(fleet: Fleet) -> None:
    fleet.play(apps={app: {"state": "absent", "purge": True} for app in fleet.apps})
    assert not any(traces(fleet, *fleet.apps).values())
    words = "|".join(fleet.apps)
    own = re.compile(rf"/({words})/|^({words}) ", re.MULTILINE)
    for host in fleet.hosts.values():
        assert host.check_output("ss -Hltnx | grep -cE '127.0.0.1:(8|9)[0-9]{3} |/run/[a-z]*_app/' || true") == "0"
        assert host.check_output(f"grep -rlE --exclude='*-' '{words}' /etc /run/systemd /opt /usr/local || true") == ""
        assert host.check_output("ls /etc/systemd/system/timers.target.wants | grep tornado_app || true") == ""
        assert host.check_output(f"getent passwd {' '.join(fleet.apps)} || true") == ""
        assert not own.search(host.check_output("ps -e -o user:32,args"))
