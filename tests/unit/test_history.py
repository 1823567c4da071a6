"""What a host remembers of the releases that it served, over deploys, restarts and rollbacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tornado_app.deploy.plugins.module_utils import history
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import History, HistoryEntry, Lock, State
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import changes
from tests.unit.builders import app_state, host_state, process, slot
from tests.unit.builders import host as fleet_host
from tests.unit.builders import release as wanted_release

PORTS = {"blue": (8000, 8001), "green": (9000, 9001)}


class Host:
    """A host with one app, on which runs do to the slots what start_slots.yml, switch_slots.yml, undo.yml and finish_slots.yml do."""

    def __init__(self) -> None:
        self.live = "green"
        self.releases: list[str] = []
        self.histories: dict[str, History] = {name: {"sequence": 0, "releases": []} for name in PORTS}
        self.slots: dict[str, dict[str, Any]] = {name: {"release": "", "deployed": False} for name in PORTS}
        self.runs = 0

    @property
    def release(self) -> str:
        return str(self.slots[self.live]["release"])

    @property
    def history(self) -> list[HistoryEntry]:
        """What the live slot tells."""
        return list(self.histories[self.live]["releases"])

    @property
    def previous(self) -> str:
        return str(history.previous(self.histories[self.live], self.release, self.releases))

    def served(self) -> list[str]:
        return [entry["release"] for entry in self.history]

    def withdrawn(self) -> set[str]:
        return {entry["release"] for entry in self.history if entry["withdrawn"]}

    def state(self) -> State:
        """What the host has."""
        found = {
            name: slot(
                own["release"],
                own["deployed"],
                tuple(process(port) for port in PORTS[name]) if own["deployed"] else (),
                self.histories[name]["sequence"],
            )
            for name, own in self.slots.items()
        }
        record = {"environment": "e", "python": "3.13", "commands": {}}
        releases = {"releases": dict.fromkeys(self.releases, "e"), "records": dict.fromkeys(self.releases, record)}
        shop = app_state(self.live, found, **releases, history=self.history, previous=self.previous)
        return {"host": host_state(), "apps": {"shop": shop}, "differences": []}

    def run(self, operation: str, wanted: str, end: str = "retired", version: str = "") -> None:
        """An operation that ends at the gate (`refused`), after the switch (`killed`), goes back (`undone`) or comes to its end."""
        self.runs += 1
        if operation == "deploy" and wanted not in self.releases:
            self.releases.append(wanted)
        who: Lock = {"since": f"2026-01-01T00:00:{self.runs:02}Z", "user": "ana", "controller": "build-1", "run": f"run-{self.runs}"}
        releases = {"shop": wanted_release(wanted, version=version, commit=f"commit of {version}" if version else "")}
        differing = ("shop",) if self.release != wanted or not self.slots[self.live]["deployed"] else ()
        for change in changes.fleet_changes([fleet_host(self.state(), releases, differing)], operation, who)["web-1"]["changes"]:
            name, former = change["slot"]["name"], change["former"]["name"]
            if name != self.live:
                assert change["history"]
                self.histories[name] = json.loads(json.dumps(change["history"]))
                self.slots[name] = {"release": wanted, "deployed": True}
            if end == "refused":
                self.slots[name]["deployed"] = name == self.live
                return
            self.live = former if end == "undone" else name
            if end != "killed":
                self.slots[name if end == "undone" else former]["deployed"] = False

    def deploy(self, release: str, **options: str) -> None:
        self.run("deploy", release, **options)

    def restart(self) -> None:
        self.run("restart", self.release)

    def rollback(self, release: str = "") -> None:
        assert release or self.previous
        self.run("rollback", release or self.previous)


@pytest.fixture
def host() -> Host:
    """A host that has served r1, r2 and then r3."""
    found = Host()
    for release in ("r1", "r2", "r3"):
        found.deploy(release, version=f"v{release[1]}")
    return found


def test_a_deploy_comes_on_top_with_who_and_when_and_what_git_calls_it(host: Host) -> None:
    assert host.served() == ["r3", "r2", "r1"]
    assert host.history[0] == {
        "release": "r3",
        "version": "v3",
        "commit": "commit of v3",
        "withdrawn": False,
        "at": "2026-01-01T00:00:03Z",
        "by": "ana@build-1",
        "run": "run-3",
    }
    assert host.previous == "r2"


def test_the_first_deploy_has_nothing_before_it() -> None:
    host = Host()
    host.deploy("r1")
    assert (host.served(), host.previous, host.histories["blue"]["sequence"]) == (["r1"], "", 1)


def test_a_known_release_that_is_deployed_again_is_there_once(host: Host) -> None:
    host.deploy("r1", version="v1-again")
    assert host.served() == ["r1", "r3", "r2"]
    assert (host.history[0]["version"], host.history[0]["run"]) == ("v1-again", "run-4")
    assert host.previous == "r3"


def test_other_settings_of_the_same_release_go_back_to_the_release_before(host: Host) -> None:
    host.slots[host.live]["deployed"] = False  # so that the live slot is replaced
    host.deploy("r3")
    assert (host.served(), host.previous) == (["r3", "r2", "r1"], "r2")


def test_a_restart_keeps_the_entries(host: Host) -> None:
    before, sequence = host.history, host.histories[host.live]["sequence"]
    host.restart()
    assert host.history == before
    assert host.histories[host.live]["sequence"] == sequence + 1


def test_a_rollback_withdraws_what_it_leaves(host: Host) -> None:
    host.rollback()
    assert (host.served(), host.withdrawn(), host.previous) == (["r2", "r3", "r1"], {"r3"}, "r1")
    assert (host.history[0]["version"], host.history[0]["run"]) == ("v2", "run-4")
    host.rollback()
    assert (host.served(), host.withdrawn(), host.previous) == (["r1", "r2", "r3"], {"r2", "r3"}, "")


def test_a_rollback_to_a_release_by_name_withdraws_only_what_it_leaves(host: Host) -> None:
    host.rollback("r1")
    assert (host.served(), host.withdrawn()) == (["r1", "r3", "r2"], {"r3"})


def test_going_back_to_a_withdrawn_release_withdraws_nothing(host: Host) -> None:
    host.rollback()
    host.rollback("r3")
    assert "r2" not in host.withdrawn()
    assert (host.served(), host.previous) == (["r3", "r2", "r1"], "r2")


@pytest.mark.parametrize("operation", ["deploy", "rollback"])
def test_what_is_live_again_is_not_withdrawn_any_more(host: Host, operation: str) -> None:
    """Or else the status calls the live release rolled back, and the next rollback passes over it."""
    host.rollback()
    host.run(operation, "r3")
    assert host.withdrawn() == set()
    host.deploy("r4")
    assert host.previous == "r3"


def test_a_deploy_after_a_rollback_leaves_the_withdrawn_one_withdrawn(host: Host) -> None:
    host.rollback()
    host.deploy("r4")
    assert (host.served(), host.withdrawn(), host.previous) == (["r4", "r2", "r3", "r1"], {"r3"}, "r2")


def test_pruned_releases_are_forgotten(host: Host) -> None:
    host.releases.remove("r2")
    assert host.previous == "r1"
    host.deploy("r4")
    assert host.served() == ["r4", "r3", "r1"]


def test_a_host_without_a_history_goes_back_to_what_it_served_all_the_same(host: Host) -> None:
    """It was deployed by a role that wrote none."""
    host.histories = {name: {"sequence": 0, "releases": []} for name in PORTS}
    assert host.previous == ""
    host.deploy("r4")
    assert (host.served(), host.previous) == (["r4", "r3"], "r3")
    assert (host.history[1]["at"], host.history[1]["by"], host.history[1]["run"]) == ("", "", "")


def test_a_restart_without_a_history_begins_one(host: Host) -> None:
    host.histories = {name: {"sequence": 0, "releases": []} for name in PORTS}
    host.restart()
    assert set(host.history[0]) == {"release", "at", "by", "version", "commit", "run", "withdrawn"}
    assert (host.served(), host.histories[host.live]["sequence"]) == (["r3"], 1)


def test_a_run_that_switched_nothing_leaves_no_trace(host: Host) -> None:
    before = host.history
    for end in ("refused", "undone"):
        host.deploy("r4", end=end)
        assert (host.release, host.history) == ("r3", before)


def test_a_switch_that_is_gone_through_again_is_in_the_history_once(host: Host) -> None:
    host.deploy("r4", end="killed")
    before = host.histories[host.live]
    host.deploy("r4")
    assert host.histories[host.live] == before
    assert host.served() == ["r4", "r3", "r2", "r1"]


RELEASES = [f"r{number}" for number in range(4)]
steps = st.tuples(
    st.sampled_from(["deploy", "deploy", "restart", "rollback", "rollback by name", "prune"]),
    st.sampled_from(RELEASES),
    st.sampled_from(["retired", "retired", "refused", "killed", "undone"]),
)


@given(st.lists(steps, max_size=12))
def test_whatever_is_done_a_rollback_never_goes_to_what_is_live_or_was_given_up(run: list[tuple[str, str, str]]) -> None:
    host = Host()
    host.deploy("r0")
    given_up: dict[str, set[str]] = {"blue": set(), "green": set()}  # as long as this slot is live
    for operation, release, end in run:
        before, left, sequence = host.live, host.release, host.histories[host.live]["sequence"]
        if operation == "prune":
            host.releases = [name for name in host.releases if name != release or name in (host.release, host.previous)]
            continue
        target = {"deploy": release, "restart": left, "rollback": host.previous, "rollback by name": release}[operation]
        if not target or (operation != "deploy" and target not in host.releases):
            continue
        host.run(operation.split()[0], target, end)
        if host.live != before and host.histories[host.live]["sequence"] > sequence:
            given_up[host.live] = given_up[before] - {target}
            if operation.startswith("rollback") and target not in given_up[before]:
                given_up[host.live] |= {left}
        assert host.release == target or end in ("refused", "undone")
        assert host.served()[0] == host.release
        assert len(set(host.served())) == len(host.served())
        assert host.previous not in {host.release, *given_up[host.live]}
        assert host.previous in {"", *host.releases}
        assert end != "retired" or host.histories[host.live]["sequence"] == sequence + (host.live != before)


def test_a_history_is_read_as_it_was_written(tmp_path: Path, host: Host) -> None:
    (tmp_path / "blue.history.json").write_text(json.dumps(host.histories["blue"]))
    assert history.read(tmp_path / "blue.history.json") == host.histories["blue"]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "7",
        "null",
        '{"sequence": 3}',
        '{"sequence": null, "releases": []}',
        '{"sequence": 1e999, "releases": []}',
        "[" * 9000,
    ],
)
def test_a_history_that_cannot_be_read_is_empty(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "blue.history.json"
    if text is not None:
        path.write_text(text)
    assert history.read(path) == {"sequence": 0, "releases": []}


def test_entries_that_do_not_say_so_are_not_withdrawn() -> None:
    assert history.previous(cast(History, {"releases": [{"release": "r2"}, {"release": "r1"}]}), "r2", ["r1", "r2"]) == "r1"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["release", "at"]), inner, max_size=2),
)
said = st.dictionaries(st.sampled_from([*history.never_live("")]), anything | st.just("r1")) | anything


@given(sequence=st.just(3) | anything, releases=st.lists(said, min_size=1, max_size=4) | anything)
def test_whatever_a_history_says_can_be_worked_with(tmp_path_factory: pytest.TempPathFactory, sequence: Any, releases: Any) -> None:
    path = tmp_path_factory.mktemp("h") / "blue.history.json"
    path.write_text(json.dumps({"sequence": sequence, "releases": releases}))
    found = history.read(path)
    assert isinstance(found["sequence"], int)
    for entry in found["releases"]:
        assert {key: type(value) for key, value in entry.items()} == {key: type(value) for key, value in history.never_live("").items()}
        assert all(str(value).isprintable() for value in entry.values())
    assert isinstance(history.previous(found, "", ["r1"]), str)


whole = json.dumps({"sequence": 3, "releases": [history.never_live("r1")]}).encode()


@given(content=st.binary(max_size=60), at=st.integers(0, len(whole)), gone=st.integers(0, 9))
def test_whatever_bytes_a_history_has_it_is_read(tmp_path_factory: pytest.TempPathFactory, content: bytes, at: int, gone: int) -> None:
    path = tmp_path_factory.mktemp("h") / "blue.history.json"
    for found in (content, whole[:at] + content + whole[at + gone :]):
        path.write_bytes(found)
        assert history.read(path).keys() == {"sequence", "releases"}


def test_a_release_of_which_little_is_said_counts(tmp_path: Path) -> None:
    """What is missing, or is something else, says nothing."""
    releases = [{"release": "r2", "at": 7, "withdrawn": "yes", "more": 1}, {"at": "x"}, "r3", {"release": "r1", "withdrawn": True}]
    (tmp_path / "blue.history.json").write_text(json.dumps({"sequence": 1, "releases": releases}))
    expected = [history.never_live("r2"), {**history.never_live("r1"), "withdrawn": True}]
    assert history.read(tmp_path / "blue.history.json")["releases"] == expected
