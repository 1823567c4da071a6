"""Where processes print to."""

from tests.fleet import Fleet


def test_what_processes_print_goes_to_the_journal(fleet: Fleet) -> None:
    forking = fleet.only("forking_app")
    forking.play("--tags", "deploy", logs="journal")
    for name, state in forking.state("forking_app").items():
        lines = fleet.hosts[name].check_output("journalctl --unit=forking_app --quiet --since=-2min").splitlines()
        assert [line for line in lines if f"@{state.release}" in line]
    settings = {"logs": "journal", "command": "{python} nothing.py {port}", "health": {"path": "/healthz", "timeout": 20}}
    assert "can't open file" in forking.refused("--tags", "deploy", **settings)
    with forking.unnoticed():
        forking.play("--tags", "deploy")
