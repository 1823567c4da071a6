"""What clients of the balancers, visitors in a browser and a crowd of websockets see of every operation: nothing."""

from tests.balanced import Balanced
from tests.board import Come, Visitor, talk
from tests.fleet import changed_tasks, wait_until
from tests.sockets import Crowd, Place

CROWD = 300


def test_a_restart_a_deploy_and_a_rollback(fleet: Balanced, visitors: tuple[Visitor, Visitor]) -> None:
    """Of all websockets none is refused, none closed but by a goodbye; no message is lost or doubled, and no second singleton runs."""
    wait_until(lambda: len(fleet.beats()) == 1)
    fleet.forget_beats()
    first = fleet.release()
    crowd = Crowd([Place(address, 80, "shop.test") for address in fleet.entrances.values()], CROWD)

    def operate() -> None:
        fleet.play("--tags", "restart")
        fleet.change("for a rollback")
        fleet.play("--tags", "deploy")
        fleet.play("--tags", "rollback")

    with fleet.clients() as traffic, crowd.there():
        wait_until(lambda: crowd.open() == CROWD)
        talk(visitors, "operations", operate)
        assert fleet.release() == first
        wait_until(lambda: crowd.open() == CROWD and set(crowd.releases()) == {first})
        last = visitors[0].page.locator(".message").last.get_attribute("data-id") or ""
        wait_until(lambda: crowd.have_heard(last) == CROWD)
        for visitor in visitors:
            visitor.page.locator("#facts [data-info=release]", has_text=first).wait_for()
    assert len(set(traffic.account.answers())) == 2
    assert crowd.refused == []
    assert set(crowd.closed) == {1001}
    heard = [[message for message, _ in visitor.heard] for visitor in crowd.visitors]
    longest = max(heard, key=len)
    assert all(own == longest[-len(own) :] and len(own) == len(set(own)) for own in heard)
    wait_until(lambda: len(fleet.beats()) == 1)
    assert fleet.overlaps() == ""


def test_a_host_leaves_and_comes_back(fleet: Balanced, come: Come) -> None:
    """The singleton goes elsewhere; a visitor whom that host serves stays, says and hears all."""
    fleet.forget_beats()
    (host,) = fleet.beats()
    others = fleet.hosts.keys() - {host}
    visitors = come("Ana", {host}), come("Ben", others)
    with fleet.clients():
        talk(visitors, "drain", lambda: fleet.play("--tags", "drain", "--limit", host))
        fleet.wait_for(*others)
        assert {fleet.told(name)["host"] for name in fleet.balancers for _ in range(8)} == others
        wait_until(lambda: len(found := fleet.beats()) == 1 and found != [host])
        fleet.play("--tags", "undrain", "--limit", host)
        fleet.wait_for("web-1", "web-2", "web-3")
    assert fleet.overlaps() == ""


def test_the_balancers_are_reloaded_while_a_host_is_out(fleet: Balanced) -> None:
    fleet.hosts["web-2"].check_output("touch /var/lib/tornado_app/drained")
    fleet.wait_for("web-1", "web-3")
    with fleet.clients():
        for maxconn in (1500, 1600):
            output = fleet.play("--extra-vars", f"load_balancer_maxconn={maxconn}", playbook="playbooks/balance.yml")
            assert [len(tasks) for tasks in changed_tasks(output).values()] == [1, 1]
            assert [fleet.up(name) for name in fleet.balancers] == [{"web-1", "web-3"}] * 2
    fleet.hosts["web-2"].check_output("rm /var/lib/tornado_app/drained")
    fleet.wait_for("web-1", "web-2", "web-3")


def test_a_run_with_nothing_to_do_changes_no_balancer(fleet: Balanced) -> None:
    fleet.play(playbook="playbooks/balance.yml")
    before = {name: fleet.process(name) for name in fleet.balancers}
    output = fleet.play("--diff", playbook="playbooks/balance.yml")
    assert changed_tasks(output) == dict.fromkeys(fleet.balancers, ())
    assert {name: fleet.process(name) for name in fleet.balancers} == before
