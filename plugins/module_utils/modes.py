"""Who reads what of an app's releases: the app all of it, nginx the files that it serves, others no more than nginx.

The kernel knows one group for a file, and that is the app's: to it nginx is one of the others, and so is each other app. So all pass the
directories, which they cannot list, and read the files that nginx serves, which it gives to anybody who asks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

DIRECTORY, SERVED, CLOSED, ROOTS = 0o751, 0o644, 0o640, 0o600


def served(release: str, static: str) -> Iterator[str]:
    """The files that nginx serves of a release, over links too, by their real paths; none outside of the release."""
    root = os.path.realpath(release)
    waiting, seen = [os.path.join(root, static)] if static else [], set()
    while waiting:
        path = os.path.realpath(waiting.pop())
        if path in seen or os.path.commonpath((path, root)) != root:
            continue
        seen.add(path)
        if os.path.isdir(path):
            waiting += [os.path.join(path, name) for name in sorted(os.listdir(path))]
        elif os.path.isfile(path):
            yield path


def fits(path: str, static: str, group: int) -> bool:
    """Whether a release, or a file beside it that is root's alone, seems to be as it should be; what has just gone is nobody's.

    Of a release this looks at what is put right last: its directory, and the first of the files that nginx serves.
    """
    try:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode):
            return stat.S_ISLNK(found.st_mode) or not found.st_mode & 0o077
        first = next(served(path, static), None)
        return is_closed(path, group) and (first is None or bool(os.stat(first).st_mode & stat.S_IROTH))
    except FileNotFoundError:
        return True


def is_closed(release: str, group: int) -> bool:
    """Whether all of a release was given to the group: its directory comes last."""
    found = os.lstat(release)
    return (stat.S_IMODE(found.st_mode), found.st_gid) == (DIRECTORY, group)


def wrong(path: str, static: str, group: int) -> Iterator[tuple[str, int, int]]:
    """What to change of a release, or of a file beside it that is root's alone: path, group and mode, in this order.

    In a closed release what the group has stays open: nginx serves it until it is reloaded.
    """
    if not os.path.isdir(path) or os.path.islink(path):
        yield from _unlike(path, os.getegid(), ROOTS)
        return
    root, to_open, closed = os.path.realpath(path), list(served(path, static)), is_closed(path, group)
    opened = set(to_open)
    for folder, directories, files in os.walk(root):
        for name in directories:
            yield from _unlike(os.path.join(folder, name), group, DIRECTORY)
        for file in (os.path.join(folder, name) for name in files):
            found = os.lstat(file)
            if file not in opened and not (closed and found.st_gid == group and found.st_mode & stat.S_IROTH):
                yield from _unlike(file, group, CLOSED)
    for file in reversed(to_open):
        yield from _unlike(file, group, SERVED)
    yield from _unlike(root, group, DIRECTORY)


def _unlike(path: str, group: int, mode: int) -> Iterator[tuple[str, int, int]]:
    """A file or directory, unless it has this group and mode; a program stays one, a link is what it leads to."""
    found = os.lstat(path)
    wanted = mode | (mode & 0o444) >> 2 if found.st_mode & stat.S_IXUSR else mode
    if not stat.S_ISLNK(found.st_mode) and (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) != (os.geteuid(), group, wanted):
        yield path, group, wanted


def give(path: str, group: int, mode: int) -> None:
    """Give a file or directory of root's to a group. Who has it rightly is never kept from it."""
    os.chown(path, os.geteuid(), group)
    os.chmod(path, mode)
