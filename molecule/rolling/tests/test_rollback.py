"""What a rollback goes to, and what it does not need."""

import json
import re

import pytest

from tests.fleet import Fleet

NOWHERE = "/nonexistent"


@pytest.fixture
def shop(shop: Fleet) -> Fleet:
    """One host; that all of them go back together, other modules show."""
    return shop.on("web-1")


def deployed(fleet: Fleet, text: str, *arguments: str) -> str:
    """Deploy another release; its name."""
    fleet.change(text)
    fleet.play("--tags", "deploy", *arguments)
    return fleet.release()


def kept(fleet: Fleet) -> set[str]:
    """The releases that are on the hosts; they are the same on all of them."""
    folders = [
        frozenset(host.check_output(f"cd /srv/{app}/releases && ls --directory */ | tr --delete /").split())
        for host in fleet.hosts.values()
        for app in fleet.apps
    ]
    (found,) = set(folders)
    return set(found)


def test_rollbacks_go_further_back_each_time_and_need_no_source(shop: Fleet) -> None:
    first = shop.release()
    second, _third = (deployed(shop, text) for text in ("second", "third"))
    with shop.unnoticed():
        # The one that was rolled back from is the latest, and is not what anybody wants back.
        status = shop.play("--tags", "rollback,status", source=NOWHERE)
        assert shop.release() == second
        for app in shop.apps:
            assert f"A rollback of {app} goes to {first}\n" in status
        output = shop.play("--tags", "rollback,status", "--extra-vars", "tornado_app_status_format=json", source=NOWHERE)
        assert shop.release() == first
    shop.answers()
    says_what_is_live(shop, output)


def says_what_is_live(shop: Fleet, output: str) -> None:
    """The status for programs is as the hosts are."""
    match = re.search(r"^ {8}\{$.*?^ {8}\}$", output, re.DOTALL | re.MULTILINE)
    assert match
    status = json.loads(match.group())
    for app, hosts in shop.everything().items():
        for name, state in hosts.items():
            assert status[name]["apps"][app]["live"] == state.slot
            assert status[name]["apps"][app]["release"] == state.release


def test_a_rollback_to_a_release_by_its_name(shop: Fleet) -> None:
    wanted = max(kept(shop) - {shop.release()})
    with shop.unnoticed():
        shop.play("--tags", "rollback", "--extra-vars", f"tornado_app_release={wanted}", source=NOWHERE)
    assert shop.release() == wanted


def test_a_release_that_is_not_there_is_refused_with_those_that_are(shop: Fleet) -> None:
    output = shop.refused("--tags", "rollback", "--extra-vars", "tornado_app_release=000000000000")
    for release in kept(shop) - {shop.release()}:
        assert release in output


def test_what_has_not_been_retired_comes_back_with_its_processes(shop: Fleet) -> None:
    before = shop.everything()
    shop.change("to be taken back at once")
    with shop.unnoticed():
        shop.crash("Finish | ", "--tags", "deploy")
        for app, hosts in shop.everything().items():
            for name, state in hosts.items():
                assert state.slot != before[app][name].slot
                assert state.pids > before[app][name].pids
        shop.play("--tags", "rollback", source=NOWHERE)
    assert shop.everything() == before
    assert shop.leftovers() == {}


def test_what_is_live_and_what_was_are_kept_in_any_case_and_then_there_is_nothing_to_go_back_to(shop: Fleet) -> None:
    before = shop.release()
    latest = deployed(shop, "the only one to be kept", "--extra-vars", "tornado_app_keep_releases=1")
    assert kept(shop) == {before, latest}
    shop.play("--tags", "rollback")
    assert shop.release() == before
    output = shop.refused("--tags", "rollback")
    for app in shop.apps:
        assert f"{app} has nothing to go back to" in output
    assert latest in output  # which is still there for those who ask for it by its name
