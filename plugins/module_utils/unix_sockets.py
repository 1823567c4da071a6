"""The unix sockets of a host that somebody is connected to, as the kernel answers it by netlink.

/proc/net/unix has them line by line, and a socket's name may have a line's end in it, with whatever comes then. It is read where the
kernel does not answer: a drain may then wait for connections that are none, until its deadline.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
SOCK_DIAG, SOCK_DIAG_BY_FAMILY, DUMP = 4, 20, 0x301  # linux/netlink.h, linux/sock_diag.h
ERROR, DONE = 2, 3  # of netlink's types of messages
ESTABLISHED, LISTEN = 1, 10  # net/tcp_states.h, which holds for unix sockets too
NAME, QUEUE, SHOW = 0, 4, 0x11  # linux/unix_diag.h: a socket's name, what waits for it, and that both are asked for
HEADER, MESSAGE, ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBIII"), struct.Struct("=HH")
TIMEOUT = 10.0  # seconds
# Of /proc/net/unix: one that was accepted, with its path.
CONNECTED = re.compile(r"[0-9a-f]+: [0-9A-F]{8} [0-9A-F]{8} [0-9A-F]{8} [0-9A-F]{4} 03 +[0-9]+ (/.*)")


def connected_paths(proc: Path = PROC) -> list[str]:
    """The paths of unix sockets, once for each of their connections; of a connection the kernel names the end that was accepted."""
    if proc == PROC:
        try:
            return list(answered())
        except OSError:  # it has no such module
            pass
    lines = (proc / "net" / "unix").read_bytes().decode("utf-8", "surrogateescape").split("\n")
    return [found[1] for found in map(CONNECTED.fullmatch, lines) if found]


def answered() -> Iterator[str]:
    """The same, in the kernel's answer; connections that nobody has accepted yet count too."""
    for state, attributes in messages():
        name = attributes.get(NAME, b"")
        if name[:1] == b"/":
            waiting = struct.unpack_from("=I", attributes[QUEUE])[0] if state == LISTEN and QUEUE in attributes else 0
            yield from [os.fsdecode(name.partition(b"\0")[0])] * (waiting if state == LISTEN else 1)


def messages() -> Iterator[tuple[int, dict[int, bytes]]]:
    """State and attributes of each unix socket that is connected or listens."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as asked:
        asked.settimeout(TIMEOUT)
        body = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 1 << ESTABLISHED | 1 << LISTEN, 0, SHOW, 0xFFFFFFFF, 0xFFFFFFFF)
        asked.send(HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, DUMP, 1, 0) + body)
        while True:
            data = asked.recv(1 << 18)
            while data:
                length, kind, *_ = HEADER.unpack_from(data)
                if kind == DONE:
                    return
                if kind == ERROR:
                    raise OSError(-struct.unpack_from("=i", data, HEADER.size)[0], "the kernel does not answer")
                begin = HEADER.size + MESSAGE.size
                yield MESSAGE.unpack_from(data, HEADER.size)[2], dict(attributes(data[begin:length]))
                data = data[aligned(length) :]


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of the attributes of a message."""
    while data:
        length, kind = ATTRIBUTE.unpack_from(data)
        yield kind, data[ATTRIBUTE.size : length]
        data = data[aligned(length) :]


def aligned(length: int) -> int:
    """Where the next message or attribute begins."""
    return (length + 3) & ~3
