"""What is missing after a run, and what it has made live: pure functions of the results of the hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App, Apps
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import AppState, HostState, JobsState, State, TlsState
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.model import Change, Plan
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.status import live_workers
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.status_text import table, unbelievable

DAYS_MIN = 14  # of a certificate, or a sixth of its life; certbot renews a third before its end, or a month
LEADERLESS_MAX = 60  # seconds that the lease of singletons may take to find a host
TRIES_MAX = 3  # a singleton may have ended soon, until it counts as broken
# Where a certificate comes from -> what brings a new one.
WAYS_OUT = {
    "files": "give tls.certificate and tls.key a new one, and run --tags provision",
    "self_signed": "run --tags provision, which makes a new one",
    "acme": "port 80 of each of its names has to lead here; `systemctl start tornado_app-acme` tries again",
}


def shortfalls(plan: Plan, state: State, health: Mapping[str, Any], nginx: Mapping[str, Any], redis: Mapping[str, Any]) -> list[str]:
    """What of the plan a host does not deliver. ``health`` is the result of wait_for_health, ``nginx`` that of probe_nginx,
    ``redis`` that of redis_ping, which is skipped where no app has it."""
    found = [*_nginx_shortfalls(plan["apps"], state["host"])]
    for name, app in plan["apps"].items():
        found += _app_shortfalls(app, state["apps"][name], bool(state["host"]["drained"]))
    for result, what in ((health, "apps"), (nginx, "answers"), (redis, "answers")):
        if what not in result and not result.get("skipped"):  # the module broke
            found.append(f"cannot be verified: {result.get('module_stderr') or result.get('msg')}")
    for app_health in health.get("apps", []):
        found += [f"{process['name']}: {process['error']}" for process in app_health["processes"] if not process["healthy"]]
    found += [answer["error"] for result in (nginx, redis) for answer in result.get("answers", []) if answer["error"]]
    return [f"{plan['host']['name']}: {finding}" for finding in found]


def _nginx_shortfalls(apps: Apps, system: HostState) -> Iterator[str]:
    nofile = max((app["nofile"] for app in apps.values()), default=0)
    if not system["nginx"]:
        yield "nginx has no worker running"
    for worker in system["nginx"]:
        if worker["nofile"] < nofile:
            yield f"nginx worker {worker['pid']} may open {worker['nofile']} files instead of {nofile}"
        if worker["uid"] == 0:
            yield f"nginx worker {worker['pid']} runs as root"


def _job_shortfalls(name: str, found: JobsState, drained: bool) -> Iterator[str]:
    if found["problem"]:
        yield f"{name}'s singletons and cron do not run from here: {found['problem']}; look at REDIS_URL and its server"
    elif found["leaderless"] > LEADERLESS_MAX and not drained:
        yield f"{name}'s singletons and cron run on no host, for {found['leaderless']} s; see the log of its process singletons.1"
    for job, state in found["jobs"].items():
        if state["tries"] >= TRIES_MAX:
            yield f"{name}'s {job} ends again and again, last with {state['code']} at {state['ended']}; see the log of singletons.1"


def _app_shortfalls(app: App, state: AppState, drained: bool) -> Iterator[str]:
    slot = state["slots"][state["live"]]
    running = [process for process in slot["processes"] if process["state"] == "RUNNING"]
    if not slot["deployed"]:
        yield f"{app['name']} has no release yet; run --tags deploy"
    elif len(running) < (count := len(app["slots"][state["live"]]["ports"])):  # a rollback may have brought back a slot that has more
        yield f"{app['slots'][state['live']]['group']} has {len(running)} of {count} processes running"
    for kind, count in live_workers(app, state).items():
        up = [worker for worker in slot["workers"] if worker["state"] == "RUNNING" and f":{kind}." in worker["name"]]
        if slot["deployed"] and len(up) < count:
            yield f"{app['slots'][state['live']]['group']} has {len(up)} of {count} processes {kind} running"
    if state["untrusted"]:
        yield f"{unbelievable(app['name'], state['untrusted'])}; see systemctl status {app['unit']}"
    elif not state["supervisord"]:
        yield f"{app['name']}'s supervisord does not answer; see systemctl status {app['unit']}"
    if state["tls"]:
        yield from _certificate_shortfalls(app["name"], state["tls"])
    if state["jobs"]:
        yield from _job_shortfalls(app["name"], state["jobs"], drained)
    if not state["supervisord"]:
        return
    workers = [worker for worker in slot["workers"] if worker["state"] == "RUNNING"]
    processes: list[Mapping[str, Any]] = [{"name": f"{app['name']}'s supervisord", **state["supervisord"]}, *running, *workers]
    for process in processes:
        if process["nofile"] < app["nofile"]:
            yield f"{process['name']} (pid {process['pid']}) may open {process['nofile']} files instead of {app['nofile']}"
        if process["uid"] == 0:
            yield f"{process['name']} (pid {process['pid']}) runs as root"


def _certificate_shortfalls(name: str, tls: TlsState) -> Iterator[str]:
    way_out, reason = WAYS_OUT[tls["source"]], f": {tls['renewal']}" if tls["renewal"] else ""
    if not tls["expires"]:
        yield f"{name} has no certificate{reason}; {way_out if reason else 'run --tags provision'}"
    elif tls["days_left"] < 0:
        yield f"{name}'s certificate has expired at {tls['expires']}{reason}; {way_out}"
    elif tls["source"] == "acme" and ends_soon(tls):
        yield f"{name}'s certificate ends in {tls['days_left']} days, and is not renewed{reason}; {way_out}"


def ends_soon(tls: TlsState) -> bool:
    """Whether so little is left of a certificate that somebody has to do something."""
    return tls["days_left"] < min(DAYS_MIN, tls["days"] // 6)


def balancer_shortfalls(found: Mapping[str, Any]) -> Iterator[str]:
    """What a balancer does not deliver; ``found`` is the result of haproxy_info."""
    if not found["running"]:
        yield "HAProxy does not run; see journalctl -u haproxy"
    for app, servers in found["servers"].items() if found["running"] else []:
        if not servers:
            yield f"HAProxy does not know {app}; run --tags provision, or playbooks/balance.yml"
        elif not any(servers.values()):
            yield f"{app} has no host that is ready, of {', '.join(servers)}; see http://127.0.0.1:8404/ there"
    for app, tls in found["certificates"].items():
        yield from _certificate_shortfalls(app, tls)


def certificate_notes(found: Mapping[str, TlsState | None]) -> list[str]:
    """How long certificates last, and what else of them is worth a word; app -> its certificate. What is a shortfall is left out."""
    notes = []
    for name, tls in found.items():
        if not tls or tls["days_left"] < 0 or (tls["source"] == "acme" and ends_soon(tls)):
            continue
        if tls["source"] == "files" and ends_soon(tls):
            notes.append(f"{name}'s certificate ends in {tls['days_left']} days; {WAYS_OUT['files']}")
        elif tls["renewal"]:
            notes.append(f"{name}'s certificate, which has {tls['days_left']} days left, was not renewed: {tls['renewal']}")
        else:
            notes.append(f"{name}'s certificate has {tls['days_left']} days left")
    return notes


def summary(
    changes: Mapping[str, list[Change]],
    gates: Mapping[str, Any],
    switches: Mapping[str, Any],
    drains: Mapping[str, Any],
) -> str:
    """What a run made live: a row a host and app, and for each app the time between the first and the last host's switch.

    Each argument is host -> what it has of it: its changes, and the results of wait_for_health, switch_slot and wait_for_drain.
    """
    rows: list[tuple[str, ...]] = []
    moments: dict[str, list[float]] = {}
    for host, own in changes.items():
        gate = {entry["app"]: entry for entry in gates.get(host, {}).get("apps", [])}
        switched = switches.get(host, {}).get("switched", {})
        drained = {entry["app"]: entry for entry in drains.get(host, {}).get("apps", [])}
        for change in own:
            name = change["app"]
            moment = switched.get(name)
            if moment:
                moments.setdefault(name, []).append(moment)
            slot = change["slot"]
            rows.append(
                (
                    host,
                    name,
                    f"{change['before'] or 'nothing'} -> {change['release']['release']}",
                    str(len(slot["ports"]) if slot["listen"] != "fork" else slot["processes"]),
                    f"{gate.get(name, {}).get('elapsed', 0):.1f} s",
                    f"{datetime.fromtimestamp(moment, UTC):%H:%M:%S.%f}"[:-3] if moment else "before",
                    _drain(drained.get(name)),
                )
            )
    if not rows:
        return "Nothing had to be changed: what is live is what is wanted."
    text = table([("host", "app", "release", "processes", "gate", "switched (UTC)", "drain"), *rows])
    windows = [f"{name}: {max(times) - min(times):.2f} s between the first and the last switch" for name, times in moments.items()]
    return "\n".join([text, *windows])


def _drain(drain: Mapping[str, Any] | None) -> str:
    if drain is None:
        return "-"
    if drain["signal"]:
        return f"by SIG{drain['signal']}"
    left = sum(drain["connections"].values())
    return f"{drain['elapsed']:.1f} s" + (f", {left} connections left" if left else "")
