"""A rollback takes the fleet to one release, or says why it cannot."""

from __future__ import annotations

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import AppState
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import releases
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.changes import Host
from tests.unit.builders import ENVIRONMENT, A, B, C, app_state, entry, host, host_state, slot

FIRST, SECOND = ({"at": f"2026-01-0{day}T03:04:05Z", "run": f"2026010{day}T030405Z-build-1-4711"} for day in (1, 2))


def app(*served: str, withdrawn: tuple[str, ...] = (), broken: tuple[str, ...] = (), run: dict[str, str] = SECOND) -> AppState:
    """An app that was deployed or rolled back in a run and has served these releases, the latest first."""
    return app_state(
        slots={"blue": slot(served[0] if served else "", bool(served))},
        releases={release: "" if release in broken else ENVIRONMENT for release in served},
        history=[entry(release, withdrawn=release in withdrawn, **run) for release in served],
        previous=next((release for release in served[1:] if release not in {*withdrawn, *broken}), ""),
    )


def fleet(*states: AppState, name: str = "shop") -> list[Host]:
    """Hosts with one app each."""
    return [mixed(number, **{name: state}) for number, state in enumerate(states, 1)]


def mixed(number: int, **apps: AppState) -> Host:
    return host({"host": host_state(), "apps": apps, "differences": []}, name=f"web-{number}")


def goes_to(hosts: list[Host], release: str = "") -> dict[str, str]:
    """What the apps go back to, where nothing stands against it."""
    found, problems = releases.rollback(hosts, release)
    assert problems == []
    return found


def problem(hosts: list[Host], release: str = "") -> str:
    """The only thing that stands against it."""
    (found,) = releases.rollback(hosts, release)[1]
    return found


def test_it_goes_to_what_was_served_before() -> None:
    assert goes_to(fleet(app(B, A))) == {"shop": A}
    assert goes_to(fleet(app(C, B, A), app(C, B, A))) == {"shop": B}


def test_hosts_that_were_not_switched_stay_where_they_are() -> None:
    """A deploy of C was interrupted; what they served before B is no business of it."""
    assert goes_to(fleet(app(C, B, A), app(B, A, run=FIRST))) == {"shop": B}
    assert goes_to(fleet(app(B, A, run=FIRST), app(C, B, A))) == {"shop": B}
    assert goes_to(fleet(app(C, B), app(B, run=FIRST))) == {"shop": B}


def test_hosts_that_went_back_already_stay_there() -> None:
    """A rollback from C to B was interrupted: the same again, and not to A."""
    assert goes_to(fleet(app(B, C, A, withdrawn=(C,)), app(C, B, A, run=FIRST))) == {"shop": B}


def test_what_was_rolled_back_from_is_never_gone_to() -> None:
    assert goes_to(fleet(app(B, C, A, withdrawn=(C,)))) == {"shop": A}
    assert problem(fleet(app(A, B, withdrawn=(B,)))).startswith(
        f"shop has nothing to go back to: what it served before was rolled back from, or is gone; name one with "
        f"-e tornado_app_release=<id>: kept on web-1 are {A}, {B}"
    )


def test_apps_that_the_last_run_has_not_changed_stay() -> None:
    hosts = [mixed(number, shop=app(B, A, run=SECOND), api=app("d" * 12, C, run=FIRST)) for number in (1, 2)]
    assert goes_to(hosts) == {"shop": A}


def test_apps_of_one_run_go_back_together() -> None:
    assert goes_to([mixed(1, shop=app(B, A), api=app("d" * 12, C))]) == {"shop": A, "api": C}


def test_the_last_run_is_the_last_one_on_any_host() -> None:
    """It was interrupted before it came to the first."""
    hosts = [mixed(1, shop=app(A, run=FIRST), api=app(C, run=FIRST)), mixed(2, shop=app(B, A), api=app(C, run=FIRST))]
    assert goes_to(hosts) == {"shop": A}


def test_two_runs_of_one_second_are_two() -> None:
    later = {**SECOND, "run": f"{SECOND['run']}2"}
    assert goes_to([mixed(1, shop=app(B, A, run=SECOND), api=app("d" * 12, C, run=later))]) == {"api": C}


def test_hosts_that_have_an_app_go_back_and_the_others_do_not_matter() -> None:
    assert goes_to([mixed(1, shop=app(B, A)), mixed(2, api=app(C, run=FIRST))]) == {"shop": A}
    assert goes_to([mixed(1, shop=app(B, A)), mixed(2, api=app(C, run=FIRST))], C) == {"api": C}


def test_histories_that_lead_to_several_releases_leave_the_choice() -> None:
    said = problem(fleet(app(B, A), app(A, B)))
    assert said == f"shop could go back to {A} or {B}; name one with -e tornado_app_release=<id>"
    assert releases.rollback(fleet(app(B, A), app(A, B)))[0] == {}


def test_histories_that_lead_to_no_common_release_are_told_host_by_host() -> None:
    said = problem(fleet(app(C, A), app(C, B, A), app(C)))
    assert f"shop would not come to one release (web-1 to {A}, web-2 to {B}, web-3 to nothing)" in said
    assert said.endswith(f"kept on all hosts are {C}")


def test_one_app_that_cannot_go_back_is_said_though_the_other_could() -> None:
    assert problem([mixed(1, shop=app(B, A), api=app(C))]).startswith("api has nothing to go back to")


def test_nothing_was_deployed() -> None:
    for hosts in ([], fleet(app()), fleet(app(), app())):
        assert problem(hosts) == "nothing was deployed yet: there is nothing to go back to"
        assert releases.rollback(hosts)[0] == {}


def test_a_release_that_is_named_is_gone_to_whenever_it_was_served() -> None:
    hosts = fleet(app(C, B, A), app(C, B, A))
    assert goes_to(hosts, A) == {"shop": A}
    assert goes_to(hosts, C) == {"shop": C}


def test_one_that_was_rolled_back_from_can_be_named() -> None:
    assert goes_to(fleet(app(A, B, withdrawn=(B,))), B) == {"shop": B}


def test_only_the_app_that_has_it_goes_there() -> None:
    hosts = [mixed(number, shop=app(B, A), api=app("d" * 12, C)) for number in (1, 2)]
    assert goes_to(hosts, C) == {"api": C}


def test_an_unknown_release_is_refused_with_those_that_there_are() -> None:
    hosts = [mixed(number, shop=app(B, A), api=app(C)) for number in (1, 2)]
    assert problem(hosts, "nonsense") == (
        f"tornado_app_release nonsense is on no host; of shop, kept on all hosts are {B}, {A}; of api, kept on all hosts are {C}"
    )
    assert problem(fleet(app()), "nonsense") == "tornado_app_release nonsense is on no host; of shop, kept on web-1 are none"


@pytest.mark.parametrize("other", [app(C, B, A, broken=(A,)), app(C, B)], ids=["not whole", "not there"])
def test_a_release_that_is_not_whole_on_one_host_is_refused_with_that_host(other: AppState) -> None:
    said = problem(fleet(app(C, B, A), other), A)
    assert said == f"tornado_app_release {A} of shop is not whole on web-2; kept on all hosts are {C}, {B}"
