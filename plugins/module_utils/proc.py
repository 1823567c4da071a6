"""What the kernel says about processes and sockets, read from /proc."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import NamedTuple

from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown
from ansible_collections.tornado_app.deploy.plugins.module_utils.unix_sockets import connected_paths

PROC = Path("/proc")
PIDS = range(1, 2**22 + 1)  # as many as Linux can have
ESTABLISHED = "01"
LISTEN = "0A"
ENDED = ("Z", "X")  # of a process that is still listed


def kernels(family: int, address: str) -> str:
    """An address in the kernel's notation: its words as numbers of this machine."""
    packed = socket.inet_pton(family, address)
    return "".join(f"{int.from_bytes(packed[start : start + 4], sys.byteorder):08X}" for start in range(0, len(packed), 4))


# What 127.0.0.1 is over IPv4, and over the sockets of IPv6 that take IPv4 as well; and where sockets listen that are reached by it.
NEAR = (kernels(socket.AF_INET, "127.0.0.1"), kernels(socket.AF_INET6, "::ffff:127.0.0.1"))
REACHED = (*NEAR, kernels(socket.AF_INET, "0.0.0.0"), kernels(socket.AF_INET6, "::"))


class Process(NamedTuple):
    """One process: its limit of open file descriptors, its user, its systemd unit ("" for none) and its age in seconds."""

    pid: int
    nofile: int
    uid: int
    unit: str
    uptime: int


class Stat(NamedTuple):
    """What the kernel counts of a process: ``parent`` and process ``group`` are process ids, ``started`` is clock ticks since the boot."""

    state: str
    parent: int
    group: int
    started: int


class Socket(NamedTuple):
    """One TCP socket of this network namespace: its ends, its user and its inode (0 once no process owns it).

    ``address`` is in the kernel's notation, ``remote`` the other end's address and port.
    """

    address: str
    port: int
    remote: str
    uid: int
    inode: int


def read(path: Path) -> str:
    """What a file of /proc says. A process may name itself with any bytes."""
    return path.read_text(encoding="utf-8", errors="replace")


def pids(proc: Path = PROC) -> list[int]:
    """The processes that are there, in the order of their ids."""
    return sorted(int(entry.name) for entry in proc.iterdir() if re.fullmatch("[0-9]{1,9}", entry.name))


def nofile(pid: int, proc: Path = PROC) -> int:
    """The soft limit of open files of a live process; 0 when there is no such process."""
    try:
        limits = read(proc / str(pid) / "limits")
    except OSError:
        return 0
    found = re.search(r"^Max open files\s+(\d{1,19}|unlimited)", limits, re.MULTILINE)
    return 0 if not found else (1 << 30) if found.group(1) == "unlimited" else int(found.group(1))


def stat(pid: int, proc: Path = PROC) -> Stat | None:
    """What the kernel counts of a process; None when it is gone. Its name, in which anything may be, is left out."""
    try:
        parts = read(proc / str(pid) / "stat").rpartition(")")[2].split()
        return Stat(parts[0], int(parts[1]), int(parts[2]), int(parts[19]))
    except (OSError, IndexError, ValueError):
        return None


def describe(pid: int, proc: Path = PROC) -> Process | None:
    """A live process, or None when it is gone."""
    counted = stat(pid, proc)
    if counted is None or counted.state in ENDED:
        return None
    try:
        # A status without this line is that of a process that is just ending: AttributeError, below.
        uid = int(re.search(r"^Uid:\s+(\d+)", read(proc / str(pid) / "status"), re.MULTILINE).group(1))  # type: ignore[union-attr]
        cgroup = read(proc / str(pid) / "cgroup")
        uptime = int(max(0.0, float(read(proc / "uptime").split()[0]) - counted.started / os.sysconf("SC_CLK_TCK")))
    except (OSError, AttributeError, IndexError, ValueError, OverflowError):
        return None
    unit = re.search(r"^.*/([^/\s]+\.service)", cgroup, re.MULTILINE)  # the last: a container may be in the unit of its machine
    return Process(pid, nofile(pid, proc), uid, unit.group(1) if unit else "", uptime)


def own(pid: int, uid: int, unit: str, proc: Path = PROC) -> Process | None:
    """A live process that is a user's and in a unit: whoever says its id may lie."""
    found = describe(pid, proc)
    return found if found and (found.uid, found.unit) == (uid, unit) else None


def is_member(pid: int, leaders: set[int], uid: int, unit: str, proc: Path = PROC) -> bool:
    """Whether a process is in the process group of one of ``leaders``, and a user's and in a unit."""
    counted = stat(pid, proc)
    return counted is not None and counted.group in leaders and own(pid, uid, unit, proc) is not None


def members(leaders: set[int], uid: int, unit: str, proc: Path = PROC) -> list[int]:
    """The live processes for which this is so; the leaders need not be there any more."""
    return [pid for pid in pids(proc) if is_member(pid, leaders, uid, unit, proc)]


def kill(pid: int, leaders: set[int], uid: int, unit: str) -> None:
    """End a member at once. It is held before it is looked at: its id may be another process's by now."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if is_member(pid, leaders, uid, unit):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def name(pid: int, proc: Path = PROC) -> str:
    """The process's short name, or an empty string when it is gone."""
    try:
        return shown(read(proc / str(pid) / "comm").strip())
    except OSError:
        return ""


def command(pid: int, proc: Path = PROC) -> str:
    """The beginning of the process's command line, or its short name when it has none."""
    try:
        line = (proc / str(pid) / "cmdline").read_bytes()
    except OSError:
        line = b""
    return (line.replace(b"\0", b" ").decode("utf-8", "replace").strip() or name(pid, proc))[:200]


def flock_holders(path: Path, proc: Path = PROC) -> list[int]:
    """The processes that have a file open by which it is locked."""
    return [int(entry.parents[1].name) for entry in map(Path, glob(f"{proc}/[0-9]*/fdinfo/*")) if has_flock(entry, path)]


def has_flock(entry: Path, path: Path) -> bool:
    """Whether the open file that ``entry`` of /proc tells of is this one, and locked by being open there."""
    try:
        return bool(re.search(r"^lock:.* FLOCK ", read(entry), re.MULTILINE)) and path.samefile(entry.parents[1] / "fd" / entry.name)
    except OSError:
        return False


def families(proc: Path = PROC) -> dict[int, list[int]]:
    """Process id -> its direct children, in the order of their ids, of all processes that have any."""
    found: dict[int, list[int]] = {}
    for pid in pids(proc):
        if counted := stat(pid, proc):
            found.setdefault(counted.parent, []).append(pid)
    return found


def children(pid: int, proc: Path = PROC) -> list[int]:
    """The direct children of a process, in the order of their ids."""
    return families(proc).get(pid, [])


def nginx_workers(master: int, proc: Path = PROC) -> list[int]:
    """The workers of an nginx that accept connections, not those that a reload is ending."""
    found = []
    for pid in children(master, proc):
        try:
            title = (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            title = ""
        if title.startswith("nginx: worker process") and "shutting down" not in title:
            found.append(pid)
    return found


def sockets(state: str, proc: Path = PROC) -> Iterator[Socket]:
    """The TCP sockets of both families that are in a state (``ESTABLISHED``, ``LISTEN``)."""
    for table in ("tcp", "tcp6"):
        try:
            lines = read(proc / "net" / table).splitlines()[1:]
        except OSError:  # a kernel without IPv6
            continue
        for parts in map(str.split, lines):
            try:
                address, _, port = parts[1].rpartition(":")
                found = Socket(address, int(port, 16), parts[2], int(parts[7]), int(parts[9]))
            except (IndexError, ValueError):
                continue
            if parts[3] == state:
                yield found


def links(pid: int, proc: Path = PROC) -> Iterator[str]:
    """What the descriptors of a process lead to, as far as others may see it."""
    try:
        descriptors = os.listdir(proc / str(pid) / "fd")
    except OSError:
        return
    for descriptor in descriptors:
        with suppress(OSError):
            yield os.readlink(proc / str(pid) / "fd" / descriptor)


def owners(inodes: set[int], proc: Path = PROC) -> dict[int, int]:
    """Socket inode -> id of a process that holds it; of as many as are found in time, since an app may have millions of descriptors."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    end = time.monotonic() + 2
    for pid in pids(proc) if wanted else ():
        if len(found) == len(wanted) or time.monotonic() > end:
            break
        for link in links(pid, proc):
            if link in wanted:
                found.setdefault(wanted[link], pid)
    return found


def ports_of(pid: int, proc: Path = PROC) -> set[int]:
    """The ports on which a process listens."""
    held = set(links(pid, proc))
    return {listener.port for listener in sockets(LISTEN, proc) if f"socket:[{listener.inode}]" in held}


def listeners(ports: set[int], proc: Path = PROC, besides: int = -1) -> dict[int, str]:
    """Port -> who listens on it, for those of ``ports`` that are taken by another user than ``besides`` (a user id)."""
    found = [listener for listener in sockets(LISTEN, proc) if listener.port in ports and listener.uid != besides]
    holders = owners({listener.inode for listener in found}, proc)
    return {listener.port: _holder(listener, holders.get(listener.inode), proc) for listener in found}


def _holder(listener: Socket, pid: int | None, proc: Path) -> str:
    # A container may not let root look into other users' processes.
    return f"{name(pid, proc)} (pid {pid})" if pid else f"a process of user id {listener.uid}"


def reached(ports: set[int], proc: Path = PROC) -> dict[int, set[int]]:
    """Port -> the users whose sockets listen where a connection to 127.0.0.1 gets, for those of ``ports`` on which any does."""
    found: dict[int, dict[int, set[int]]] = {}
    for listener in sockets(LISTEN, proc):
        if listener.port in ports and listener.address in REACHED:
            found.setdefault(listener.port, {}).setdefault(len(listener.address), set()).add(listener.uid)
    return {port: families[min(families)] for port, families in found.items()}  # those of IPv6 get what none of IPv4 does


def connections(owners: Mapping[str, int], proc: Path = PROC) -> dict[str, int]:
    """Address (host:port or unix:path) -> number of its established connections, for those that have any.

    ``owners`` is address -> the user who listens there: others may have a connection with the same port of another address.
    """
    ports = {int(address.rpartition(":")[2]): address for address in owners if not address.startswith("unix:")}
    paths = {address[len("unix:") :]: address for address in owners if address.startswith("unix:")}
    found = [ports[one.port] for one in sockets(ESTABLISHED, proc) if one.port in ports and is_of(one, owners[ports[one.port]])]
    found += [paths[path] for path in connected_paths(proc) if path in paths] if paths else []
    return {address: found.count(address) for address in found}


def is_of(connection: Socket, uid: int) -> bool:
    """Whether a connection is a user's. One that no process has accepted is who's that listens, which is looked for near by."""
    return connection.uid == uid or (connection.inode == 0 and connection.address in NEAR)


def listening(port: int, uid: int, proc: Path = PROC) -> int:
    """The number of a user's sockets that listen on a port; more when they share it. One that has IPv4 and IPv6 counts as one."""
    found = [len(one.address) for one in sockets(LISTEN, proc) if (one.port, one.uid) == (port, uid)]  # tells IPv4 from IPv6
    return max((found.count(family) for family in found), default=0)


def peers(port: int, proc: Path = PROC) -> set[str]:
    """The other ends of the established connections on a local port."""
    return {found.remote for found in sockets(ESTABLISHED, proc) if found.port == port}
