"""What nobody else may see, and where it can be seen."""

import json
import stat

from tests.fleet import Fleet

TOKEN = "hunter2 'quoted\" 100% $HOME\nsecond line grüße"
SECRETS = {"secrets": {"TOKEN": TOKEN}}
SHOWN, PATTERN = "hunter2", "hunter[2]"  # sudo notes the commands of this test in the journal, and so may not have the word in one


def test_a_secret_reaches_the_processes_and_nobody_else(fleet: Fleet) -> None:
    output = fleet.play("--tags", "deploy", "--diff", "-vvv", **SECRETS)
    # Whoever types a secret into a command sees it there; ansible shows a command's extra variables at -vvv, and nothing else does.
    assert SHOWN not in output.replace(json.dumps({"tornado_apps": fleet.settings(**SECRETS)}), "")
    for name, host in fleet.hosts.items():
        state = fleet.state()[name]
        for pid in state.pids:
            assert fleet.environment(name, pid)["TOKEN"] == TOKEN
            assert SHOWN not in host.check_output(f"tr '\\0' ' ' </proc/{pid}/cmdline")
        files = host.check_output(f"grep --recursive --files-with-matches '{PATTERN}' /etc /srv /run /var/log /opt /tmp || true").split()
        assert files == [f"/etc/shop/slots/{state.slot}.secrets.json"]
        secrets = host.file(files[0])
        assert (secrets.user, secrets.group, stat.S_IMODE(secrets.mode)) == ("root", "shop", 0o640)
        assert SHOWN not in host.check_output("journalctl --no-pager --quiet")


def test_a_changed_secret_is_a_deploy(fleet: Fleet) -> None:
    before = fleet.state()
    fleet.play("--tags", "deploy", **SECRETS)
    assert fleet.state() == before
    fleet.play("--tags", "deploy", secrets={"TOKEN": "hunter3"})
    for name, state in fleet.state().items():
        assert state.release == before[name].release
        assert {fleet.environment(name, pid)["TOKEN"] for pid in state.pids} == {"hunter3"}


def cookie_secrets(fleet: Fleet) -> set[str]:
    """Those of all processes of all hosts."""
    return {fleet.environment(name, pid)["COOKIE_SECRET"] for name, state in fleet.state().items() for pid in state.pids}


def test_the_fleet_has_one_cookie_secret_and_keeps_it(fleet: Fleet) -> None:
    (secret,) = cookie_secrets(fleet)
    fleet.hosts["web-2"].check_output("rm /etc/shop/cookie_secret")  # as on a host that comes late
    fleet.play("--tags", "restart", "--limit", "web-2")
    assert cookie_secrets(fleet) == {secret}
    assert fleet.hosts["web-2"].file("/etc/shop/cookie_secret").content_string == secret
    fleet.play("--tags", "deploy")
    assert cookie_secrets(fleet) == {secret}
