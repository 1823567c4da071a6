"""Text of a host, which need not be UTF-8: files of others, names of files, what programs print."""

from __future__ import annotations

from pathlib import Path


def exact(path: Path) -> str:
    """What a file says, byte for byte: bytes that are not UTF-8 stand for themselves, as in Python's names of files."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def valid(text: str) -> str:
    """The same with a mark for each byte that is not UTF-8: Ansible refuses a result that has one."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_valid(text: str) -> bool:
    """Whether a text has no such byte."""
    return valid(text) == text


def shown(text: str, most: int = 200) -> str:
    """What somebody else has said, for a person: no longer than that, on one line, and with nothing that steers a terminal."""
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:most].expandtabs(4))
    return f"{line}…" if len(text) > most else line
