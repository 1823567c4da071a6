"""What a host is to have, thing by thing, and what of it is not as it should be.

A thing has a ``kind`` and a ``name``, by which tasks know it, and says by ``check`` how it is looked at: ``package``, ``user`` (``home``,
``shell``, ``comment``), ``directory`` and ``file`` (``path``, ``owner``, ``group``, ``mode`` as octal text; a file its ``sha256``),
``certificate`` (the same of a file with a certificate and its key: the ``sha256`` is of all before the key, or ``names`` are those for
which the host makes it itself), ``issued`` (``path``, such a file that somebody else has issued for ``names``), ``line`` (``path``, a file
with that ``line``), ``absent`` (``path``), ``private`` (``path``, a file that others cannot read), ``service`` (its ``unit``, enabled and
started), ``reload`` (a ``unit`` that systemd has to know as it is on disk), ``loaded`` (``path``, a configuration that the running nginx
has to have loaded).
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import stat
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypedDict

from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import (
    chain,
    issued_problem,
    pair_problem,
    self_signed_problem,
)
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx import NGINX, STATE_FILE, RefusedError, loaded_digest
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import Difference
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import exact
from ansible_collections.tornado_app.deploy.plugins.module_utils.users import user_id


class Thing(TypedDict, total=False):
    """A thing, with what its ``check`` needs."""

    kind: str
    name: str
    check: str
    path: str
    owner: str
    group: str
    mode: str
    sha256: str
    line: str
    home: str
    shell: str
    comment: str
    unit: str
    names: list[str]


SYSTEMD = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload")


def output(*command: str) -> str:
    """What a command prints on both streams; empty when it does not exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env={**os.environ, "LC_ALL": "C"})
    except OSError:
        return ""
    return done.stdout + done.stderr


def missing_packages(packages: list[str]) -> list[str]:
    """Those of the packages that dpkg does not have installed."""
    known = output("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages) if packages else ""
    installed = {line.split()[0] for line in known.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def units(names: list[str]) -> dict[str, dict[str, str]]:
    """Unit -> what systemd says of it; nothing of any where systemd does not answer."""
    if not names:
        return {}
    properties = ",".join(("Id", *SYSTEMD))
    return by_unit(output("systemctl", "show", f"--property={properties}", *names))


def by_unit(shown: str) -> dict[str, dict[str, str]]:
    """Unit -> its properties, out of what systemctl shows of several: blocks of lines, with an empty line between."""
    blocks = (dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line) for block in shown.split("\n\n"))
    return {block["Id"]: block for block in blocks if "Id" in block}


def user_problem(thing: Thing) -> str:
    """What is wrong with a user; empty when nothing is."""
    try:
        found = pwd.getpwnam(thing["name"])
    except KeyError:
        return "missing"
    fields = (
        ("home", thing["home"], found.pw_dir),
        ("shell", thing["shell"], found.pw_shell),
        ("comment", thing["comment"], found.pw_gecos),
    )
    return ", ".join(f"{field} is {actual}" for field, wanted, actual in fields if wanted != actual)


def owner_problem(thing: Thing, found: os.stat_result) -> str:
    """What is wrong with owner, group and mode of what is at a path; empty when nothing is."""
    problems = []
    if user_id(thing["owner"]) != found.st_uid:
        problems.append(f"owner is {found.st_uid} instead of {thing['owner']}")
    if _group_id(thing["group"]) != found.st_gid:
        problems.append(f"group is {found.st_gid} instead of {thing['group']}")
    mode = stat.S_IMODE(found.st_mode)
    if mode != int(thing["mode"], 8):
        problems.append(f"mode is {mode:04o} instead of {thing['mode']}")
    return ", ".join(problems)


def _group_id(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return -1


def directory_problem(thing: Thing) -> str:
    """What is wrong with a directory; empty when nothing is. A link is not followed."""
    try:
        found = os.lstat(thing["path"])
    except OSError:
        return "missing"
    return owner_problem(thing, found) if stat.S_ISDIR(found.st_mode) else "not a directory"


def file_problem(thing: Thing) -> str:
    """What is wrong with a file; empty when nothing is. A link is not followed."""
    try:
        found = os.lstat(thing["path"])
        if not stat.S_ISREG(found.st_mode):
            return "not a file"
        content = Path(thing["path"]).read_bytes()
    except OSError:
        return "missing"
    other = "" if hashlib.sha256(content).hexdigest() == thing["sha256"] else "content"
    return ", ".join(filter(None, (other, owner_problem(thing, found))))


def line_problem(thing: Thing) -> str:
    """Whether a file is missing, or lacks a line, however far that is indented."""
    try:
        lines = Path(thing["path"]).read_bytes().splitlines()
    except OSError:
        return "missing"
    return "" if thing["line"].encode() in map(bytes.strip, lines) else f"without {thing['line']}"


def certificate_problem(thing: Thing) -> str:
    """What is wrong with a file that has a certificate and its key; empty when nothing is. A link is not followed."""
    path = Path(thing["path"])
    try:
        found = os.lstat(path)
        digest = hashlib.sha256(os.fsencode(chain(exact(path)))).hexdigest()
    except OSError:
        return "missing"
    problem = self_signed_problem(path, thing["names"]) if "names" in thing else pair_problem(path)
    if not problem and digest != thing.get("sha256", digest):
        problem = "another certificate"
    return ", ".join(filter(None, (problem, owner_problem(thing, found))))


def absent_problem(thing: Thing) -> str:
    """Whether something exists that should not."""
    return "exists" if os.path.lexists(thing["path"]) else ""


def private_problem(thing: Thing) -> str:
    """Whether a file is missing, or others can read it; whose it is, its programs decide."""
    try:
        found = os.lstat(thing["path"])
    except OSError:
        return "missing"
    return "others can read it" if stat.S_ISREG(found.st_mode) and found.st_mode & 0o007 else ""


def loaded_problem(thing: Thing) -> str:
    """Whether nginx has last loaded something else than what is on disk; empty where there is no nginx."""
    if not Path(NGINX).exists():
        return ""
    try:
        before = Path(STATE_FILE).read_text(encoding="ascii", errors="replace")
    except OSError:
        before = ""
    try:
        return "" if before == loaded_digest(Path(thing["path"])) else "not loaded"
    except RefusedError as problem:
        return f"refused: {problem}"


def service_problem(thing: Thing, known: Mapping[str, Mapping[str, str]]) -> str:
    """What is wrong with a service; empty when nothing is."""
    unit = known.get(thing["unit"], {})
    problems = [] if unit.get("ActiveState") in ("active", "activating", "reloading") else ["not running"]
    problems += [] if unit.get("UnitFileState") in ("enabled", "enabled-runtime", "static", "alias", "indirect") else ["not enabled"]
    return ", ".join(problems)


def reload_problem(thing: Thing, known: Mapping[str, Mapping[str, str]]) -> str:
    """Whether systemd knows a unit otherwise than it is on disk."""
    return "changed on disk" if known.get(thing["unit"], {}).get("NeedDaemonReload") == "yes" else ""


def differences(things: Iterable[Thing]) -> list[Difference]:
    """What is not as it should be, in the order of the things."""
    listed = list(things)
    missing = set(missing_packages([thing["name"] for thing in listed if thing["check"] == "package"]))
    known = units(sorted({thing["unit"] for thing in listed if "unit" in thing}))
    problems: dict[str, Callable[[Thing], str]] = {
        "package": lambda thing: "not installed" if thing["name"] in missing else "",
        "user": user_problem,
        "directory": directory_problem,
        "file": file_problem,
        "line": line_problem,
        "absent": absent_problem,
        "certificate": certificate_problem,
        "issued": lambda thing: issued_problem(Path(thing["path"]), thing["names"]),
        "private": private_problem,
        "loaded": loaded_problem,
        "service": lambda thing: service_problem(thing, known),
        "reload": lambda thing: reload_problem(thing, known),
    }
    found = ((thing, problems[thing["check"]](thing)) for thing in listed)
    return [{"kind": thing["kind"], "name": thing["name"], "reason": problem} for thing, problem in found if problem]
