"""The users of a host."""

from __future__ import annotations

import pwd


def user_id(name: str) -> int:
    """A user's id; -1, which nothing belongs to, when there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return -1
