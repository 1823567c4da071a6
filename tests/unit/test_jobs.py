"""Singletons and cron around singletons.py: their settings, what a slot gets of them, what is refused, and what is told."""

from __future__ import annotations

import getpass
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils import jobs as reader
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import changes, files, job_settings, report, status, status_text, work
from tests.unit.builders import HOST, SHOP, A, app_state, blue, host_state, planned, release, worker
from tests.unit.conftest import PATIENCE, Supervisor, render, role_variables, wait_until
from tests.unit.test_actions import FLEET, act, check_refusal
from tests.unit.test_settings import problem, problems

CRON = {"digest": {"schedule": "0 7 * * MON-FRI", "command": "{python} digest.py --day 'to day'"}}
JOBS = {**SHOP, "processes": 2, "singletons": {"beat": "{python} -m celery beat"}, "cron": CRON}
PLAN = planned({"shop": JOBS})
RUNNER = files.Runner("web-1", ["/opt/python", "-I", "/opt/singletons.py"])


# Settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"singletons": {"a b": "x"}}, "tornado_apps.shop.singletons: 'a b' is not a valid name: it has letters, digits, - and _"),
        ({"singletons": {1: "x"}}, "tornado_apps.shop.singletons: 1 is not text: write it in quotes"),
        ({"singletons": {"beat": ""}}, "tornado_apps.shop.singletons.beat is '': a command is needed"),
        ({"singletons": {"beat": 7}}, "tornado_apps.shop.singletons.beat is 7: a command is needed"),
        ({"singletons": {"beat": "x '"}}, 'tornado_apps.shop.singletons.beat "x \'" cannot be read: No closing quotation'),
        ({"singletons": {"beat": "x {port}"}}, "tornado_apps.shop.singletons.beat: {port} is not known; known is {python}"),
        ({"cron": {"tick": "x"}}, "tornado_apps.shop.cron.tick is not a dictionary of schedule and command"),
        ({"cron": {"tick": {"schedule": "* * * * *"}}}, "tornado_apps.shop.cron.tick is not a dictionary of schedule and command"),
        ({"cron": {"tick": {"schedule": "* * * * *", "command": "{"}}}, "tornado_apps.shop.cron.tick.command '{' cannot be read"),
        (
            {"cron": {"tick": {"schedule": "61 * * * *", "command": "x"}}},
            "tornado_apps.shop.cron.tick.schedule '61 * * * *' cannot be",
        ),
        ({"cron": {"tick": {"schedule": "@daily", "command": "x"}}}, "tornado_apps.shop.cron.tick.schedule is '@daily': five fields are"),
        ({"cron": {"tick": {"schedule": "* * * * * *", "command": "x"}}}, "tornado_apps.shop.cron.tick.schedule is '* * * * * *': five"),
        (
            {"cron": {"tick": {"schedule": "0 0 31 2 *", "command": "x"}}},
            "tornado_apps.shop.cron.tick.schedule '0 0 31 2 *' cannot be",
        ),
        ({"cron": CRON, "singletons": {"digest": "x"}}, "tornado_apps.shop has digest in both singletons and cron"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(settings: dict[str, Any], said: str) -> None:
    assert problem(**settings).startswith(said)


def test_a_controller_without_cronsim_counts_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slot reads the schedule itself, before the gate."""
    monkeypatch.setattr(job_settings, "CronSim", None)
    assert problems({"shop": {**SHOP, "cron": {"tick": {"schedule": "61 * * * *", "command": "x"}}}}) == []
    assert len(problems({"shop": {**SHOP, "cron": {"tick": {"schedule": "* * *", "command": "x"}}}})) == 1


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert len(problems({"shop": {**SHOP, "singletons": {"a": ""}, "cron": {"b": {"schedule": "x", "command": ""}}}})) == 3


# A slot


def test_a_slot_has_one_process_for_all_of_them() -> None:
    assert changes.workers(PLAN["shop"], {"commands": {}}) == {"singletons": 1}
    assert changes.workers(planned({"shop": SHOP})["shop"], {"commands": {"worker": "x"}}) == {"worker": 1}
    slot = changes.planned_slot(PLAN["shop"], "green", release(A))
    record = files.record(PLAN["shop"], slot, release(A), RUNNER)
    assert record["commands"]["singletons"] == [*RUNNER.argv, "/etc/shop/slots/green.json"]
    assert (record["jobs"]["host"], record["jobs"]["slot"], record["jobs"]["lease"]) == ("web-1", "green", 15)
    assert record["jobs"]["singletons"] == {"beat": ["{python}", "-m", "celery", "beat"]}
    assert record["jobs"]["cron"]["digest"]["argv"] == ["{python}", "digest.py", "--day", "to day"]


def test_a_slot_of_an_app_without_them_is_as_ever() -> None:
    app = planned({"shop": SHOP})["shop"]
    record = files.record(app, changes.planned_slot(app, "blue", release(A)), release(A), RUNNER)
    assert not {"jobs", "singletons"} & {*record, *record["commands"]}


def test_it_has_time_to_end_them() -> None:
    slot = changes.planned_slot(PLAN["shop"], "blue", release(A, commands={"worker": "x"}))
    config = render("slot.conf.j2", {"app": PLAN["shop"], "slot": slot, "__tornado_app_launcher": "launch.py"})
    seconds = [line.partition(" = ")[2] for line in config.splitlines() if line.startswith("stopwaitsecs")]
    assert seconds == ["10", "10", "15"]


def test_it_passes_the_gate_and_runs_them(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """As supervisord and the launcher start it, for a slot that is live."""
    monkeypatch.setitem(supervisor.app, "singletons", {"beat": f"touch {supervisor.root}/ran"})
    slot = supervisor.write_slot("jobs", [])
    record = json.loads(Path(slot["record"]).read_text())
    script = Path(__file__).parents[2] / "roles/tornado_app/files/singletons.py"
    record["commands"]["singletons"] = [sys.executable, "-I", str(script), slot["record"]]
    record["jobs"] |= {"lease": 0.4, "flag": f"{supervisor.root}/no-flag", "slot": "blue", "drained": f"{supervisor.root}/no-flag"}
    Path(slot["record"]).write_text(json.dumps(record))
    assert supervisor.group(slot, "started")["changed"]
    assert supervisor.health(slot, timeout=PATIENCE, steady=0.5)["healthy"]
    wait_until((supervisor.root / "ran").exists, "the singleton")
    assert Path(supervisor.app["jobs"]).exists()
    assert supervisor.group(slot, "absent")["changed"]


# What is refused for a fleet


class Reached(dict[str, Any]):
    """The variables of the hosts that a run reaches; the inventory has one more, with these apps."""

    second: Mapping[str, Any]

    def raw_get(self, name: str) -> dict[str, Any]:
        return {"inventory_hostname": name, "tornado_apps": {"shop": JOBS} if name in self else self.second}


@pytest.mark.parametrize(("second", "refused"), [({"shop": JOBS}, True), ({"shop": {"state": "absent"}}, False), ({}, False)])
def test_hosts_that_a_run_leaves_out_count(monkeypatch: pytest.MonkeyPatch, second: dict[str, Any], refused: bool) -> None:
    monkeypatch.setitem(role_variables(), "groups", {"tornado": ["web-1", "web-2"]})
    state = {"host": host_state(), "apps": {"shop": app_state()}, "differences": []}
    hosts = Reached({"web-1": {"the_plan": {"apps": PLAN, "absent": {}, "host": HOST}, "the_state": state}})
    hosts.second = second
    if refused:
        assert check_refusal(hosts)[0].startswith("tornado_apps.shop has singletons or cron and 2 hosts (web-1, web-2)")
    else:
        assert act("check", hosts, **FLEET, operations=["deploy"], group="tornado")["missing"] == []


@pytest.mark.parametrize(
    ("settings", "refused"),
    [({}, True), ({"secrets": {"REDIS_URL": "x"}}, False), ({"environment": {"REDIS_URL": "x"}}, False)],
)
def test_several_hosts_need_redis(settings: dict[str, Any], refused: bool) -> None:
    plans = {"web-1": planned({"shop": {**JOBS, **settings}})}
    found = work.lease_problems(plans, {"shop": ["web-1", "web-2"]})
    assert bool(found) == refused
    assert work.lease_problems(plans, {"shop": ["web-1"]}) == []
    if refused:
        assert found[0].startswith(
            "tornado_apps.shop has singletons or cron and 2 hosts (web-1, web-2), which agree by Redis who runs them"
        )


def test_a_line_of_the_procfile_cannot_have_its_name() -> None:
    (found,) = work.idle_problems(PLAN, {"shop": {"singletons": "x"}}, "web-1")
    assert found.startswith("tornado_apps.shop has singletons or cron, and its Procfile a line singletons")
    assert work.idle_problems(planned({"shop": SHOP}), {"shop": {"singletons": "x"}}, "web-1") == []


def test_workers_alone_may_be_singletons_alone() -> None:
    apps = planned({"shop": {**JOBS, "processes": 0}})
    assert work.idle_problems(apps, {"shop": {}}, "web-1") == []


# What the process says


def said(folder: Path, content: Any, pid: int = 4711) -> Any:
    """What is read of a file of the process, of which supervisord says this."""
    path = folder / "singletons.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    app: Any = {**PLAN["shop"], "jobs": str(path), "user": getpass.getuser()}
    return reader.state(app, [{**worker(), "name": "shop-blue:singletons.1", "pid": pid}])


def whole(**given: Any) -> dict[str, Any]:
    """What a process says that leads."""
    beat = {"host": "web-1", "since": "2026-01-02T03:04:05Z", "restarts": 2, "tries": 0, "code": 1, "ended": "2026-01-02T03:04:00Z"}
    digest = {"host": "web-2", "at": "2026-01-02T07:00:00Z", "ended": "2026-01-02T07:00:03Z", "code": 0, "seconds": 3.2, "skipped": 1}
    return {
        "pid": 4711,
        "leads": True,
        "leader": "web-1/blue",
        "problem": "",
        "leaderless": 0.0,
        "jobs": {"singleton:beat": beat, "cron:digest": digest},
        "next": {"cron:digest": "2026-01-05T07:00:00Z"},
        **given,
    }


def test_what_it_says_is_read(tmp_path: Path) -> None:
    found = said(tmp_path, whole())
    assert (found["leads"], found["leader"], found["leaderless"]) == (True, "web-1/blue", 0)
    assert found["jobs"]["beat"]["restarts"] == 2
    assert (found["jobs"]["digest"]["code"], found["jobs"]["digest"]["next"]) == ("0", "2026-01-05T07:00:00Z")
    assert said(tmp_path, whole(leaderless=time.time() - 100))["leaderless"] in range(99, 110)


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"pid": true}', '{"pid": 4712}', "[" * 100000, "x" * 1_000_001])
def test_what_no_such_process_has_written_is_not_read(tmp_path: Path, content: str) -> None:
    assert said(tmp_path, content) is None
    assert said(tmp_path, whole(), pid=0) is None


def test_what_is_not_of_its_kind_is_left_out(tmp_path: Path) -> None:
    """The file is the app's: whatever it says must not reach a terminal, or end a run."""
    strange = {"since": "\x1b[2J", "restarts": -1, "tries": True, "code": 10**12, "host": "a\nb", "release": 7}
    found = said(
        tmp_path, whole(leader="\x1b]0;x", problem=[], leaderless="x", next=[], jobs={"singleton:beat": strange, "cron:digest": 1})
    )
    assert found["leader"].isprintable()
    assert (found["problem"], found["leaderless"]) == ("", 0)
    beat = found["jobs"]["beat"]
    assert (beat["at"], beat["restarts"], beat["tries"], beat["code"], beat["release"]) == ("", 0, 0, "", "")
    assert beat["host"].isprintable()
    assert found["jobs"]["digest"]["at"] == ""


# What is told


def told(found: Any, drained: str = "") -> tuple[str, list[str]]:
    """The status, and what verification misses, of a host whose process says this."""
    running = {**worker(), "name": "shop-blue:singletons.1"}
    state: Any = {"host": host_state(drained=drained), "apps": {"shop": app_state(jobs=found)}, "differences": []}
    state["apps"]["shop"]["slots"]["blue"] = blue(workers=(running,))
    plan: Any = {"apps": PLAN, "absent": {}, "host": HOST}
    text = status_text.status_text(status.status(["web-1"], {"web-1": PLAN}, {"web-1": state}, {}))
    return text, report.shortfalls(plan, state, {"apps": []}, {"answers": []}, {"answers": []})


def test_the_status_shows_who_leads_and_how_all_have_ended(tmp_path: Path) -> None:
    text, missing = told(said(tmp_path, whole()))
    assert missing == []
    assert "shop's singletons and cron run as web-1/blue" in text
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "shop beat web-1 2026-01-02T03:04:05Z 2026-01-02T03:04:00Z: 1, 2 restarts -" in rows
    assert "shop digest web-2 2026-01-02T07:00:00Z 2026-01-02T07:00:03Z: 0 after 3 s, 1 left out 2026-01-05T07:00:00Z" in rows


def test_verification_names_what_keeps_them_from_running(tmp_path: Path) -> None:
    text, missing = told(said(tmp_path, whole(leads=False, leader="", problem="Connection refused")))
    assert missing == ["web-1: shop's singletons and cron do not run from here: Connection refused; look at REDIS_URL and its server"]
    assert "web-1 cannot run the singletons and cron of shop: Connection refused" in text
    alone = whole(leads=False, leader="", leaderless=time.time() - 100)
    assert told(said(tmp_path, alone))[1][0].startswith("web-1: shop's singletons and cron run on no host, for ")
    assert told(said(tmp_path, alone), drained="2026-01-02T03:04:05Z")[1] == []
    assert told(said(tmp_path, whole(leads=False, leader="", leaderless=time.time())))[1] == []


def test_verification_names_a_singleton_that_ends_again_and_again(tmp_path: Path) -> None:
    bad = {"tries": 3, "code": 1, "ended": "2026-01-02T03:04:00Z"}
    (missing,) = told(said(tmp_path, whole(jobs={"singleton:beat": bad})))[1]
    assert missing.startswith("web-1: shop's beat ends again and again, last with 1 at 2026-01-02T03:04:00Z")
