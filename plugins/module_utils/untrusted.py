"""What an app can write or answers, as root takes it: data with a type, an owner, a size and a deadline."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any


class UntrustedError(OSError):
    """What is there, or what came, cannot be believed; the message says why."""


class Bounded(socket.socket):
    """A connection with one deadline for all that goes over it, and a size of what comes.

    The timeout of a socket itself begins again with each byte.
    """

    def __init__(self, family: int, timeout: float, size: int) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self.end = time.monotonic() + timeout
        self.size = size
        self.received = 0

    def hurry(self) -> None:
        """Give the next step what is left of the time."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)

    def connect(self, address: Any) -> None:
        """Connect in time."""
        self.hurry()
        super().connect(address)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send in time."""
        self.hurry()
        super().sendall(data, flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive in time; http.client reads by this alone."""
        self.hurry()
        count = super().recv_into(buffer, nbytes, flags)
        self.count(count)
        return count

    def count(self, received: int) -> None:
        """Note how much has come."""
        self.received += received
        if self.received > self.size:
            raise UntrustedError(f"it answers more than {self.size} bytes")


class BoundedTls(ssl.SSLSocket):
    """The same over TLS, where nobody is asked who he is."""

    bounded: Bounded

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Receive in time."""
        self.settimeout(max(0.001, self.bounded.end - time.monotonic()))
        count = super().recv_into(buffer, nbytes, flags)
        self.bounded.count(count)
        return count


def over_tls(plain: Bounded, host: str) -> BoundedTls:
    """Go on over TLS on a connection, with the host of this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslsocket_class = BoundedTls
    plain.hurry()
    made = context.wrap_socket(plain, server_hostname=host.strip("[]"))
    assert isinstance(made, BoundedTls)
    made.bounded = plain
    return made


KINDS = {"file": stat.S_ISREG, "socket": stat.S_ISSOCK}


@contextmanager
def node(path: str, kind: str, owners: Collection[int]) -> Iterator[int]:
    """A handle of what has this path, if it is of this kind and one of these users'. It is not opened, so nothing waits.

    An app may have made the last two parts of the path: neither is followed when it is a link.
    """
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        handle = os.open(os.path.basename(path), os.O_PATH | os.O_NOFOLLOW, dir_fd=directory)
    finally:
        os.close(directory)
    try:
        found = os.fstat(handle)
        if not KINDS[kind](found.st_mode):
            raise UntrustedError(f"{path} is not a {kind}")
        if found.st_uid not in owners or (kind == "file" and found.st_nlink > 1):
            raise UntrustedError(f"{path} is somebody else's")
        yield handle
    finally:
        os.close(handle)


def tail(path: str, owners: Collection[int], size: int) -> bytes:
    """The last bytes of a file of one of these users."""
    with node(path, "file", owners) as handle, open(f"/proc/self/fd/{handle}", "rb", buffering=0, opener=at_once) as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - size))
        return stream.read(size) or b""


def remove(path: str) -> bool:
    """Remove a file or what else is no directory, and say whether it was there. The app may put what it likes there at any time."""
    try:
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        os.unlink(os.path.basename(path), dir_fd=directory)
    except OSError:  # nothing, or a directory: that is the app's own loss
        return False
    finally:
        os.close(directory)
    return True


def at_once(path: str, flags: int) -> int:
    """Open without waiting: whoever owns a file may have a lease on it, which they are given time to end."""
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def connection(path: str, owner: int, timeout: float, size: int) -> Iterator[Bounded]:
    """A connection to the unix socket of a user."""
    with node(path, "socket", (owner,)) as handle, Bounded(socket.AF_UNIX, timeout, size) as connected:
        connected.connect(f"/proc/self/fd/{handle}")
        yield connected


def remove_tree(path: str | os.PathLike[str]) -> None:
    """Remove whatever is there. Python's own way fails below a thousand directories in each other."""
    subprocess.run(["rm", "--recursive", "--force", "--one-file-system", "--", path], check=True)
