"""What processes find in their environment, and who may see what of it."""

import json
import stat

from tests.fleet import Fleet

TOKEN = "hunter2 'quoted\" 100% $HOME\nsecond line grüße"
NASTY = "quotes ' \" back\\slash 100% %(process_num)d $HOME ;comment #hash\nsecond line grüße"
SHOWN, PATTERN = "hunter2", "hunter[2]"  # sudo notes the commands of this test in the journal, and so may not have the word in one
VARIABLES = {"environment": {"NASTY": NASTY}, "secrets": {"TOKEN": TOKEN}}


def test_variables_arrive_unchanged_and_a_secret_reaches_the_processes_and_nobody_else(fleet: Fleet) -> None:
    before = fleet.state()
    output = fleet.play("--tags", "deploy", "--diff", "-vvv", **VARIABLES)
    # Whoever types a secret into a command sees it there; ansible shows a command's extra variables at -vvv, and nothing else does.
    assert SHOWN not in output.replace(json.dumps({"tornado_apps": fleet.settings(**VARIABLES)}), "")
    assert fleet.release() == before["web-1"].release  # a changed variable is a deploy, and no other release
    for name, host in fleet.hosts.items():
        state = fleet.state()[name]
        for pid in state.pids:
            assert fleet.environment(name, pid)["TOKEN"] == TOKEN
            assert fleet.environment(name, pid)["NASTY"] == NASTY
            assert SHOWN not in host.check_output(f"tr '\\0' ' ' </proc/{pid}/cmdline")
        files = host.check_output(f"grep --recursive --files-with-matches '{PATTERN}' /etc /srv /run /var/log /opt /tmp || true").split()
        assert files == [f"/etc/shop/slots/{state.slot}.secrets.json"]
        secrets = host.file(files[0])
        assert (secrets.user, secrets.group, stat.S_IMODE(secrets.mode)) == ("root", "shop", 0o640)
        assert SHOWN not in host.check_output("journalctl --no-pager --quiet")


def test_a_changed_secret_is_a_deploy(fleet: Fleet) -> None:
    before, cookie_secret = fleet.state(), cookie_secrets(fleet)
    fleet.play("--tags", "deploy", **VARIABLES)
    assert fleet.state() == before
    fleet.play("--tags", "deploy", secrets={"TOKEN": "hunter3"})
    assert cookie_secrets(fleet) == cookie_secret
    for name, state in fleet.state().items():
        assert state.release == before[name].release
        assert {fleet.environment(name, pid)["TOKEN"] for pid in state.pids} == {"hunter3"}


def cookie_secrets(fleet: Fleet) -> set[str]:
    """Those of all processes of all hosts."""
    return {fleet.environment(name, pid)["COOKIE_SECRET"] for name, state in fleet.state().items() for pid in state.pids}


def test_the_fleet_has_one_cookie_secret_and_keeps_it(fleet: Fleet) -> None:
    before = fleet.state()
    (secret,) = cookie_secrets(fleet)
    fleet.hosts["web-2"].check_output("rm /etc/shop/cookie_secret")  # as on a host that comes late
    fleet.play("--tags", "restart", "--limit", "web-2")
    assert cookie_secrets(fleet) == {secret}
    assert fleet.hosts["web-2"].file("/etc/shop/cookie_secret").content_string == secret
    # A run can be limited: the other host was left alone.
    assert fleet.state()["web-1"] == before["web-1"]
    assert not fleet.state()["web-2"].pids & before["web-2"].pids
