"""What clients of the balancers see of every operation: nothing."""

import re

from tests.balanced import Balanced


def test_a_deploy_a_restart_and_a_rollback(fleet: Balanced) -> None:
    with fleet.clients() as traffic:
        first = fleet.release()
        fleet.play("--tags", "restart")
        fleet.change("for a rollback")
        fleet.play("--tags", "deploy")
        second = fleet.release()
        fleet.play("--tags", "rollback")
        assert fleet.release() == first
    assert set(traffic.account.answers()) == {first, second}


def test_a_host_leaves_and_comes_back(fleet: Balanced) -> None:
    with fleet.clients():
        fleet.play("--tags", "drain", "--limit", "web-1")
        fleet.wait_for("web-2", "web-3")
        assert {fleet.told(name)["host"] for name in fleet.balancers for _ in range(8)} == {"web-2", "web-3"}
        fleet.play("--tags", "undrain", "--limit", "web-1")
        fleet.wait_for("web-1", "web-2", "web-3")


def test_the_balancers_are_reloaded_while_a_host_is_out(fleet: Balanced) -> None:
    fleet.hosts["web-2"].check_output("touch /var/lib/tornado_app/drained")
    fleet.wait_for("web-1", "web-3")
    with fleet.clients():
        for maxconn in (1500, 1600):
            output = fleet.play("--extra-vars", f"load_balancer_maxconn={maxconn}", playbook="playbooks/balance.yml")
            assert len(re.findall(r"lb-\d +: ok=\d+ +changed=1", output)) == 2
            assert [fleet.up(name) for name in fleet.balancers] == [{"web-1", "web-3"}] * 2
    fleet.hosts["web-2"].check_output("rm /var/lib/tornado_app/drained")
    fleet.wait_for("web-1", "web-2", "web-3")


def test_a_run_with_nothing_to_do_changes_no_balancer(fleet: Balanced) -> None:
    fleet.play(playbook="playbooks/balance.yml")
    before = {name: fleet.process(name) for name in fleet.balancers}
    output = fleet.play("--diff", playbook="playbooks/balance.yml")
    assert len(re.findall(r"lb-\d +: ok=\d+ +changed=0", output)) == 2
    assert {name: fleet.process(name) for name in fleet.balancers} == before
