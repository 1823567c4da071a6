"""Every operation, one after the other, on all hosts and apps, while clients come without a pause.

Two of them; with TORNADO_APP_OPERATIONS=all in the environment (`make test-rolling`) ten deploys and more.
"""

import os
from datetime import datetime
from math import inf
from typing import Any, Literal, NamedTuple

import pytest

from tests.fleet import SWITCH_CLOCK, Fleet


class Operation(NamedTuple):
    """One run of site.yml, for all apps, and what is live after it."""

    name: str
    arguments: tuple[str, ...]
    release: Literal["new", "same", "previous"]
    settings: dict[str, Any] = {}  # noqa: RUF012 # never changed
    same_processes: bool = False


class Switched(NamedTuple):
    """One app on one host got another live slot."""

    operation: str
    target: str
    moment: float
    before: str
    after: str


DEPLOY = Operation("deploy", ("--tags", "deploy"), "new")
RESTART = Operation("restart", ("--tags", "restart"), "same")
ROLLBACK = Operation("rollback", ("--tags", "rollback"), "previous")
VARIABLE = {"environment": {"FLAVOUR": "mint"}}
MORE_PROCESSES = DEPLOY._replace(name="deploy with 4 processes", settings={"processes": 4})
IN_TURN = DEPLOY._replace(name="deploy, one host after the other", arguments=("--tags", "deploy", "--extra-vars", "tornado_app_serial=1"))
ALL = [
    *[DEPLOY, DEPLOY, ROLLBACK, RESTART] * 5,
    MORE_PROCESSES,
    DEPLOY._replace(name="deploy with 2 processes", release="same"),
    DEPLOY._replace(name="deploy with another variable", release="same", settings=VARIABLE),
    Operation("another setting of nginx", (), "same", {**VARIABLE, "client_max_body_size": "51m"}, same_processes=True),
    IN_TURN,
]
# The scenarios apps and fleet have a deploy, a restart and a rollback under load in any case.
OPERATIONS = ALL if os.environ.get("TORNADO_APP_OPERATIONS") == "all" else [MORE_PROCESSES, RESTART]


def test_no_client_notices_any_operation(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    history: list[str] = []  # the last one is live, a rollback goes to the one before
    switches: list[Switched] = []
    with fleet.traffic() as traffic:
        for number, operation in enumerate(OPERATIONS, 1):
            name = f"operation {number}: {operation.name}"
            print(f"{datetime.now():%H:%M:%S.%f} {name}")
            if operation.release == "new":
                fleet.change(name)
            before = fleet.look()
            done = fleet.run(*operation.arguments, **operation.settings)
            assert done.returncode == 0, name
            assert operation.same_processes or "End | Show what was made live" in done.stdout, name
            after = fleet.look()

            release = fleet.release()
            if operation.release == "new":
                assert release not in history, name
                history.append(release)
            elif operation.release == "previous":
                history.pop()
            assert release == history[-1], name
            for app, hosts in after.items():
                for host, (state, moment) in hosts.items():
                    where = f"{app} on {host}"
                    old = before[app][host][0]
                    if operation.same_processes:
                        assert state == old, f"{name}, {where}"
                        continue
                    assert state.slot != old.slot, f"{name}, {where}"
                    assert len(state.pids) == operation.settings.get("processes", 2), f"{name}, {where}"
                    assert not state.pids & old.pids, f"{name}, {where}"
                    switches.append(Switched(name, where, moment, old.release, state.release))
    account = traffic.account
    with capsys.disabled():
        print(f"\n{len(OPERATIONS)} operations on {len(fleet.hosts)} hosts with {len(fleet.apps)} apps\n{account.summary()}")
    assert account.failures() == []
    assert account.lost() == 0
    assert account.reconnects() > 0
    for switch in switches:
        # A rollback brings a release back: what counts ends with the next switch.
        end = min((later.moment for later in switches if later.target == switch.target and later.moment > switch.moment), default=inf)
        stale = account.stale(switch.target, switch.moment, {switch.before} - {switch.after})
        assert [record for record in stale if record.start < end - 2 * SWITCH_CLOCK] == [], switch
