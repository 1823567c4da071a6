"""The status of a fleet, for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.tornado_app.deploy.plugins.module_utils.watchdog import AT_WORK
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.status import HostStatus, ReleaseStatus


def duration(seconds: int) -> str:
    """Seconds for a person: 42s, 7m, 3h, 12d."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text; the first is the heading."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def status_text(found: Mapping[str, HostStatus]) -> str:
    """The same for a person: a table of hosts, one of releases, and what is going on."""
    parts = [table([("host", "app", "live", "release", "processes", "nofile", "uptime", "other slot"), *_host_rows(found)])]
    releases = _release_rows(found)
    if releases:
        parts.append(table([("app", "release", "version", "went live", "by", "hosts", ""), *releases]))
    certificates = _certificate_rows(found)
    if certificates:
        parts.append(table([("host", "app", "certificate", "expires", "days left"), *certificates]))
    jobs = _job_rows(found)
    if jobs:
        parts.append(table([("app", "singleton or cron", "runs on", "last started", "last end", "next"), *jobs]))
    extras = (
        *(_drained_lines, _maintenance_lines, _behind_lines, _untrusted_lines),
        *(_job_lines, _outdated_lines, _watchdog_lines, _renewal_lines, _rollback_lines, _lock_lines),
    )
    parts += ["\n".join(lines) for lines in (extra(found) for extra in extras) if lines]
    return "\n\n".join(parts)


def _host_rows(found: Mapping[str, HostStatus]) -> list[tuple[str, ...]]:
    rows = []
    for host, state in found.items():
        if not state["answered"]:
            rows.append((host, "(no answer)", *["-"] * 6))
        for name, app in state["apps"].items():
            idle, up = app["idle"], bool(app["processes"] or app["workers"])
            other = "-"
            if idle["state"] != "empty":
                other = (
                    f"{idle['slot']} {idle['release']} {idle['state']}, {idle['processes']} processes, {idle['connections']} connections"
                )
            rows.append(
                (
                    host,
                    name,
                    app["live"] or "-",
                    app["release"] or "-",
                    f"{app['processes']}/{app['processes_wanted']}"
                    + (f" + {app['workers']}/{app['workers_wanted']}" if app["workers_wanted"] else ""),
                    str(app["nofile"]) if up else "-",
                    duration(app["uptime"]) if up else "-",
                    other,
                )
            )
    return rows


def _release_rows(found: Mapping[str, HostStatus]) -> list[tuple[str, ...]]:
    """One row a release of the fleet, as the host knows it that knows most."""
    hosts: dict[tuple[str, str], list[str]] = {}
    live: dict[tuple[str, str], int] = {}
    known_best: dict[tuple[str, str], ReleaseStatus] = {}
    for host, state in found.items():
        for name, app in state["apps"].items():
            for entry in app["releases"]:
                key = (name, entry["release"])
                hosts.setdefault(key, []).append(host)
                live[key] = live.get(key, 0) + entry["live"]
                if key not in known_best or entry["at"] > known_best[key]["at"]:
                    known_best[key] = entry
    rows = []
    for (name, release), entry in known_best.items():
        key = (name, release)
        note = "rolled back" if entry["rolled_back"] else "" if entry["at"] or entry["live"] else "never live"
        there = f"live on {live[key]}, kept on {len(hosts[key])}"
        rows.append((name, release, entry["version"] or "-", entry["at"] or "-", entry["by"] or "-", there, note))
    return sorted(rows, key=lambda row: row[0])


def _certificate_rows(found: Mapping[str, HostStatus]) -> list[tuple[str, ...]]:
    return [
        (host, name, tls["source"], *((tls["expires"], str(tls["days_left"])) if tls["expires"] else ("(none)", "-")))
        for host, state in found.items()
        for name, app in state["apps"].items()
        if (tls := app["tls"])
    ]


def _job_rows(found: Mapping[str, HostStatus]) -> list[tuple[str, ...]]:
    """One row a job, as the host says it that runs them."""
    rows: list[tuple[str, ...]] = []
    for state in found.values():
        for name, app in state["apps"].items():
            for job, own in app["jobs"]["jobs"].items() if app["jobs"] and app["jobs"]["leads"] else []:
                end = f"{own['ended']}: {own['code']}" if own["code"] else "-"
                more = f" after {own['seconds']:.0f} s" if own["kind"] == "cron" and own["code"] else ""
                more += f", {own['restarts']} restarts" if own["restarts"] else f", {own['skipped']} left out" if own["skipped"] else ""
                rows.append((name, job, own["host"] or "-", own["at"] or "-", f"{end}{more}", own["next"] or "-"))
    return rows


def _job_lines(found: Mapping[str, HostStatus]) -> list[str]:
    """Who runs the singletons and cron of each app, or why nobody does."""
    lines: dict[str, None] = {}
    for host, state in found.items():
        for name, app in state["apps"].items():
            if (jobs := app["jobs"]) and jobs["problem"]:
                lines[f"{host} cannot run the singletons and cron of {name}: {jobs['problem']}"] = None
            elif jobs and jobs["leader"]:
                lines[f"{name}'s singletons and cron run as {jobs['leader']}"] = None
            elif jobs:
                lines[f"{host} knows of no host that runs the singletons and cron of {name}"] = None
    return list(lines)


def _drained_lines(found: Mapping[str, HostStatus]) -> list[str]:
    return [
        f"{host} is drained since {state['drained']}, and tells balancers to send it nothing; --tags undrain --limit {host} ends that"
        for host, state in found.items()
        if state["drained"]
    ]


def _behind_lines(found: Mapping[str, HostStatus]) -> list[str]:
    return [
        f"{host} is behind: it serves {app['release']} of {name}, the fleet's last release is {app['behind']}"
        for host, state in found.items()
        for name, app in state["apps"].items()
        if app["behind"]
    ]


def unbelievable(app: str, untrusted: Iterable[str]) -> str:
    """What of an app's supervisord cannot be believed, for a person."""
    return f"{app}'s supervisord answers what cannot be believed: {'; '.join(untrusted)}"


def _untrusted_lines(found: Mapping[str, HostStatus]) -> list[str]:
    return [
        f"{host}: {unbelievable(name, app['untrusted'])}"
        for host, state in found.items()
        for name, app in state["apps"].items()
        if app["untrusted"]
    ]


def outdated(host: str, app: str, since: str) -> str:
    """That an app's unit waits for its next start, and how to bring that without a failed request."""
    return (
        f"{app}: its unit has changed since its start at {since}; it takes effect at the next boot, or host by host: "
        f"take {host} out of your balancer or DNS, then --tags stop,start --limit {host}"
    )


def maintained(host: str, app: str, since: str) -> str:
    """That an app is in maintenance, and how that ends."""
    return f"{host}: {app} has been in maintenance since {since}; --tags live ends that"


def _maintenance_lines(found: Mapping[str, HostStatus]) -> list[str]:
    return [
        maintained(host, name, app["maintenance"])
        for host, state in found.items()
        for name, app in state["apps"].items()
        if app["maintenance"]
    ]


def _outdated_lines(found: Mapping[str, HostStatus]) -> list[str]:
    return [
        f"{host}: {outdated(host, name, app['outdated'])}"
        for host, state in found.items()
        for name, app in state["apps"].items()
        if app["outdated"]
    ]


def _watchdog_lines(found: Mapping[str, HostStatus]) -> list[str]:
    lines = []
    for host, state in found.items():
        for name, app in state["apps"].items():
            if (app["processes"] or app["workers"]) and app["watchdog"] not in AT_WORK:
                lines.append(
                    f"{host}: {name}'s watchdog does not run ({app['watchdog'] or 'unknown to supervisord'}); run --tags provision"
                )
            for process, done in app["restarts"].items():
                times = "once" if done["restarts"] == 1 else f"{done['restarts']} times"
                lines.append(f"{host}: the watchdog has started {process} again {times}, last at {done['at']}: {done['reason']}")
    return lines


def _renewal_lines(found: Mapping[str, HostStatus]) -> list[str]:
    return [
        f"{host}: {name}'s certificate was not {'renewed' if tls['expires'] else 'issued'}: {tls['renewal']}"
        for host, state in found.items()
        for name, app in state["apps"].items()
        if (tls := app["tls"]) and tls["renewal"]
    ]


def _rollback_lines(found: Mapping[str, HostStatus]) -> list[str]:
    goals = dict.fromkeys((name, app["rollback"]) for state in found.values() for name, app in state["apps"].items() if app["rollback"])
    return [f"A rollback of {name} goes to {release}" for name, release in goals]


def _lock_lines(found: Mapping[str, HostStatus]) -> list[str]:
    return [
        f"{host} is locked by {lock.get('user')} on {lock.get('controller')} (process {lock.get('pid')}), "
        f"running {lock.get('operation')} since {lock.get('since')}"
        for host, state in found.items()
        if (lock := state["lock"])
    ]
