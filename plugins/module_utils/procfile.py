"""A Procfile, as platforms as a service have it: a line for each type of process, with the shell command that starts one."""

from __future__ import annotations

import re
from typing import TypedDict

LINE = re.compile(r"([A-Za-z0-9_-]+)\s*:\s*(.*)")
# What ends one command and begins another; `>`, `2>&1` and the like do not.
OPERATOR = re.compile(r"(?<![<>])&[&>]?|\|[|&]?|;|[()]")
# $NAME, ${NAME}; and ${NAME:-what to take where there is none} and its like, of which the third group is not empty.
VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)([^}]?))", re.ASCII)


class Line(TypedDict):
    """A line: ``command``; ``problem``, why it cannot be started, or an empty string; the ``variables`` that it cannot do without; all that
    it ``mentions``.
    """

    command: str
    problem: str
    variables: list[str]
    mentions: list[str]


class ProcfileError(Exception):
    """The file is not a Procfile; the message names the line."""


def processes(text: str) -> dict[str, Line]:
    """Type of process -> what its line says, in their order. Empty lines and those that begin with # do not count."""
    found: dict[str, Line] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise ProcfileError(f"line {number} {line.strip()!r} does not have the form `type: command`")
        if match[1] in found:
            raise ProcfileError(f"line {number} {line.strip()!r}: there is a line for {match[1]} already")
        found[match[1]] = process(match[2])
    return found


def process(line: str) -> Line:
    """What one line says after its type."""
    command = re.sub(r"^exec\s+", "", line)  # the program takes the shell's place in any case
    bare, expanded, closed = shell(command)
    operator = OPERATOR.search(bare)
    problem = ""
    if not closed:
        problem = "a quotation mark is not closed"
    elif not bare.strip():
        problem = "it has no command"
    elif operator:
        # The program of the line gets the signals. Of two commands the shell would get them, and end without telling either.
        problem = f"{operator[0]} makes it more than one command; put them into a script that ends with exec"
    named = VARIABLE.findall(expanded)
    return {
        "command": command,
        "problem": problem,
        "variables": list(dict.fromkeys(plain or braced for plain, braced, rest in named if not rest)),
        "mentions": list(dict.fromkeys(plain or braced for plain, braced, _ in named)),
    }


def shell(command: str) -> tuple[str, str, bool]:
    """A command as the shell reads it: with all that is quoted as Q, with all in which it looks for variables, and whether it is whole.

    A comment is in neither.
    """
    bare, expanded, quote, escaped, before = "", "", "", False, " "
    for char in command:
        if escaped:
            escaped, kind = False, "literal"
        elif char == "\\" and quote != "'":
            escaped, kind = True, "literal"
        elif quote:
            kind = "literal" if quote == "'" or char == quote else "expanded"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote, kind = char, "literal"
        elif char == "#" and before in " \t;&|()<>":
            break
        else:
            kind = "bare"
        bare += char if kind == "bare" else "Q"
        expanded += " " if kind == "literal" else char
        before = char if kind == "bare" else "Q"
    return bare, expanded, not quote and not escaped
