"""A main file of nginx that is replaced: what it has besides goes on, in files that the new one includes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from ansible_collections.tornado_app.deploy.plugins.module_utils.root_file import text as text_of

MAIN_FILE, FIRST_LINE = "nginx.conf", "# Ansible managed\n"
TOKEN = re.compile(
    r"""
    (?P<space> \s+ | \#[^\n]* )
    | (?P<mark> [{};] )
    | (?P<word> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | (?:\\.|\$\{|[^\s;{}"'])(?:\\.|\$\{[^}]*\}|[^\s;{}])* )
    """,
    re.VERBOSE | re.DOTALL,
)
# Files that the role's own main file includes in its main part and in http, before others of their directories that may need them.
MAIN, HTTP = "modules-enabled/90-from-nginx-conf.conf", "conf.d/00-from-nginx-conf.conf"
HEAD = "# What nginx.conf had besides, when it was replaced. It is yours.\n"
# What follows from the host and its settings.
OF_THE_ROLE = {"worker_processes", "worker_rlimit_nofile", "worker_connections"}
# The role has all types in its own file; of a second list nginx warns.
TYPES = ("include", "mime.types", "")


class UnreadableError(Exception):
    """The file is not what nginx would take."""


class Statement(NamedTuple):
    """A directive: its words, all of it as it stands there, and of a block what is in it."""

    words: tuple[str, ...]
    text: str
    block: str

    @property
    def meaning(self) -> tuple[str, ...]:
        """The words in the one way in which two can be compared."""
        plain = (word.strip("\"'") for word in self.words)
        short = (word.removeprefix("/etc/nginx/") for word in plain)
        return (*(re.sub(r"(?<=^\d)s$|(?<=\d\d)s$", "", word) for word in short), " ".join(self.block.split()))

    @property
    def short(self) -> str:
        """For a person."""
        return " ".join(self.words) + (" { … }" if self.text.endswith("}") else "")


class Kept(NamedTuple):
    """What goes on in the main part and in http, as text; and what does not, a line each."""

    main: list[str]
    http: list[str]
    lost: list[str]


def statements(text: str) -> Iterator[Statement]:
    """The directives of a text; of those in blocks the blocks alone."""
    words: list[str] = []
    start = inner = depth = position = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        if not found:
            raise UnreadableError(text[position:].partition("\n")[0])
        position = found.end()
        if found["word"] and not depth:
            start = start if words else found.start()
            words.append(found["word"])
        elif found["mark"] == "{":
            inner = inner if depth else position
            depth += 1
        elif found["mark"] == "}":
            depth -= 1
        if found["mark"] in (";", "}") and not depth:
            yield Statement(tuple(words), text[start:position], text[inner : position - 1] if found["mark"] == "}" else "")
            words = []
    if words or depth:
        raise UnreadableError(" ".join(words) or "a block without an end")


def kept(before: str, after: str) -> Kept:
    """What of a main file that was not the role's goes on, and what the role has otherwise."""
    found = Kept([], [], [])
    was, now = list(statements(before)), list(statements(after))
    everywhere = {TYPES, *(statement.meaning for statement in (*now, *inside("http", now)))}
    for part, carried in (("", found.main), ("http", found.http), ("events", None)):
        own = inside(part, now) if part else now
        by_name = {statement.words[0]: statement for statement in own}
        for statement in inside(part, was) if part else was:
            name = statement.words[0]
            if statement.meaning in everywhere or name in OF_THE_ROLE or (not part and name in ("http", "events")):
                continue
            if carried is not None and (name not in by_name or name == "include"):
                carried.append(statement.text)
            elif name not in by_name or statement.meaning != by_name[name].meaning:
                has = f"this role has {by_name[name].short}" if name in by_name else "this role does not"
                found.lost.append(f"nginx.conf had {f'in {part} ' if part else ''}{statement.short}; {has}")
    return found


def inside(part: str, listed: list[Statement]) -> list[Statement]:
    """The directives of a block."""
    return [inner for statement in listed if statement.words[0] == part for inner in statements(statement.block)]


def is_foreign(before: str | None, state_file: Path) -> bool:
    """Whether a main file is not this role's: other roles begin theirs in the same way, but not where this one has noted what is loaded."""
    return before is not None and not (before.startswith(FIRST_LINE) and state_file.exists())


def successors(root: Path, after: str) -> tuple[dict[str, str], list[str]]:
    """The files of the tree in which the present main file goes on, itself under another name among them, and what of it does not."""
    path = root / MAIN_FILE
    before = text_of(path) or ""
    if before == after:
        return {}, []
    found = kept(before, after)
    files = {f"{MAIN_FILE}.{datetime.fromtimestamp(path.lstat().st_mtime, timezone.utc):%Y-%m-%d@%H:%M:%S}~": before}
    for file, listed in ((MAIN, found.main), (HTTP, found.http)):
        there = text_of(root / file) or HEAD
        if new := [statement for statement in listed if statement not in there]:
            files[file] = "\n".join((*there.splitlines(), *new, ""))
    return files, found.lost
