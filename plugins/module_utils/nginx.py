"""nginx's configuration tree: what is in it, and what the running nginx has loaded of it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

NGINX = "/usr/sbin/nginx"
OWN_FILES = "tornado_app"  # in nginx's tree: certificates, each with its key, and users
PID_FILE = Path("/run/nginx.pid")
# The digest of what nginx last loaded.
STATE_FILE = "/var/lib/tornado_app/nginx.loaded"
CONFLICT = re.compile(r'conflicting server name "([^"]*)" on (\S+), ignored')
FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)  # what nginx -T puts before each
COMMENT = re.compile(r"(?<![^\s;{}])#.*")
SERVER_NAME = re.compile(r"(?<![\w$])server_name\s+([^;]+);")
LISTEN = re.compile(r"(?<![\w$])listen\s+([^\s;]+)")


class RefusedError(Exception):
    """nginx refuses the configuration; the message is its own."""


def loaded_digest(root: Path) -> str:
    """Digest of the configuration on disk with all that it includes, in whatever encoding, and of the certificates; raises RefusedError."""
    done = subprocess.run([NGINX, "-T", "-q", "-c", str(root / "nginx.conf")], capture_output=True, check=False)
    if done.returncode:
        raise RefusedError(done.stderr.decode("utf-8", "replace").strip())
    certificates = (path.read_bytes() for path in sorted((root / OWN_FILES).glob("*.pem")))
    return hashlib.sha256(b"".join((done.stdout, *certificates))).hexdigest()


def master() -> int:
    """Process id of the running nginx; 0 when none runs."""
    try:
        pid = int(PID_FILE.read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return 0
    return pid


def meanings(names: Iterable[str]) -> set[str]:
    """Server names as nginx compares them: .x is both x and *.x."""
    plain = (name.strip("\"'").lower() for name in names)
    return {meant for name in plain for meant in ((name[1:], f"*{name}") if name.startswith(".") else (name,))}


def server_names(text: str) -> set[str]:
    """All server names of a file."""
    return meanings(name for names in SERVER_NAME.findall(COMMENT.sub("", text)) for name in names.split())


def addresses(text: str) -> set[str]:
    """Where the servers of a file listen, as nginx's warnings say it."""
    found = (address.replace("*:", "0.0.0.0:") for address in LISTEN.findall(COMMENT.sub("", text)))
    return {f"0.0.0.0:{address}" if address.isdigit() else address for address in found}


def parts(dump: str) -> dict[str, str]:
    """Path -> what the file says, of all that nginx has dumped, in its order."""
    found = FILE.split(dump)[1:]
    return dict(zip(found[::2], found[1::2]))


def shared_names(dump: str, complaints: str, sites: Mapping[str, str]) -> list[str]:
    """Which names of the apps somebody else's site has too, out of what nginx says of the whole; ``sites`` is path -> app."""
    texts = parts(dump)
    found: dict[tuple[str, str], list[str]] = {}
    for path, app in sites.items():
        listening = addresses(texts.get(path, ""))
        disputed = meanings(name for name, address in CONFLICT.findall(complaints) if address in listening)
        for name in sorted(server_names(texts.get(path, "")) & disputed):
            others = {other: text for other, text in texts.items() if other not in sites and name in server_names(text)}
            near = [other for other, text in others.items() if addresses(text) & listening]
            found.setdefault((app, " and ".join(near or others) or "another file"), []).append(name)
    return [
        f"tornado_apps.{app}.server_names: {', '.join(names)} on this host is also in {where}, and nginx takes the first site of a name "
        "alone; remove it there, or give the app other names"
        for (app, where), names in found.items()
    ]
