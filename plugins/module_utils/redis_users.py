"""Who may do what in Redis: a user for each app, and one for the role. All passwords follow from one secret of the fleet."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.root_file import SECRET, install, text

SECRET_FILE = "/etc/tornado_app/redis_secret"
ADMIN = "tornado_app"  # no app can be called so
DEFAULT = "default"  # neither so
BYTES = 32
# The versions that brought patterns for channels, HELLO to all who are not logged in, and functions.
CHANNELS, HELLO, FUNCTIONS = (6, 2), (6, 2), (7, 0)

Version = tuple[int, int]
Rules = dict[str, list[str]]  # user -> rules


def held_or_made(path: Path, *, keep: bool) -> str:
    """The secret of a file; a new one where there is none, which is kept there or not."""
    held = (text(path) or "").strip()
    if held:
        return held
    made = secrets.token_hex(BYTES)
    if keep:
        install(path, f"{made}\n", SECRET)
    return made


def password(secret: str, user: str) -> str:
    """The password of a user."""
    return hmac.new(secret.encode(), user.encode(), hashlib.sha256).hexdigest()


def rules(secret: str, apps: Mapping[str, Iterable[str]], version: Version) -> Rules:
    """All users that are wanted; ``apps`` is app -> patterns of its keys and channels."""
    # A running user forgets what it had; a user of the file is then the same as one that a running server was told of.
    found = {
        # Before 6.2 it is this user who may say HELLO or not, with which clients such as redis-py log in.
        DEFAULT: ["reset", "off", *(["+hello"] if version < HELLO else [])],
        ADMIN: ["reset", "on", _hash(secret, ADMIN), "~*", *(["&*"] if version >= CHANNELS else []), "+@all"],
    }
    for app, patterns in apps.items():
        given = list(patterns)
        own = ["*"] if "*" in given else given  # Redis takes no other one beside it
        lease = [] if "*" in own else [f"~{app}:tornado_app:*"]  # of its singletons, whatever else it may use
        keys = [*(f"~{pattern}" for pattern in own), *lease]
        channels = ["resetchannels", *(f"&{pattern}" for pattern in own)] if version >= CHANNELS else []
        # Clients ask INFO for the version. A function is everybody's: who replaces one acts as all who call it.
        commands = ["+@all", "-@admin", "-@dangerous", "+info", *(["-function"] if version >= FUNCTIONS else [])]
        found[app] = ["reset", "on", _hash(secret, app), *keys, *channels, *commands]
    return found


def _hash(secret: str, user: str) -> str:
    return f"#{hashlib.sha256(password(secret, user).encode()).hexdigest()}"


def users_file(wanted: Rules, present: str, absent: Collection[str]) -> str:
    """The file of users: those that are wanted, and of those that are there all that nobody has removed."""
    lines = [" ".join(["user", name, *own]) for name, own in wanted.items()]
    kept = [line for line in present.splitlines() if (name := _name(line)) and name not in wanted and name not in absent]
    return "".join(f"{line}\n" for line in [*lines, *kept])


def _name(line: str) -> str:
    words = line.split()
    return words[1] if len(words) > 1 and words[0] == "user" else ""


def without_hashes(users: str) -> str:
    """The same file for a diff."""
    return re.sub(r"#[0-9a-f]+", "#(a hash)", users)
