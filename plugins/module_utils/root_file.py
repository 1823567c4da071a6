"""A file of root's own: what it says, and how it is put into place as a whole."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.text import exact

PUBLIC, SECRET = 0o644, 0o600  # a root's process reads what its workers cannot


def text(path: Path) -> str | None:
    """What a file says, in whatever encoding; None when it is not there."""
    try:
        found: str = exact(path)
    except FileNotFoundError:
        return "" if path.is_symlink() else None  # a link to nothing is there all the same
    return found


def is_own(path: Path, mode: int, group: int = -1) -> bool:
    """Whether a file belongs to root and a group, which is root's unless given, and has this mode."""
    found = path.lstat()
    wanted = (os.geteuid(), os.getegid() if group < 0 else group, mode)
    return (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == wanted


def install(path: Path, content: str | None, mode: int = PUBLIC, group: int = -1) -> None:
    """Put one file into place, whole or not at all; remove it when there is no content."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}")  # hidden, which no include takes
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET), "w", encoding="utf-8") as stream:
            stream.write(content)
            stream.flush()
            os.fchown(stream.fileno(), -1, group)
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
