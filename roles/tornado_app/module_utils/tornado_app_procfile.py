"""A Procfile, as platforms as a service have it: a line for each type of process, with the shell command that starts one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

LINE = re.compile(r"([A-Za-z0-9_-]+)\s*:\s*(.*)")
PUNCTUATION = frozenset("();<>|&")  # shlex's
REDIRECTION = re.compile("<|>>?|>&|")
SINGLE_QUOTED = re.compile(r"'[^']*'")
# $NAME, ${NAME}, and ${NAME:-what to take where there is none}, which needs no NAME.
VARIABLE = re.compile(r"(?<!\\)\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)


class ProcfileError(Exception):
    """A line that says nothing that could be started; the message names it."""


def commands(text: str) -> dict[str, str]:
    """Type of process -> its command, in the order of the lines. Empty lines and those that begin with # do not count."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        problem = "it has the form `type: command`" if match is None else next(_problems(match[1], match[2], found), "")
        if problem or match is None:
            raise ProcfileError(f"line {number} {line.strip()!r}: {problem}")
        found[match[1]] = match[2]
    return found


def _problems(kind: str, command: str, known: dict[str, str]) -> Iterator[str]:
    if kind in known:
        yield f"there is a line for {kind} already"
    try:
        tokens = list(shlex.shlex(command, posix=True, punctuation_chars=True))
    except ValueError as error:
        yield f"the shell could not read it: {error}"
        return
    if not tokens:
        yield f"{kind} has no command"
    # The shell gives its place, and its process id, to the one program that the line names: that one gets the signals.
    operators = [token for token in tokens if set(token) <= PUNCTUATION and not REDIRECTION.fullmatch(token)]
    if operators:
        yield f"{operators[0]} makes it more than one command; put them into a script that ends with exec"


def variables(command: str) -> list[str]:
    """The environment variables that a command cannot do without."""
    return list(dict.fromkeys(bare or braced for bare, braced in VARIABLE.findall(SINGLE_QUOTED.sub("", command))))
