"""Certificates of ACME servers, by certbot: what files/acme.py of both roles has in common."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.root_file import PUBLIC, install, text
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown

TIMEOUT = 180.0  # seconds for one app
# What certbot says whatever has happened.
ALWAYS = re.compile(
    r"Saving debug log|Requesting a certificate|Account registered|Ask for help|See the logfile|Renewing an existing|^- - -"
)


class FailedError(Exception):
    """No certificate was issued, or is served; the message says why."""


def certbot(settings: dict[str, Any], *arguments: str) -> None:
    """Run certbot in directories of its own, so that it meets no other one of the host; raises FailedError."""
    where = [f"--{kind}-dir={settings['certbot']}{path}" for kind, path in (("config", ""), ("work", "/work"), ("logs", "/logs"))]
    command = [settings["command"], *arguments, *where, "--max-log-backups=10", "--non-interactive"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except OSError as problem:
        raise FailedError(f"{settings['command']} cannot be run: {problem.strerror}") from None
    except subprocess.TimeoutExpired:
        raise FailedError(f"certbot was not ready within {TIMEOUT:.0f} s") from None
    if done.returncode:
        lines = (line.strip() for line in done.stdout.splitlines() if not ALWAYS.search(line))
        raise FailedError(shown(" ".join(filter(None, lines)), 600) or f"certbot ended with {done.returncode}")


def issue(name: str, app: dict[str, Any], settings: dict[str, Any]) -> str:
    """Have a certificate for the names of an app, unless it has one that lasts; why that did not come, empty when all is well."""
    lineage = text(Path(settings["certbot"]) / f"renewal/{name}.conf")
    moved = lineage is not None and f"\nserver = {app['directory']}\n" not in lineage
    try:
        certbot(
            settings,
            *("certonly", *settings["challenge"], f"--cert-name={name}", "--key-type=ecdsa"),
            *(f"--domain={domain}" for domain in app["names"]),
            *(f"--server={app['directory']}", f"--email={app['email']}", "--agree-tos", "--renew-with-new-domains"),
            "--force-renewal" if moved else "--keep-until-expiring",
        )
    except FailedError as problem:
        return str(problem)
    return ""


def forget(settings: dict[str, Any]) -> None:
    """Remove what certbot has for apps that are not there any more."""
    for path in sorted(Path(settings["certbot"]).glob("renewal/*.conf")):
        if path.stem not in settings["apps"]:
            certbot(settings, "delete", f"--cert-name={path.stem}")


def issued(name: str, settings: dict[str, Any]) -> str:
    """The certificates and the key that certbot has for an app; empty when it has none."""
    live = Path(settings["certbot"]) / "live" / name
    chain, key = (text(live / f"{part}.pem") or "" for part in ("fullchain", "privkey"))
    return f"{chain.rstrip()}\n{key}" if chain and key else ""


def note(failures: dict[str, str], settings: dict[str, Any]) -> None:
    """Write down what became of each app."""
    now = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    found = {name: {"at": now, "error": failures.get(name, "")} for name in settings["apps"]}
    install(Path(settings["record"]), json.dumps(found, indent=4) + "\n", PUBLIC)


def renew(serve: Callable[[dict[str, Any]], dict[str, str]]) -> int:
    """Do what the settings say whose path is the first argument, and have the certificates served; the exit code of the process.

    ``serve`` puts what there is where it belongs. It returns app -> what is wrong with that.
    """
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    failures = {name: problem for name, app in settings["apps"].items() if (problem := issue(name, app, settings))}
    failures = {**serve(settings), **failures}
    try:
        if not failures:  # what is not served yet may be held by what an app had before
            forget(settings)
    except FailedError as problem:
        failures = dict.fromkeys(settings["apps"], str(problem))
    note(failures, settings)
    for name, reason in failures.items():
        print(f"{name}: {reason}", file=sys.stderr)
    return 1 if failures else 0
