"""The controller's cache: a directory that nobody but its user has anything to do with."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class CacheError(Exception):
    """Somebody else may have put something into the cache; the message says why."""


def private(path: Path, make: bool = True) -> None:
    """Make a directory for its user alone; refuse one that is there and may not have been that. Raises CacheError, OSError."""
    if not os.path.lexists(path):
        if not make:
            return
        path.mkdir(mode=0o700, parents=True, exist_ok=True)  # another run may just have made it
    found = path.lstat()
    reasons = {
        "is a link": stat.S_ISLNK(found.st_mode),
        "is not a directory": not stat.S_ISDIR(found.st_mode),
        f"belongs to user {found.st_uid}": found.st_uid != os.geteuid(),
        "can be written by others": found.st_mode & (stat.S_IWGRP | stat.S_IWOTH),
    }
    for reason in (reason for reason, is_so in reasons.items() if is_so):
        raise CacheError(f"{path} {reason}, so that what is in it may be somebody else's: remove it, or set XDG_CACHE_HOME")
    path.chmod(0o700)  # others could read it before
