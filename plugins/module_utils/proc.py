"""What the kernel says about processes and TCP sockets, read from /proc."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path
from typing import NamedTuple

from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown

PROC = Path("/proc")
PIDS = range(1, 2**22 + 1)  # as many as Linux can have
ESTABLISHED = "01"
LISTEN = "0A"
CONNECTED = "03"  # of a unix socket
ENDED = ("Z", "X")  # of a process that is still listed


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

    ``remote`` is the other end's address and port in the kernel's notation.
    """

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
    return line.replace(b"\0", b" ").decode("utf-8", "replace").strip()[:200] or name(pid, proc)


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
    """The TCP sockets, over IPv4 and IPv6, that are in a state (``ESTABLISHED``, ``LISTEN``)."""
    for table in ("tcp", "tcp6"):
        try:
            lines = read(proc / "net" / table).splitlines()[1:]
        except OSError:  # a kernel without IPv6
            continue
        for parts in map(str.split, lines):
            try:
                found = Socket(int(parts[1].rpartition(":")[2], 16), parts[2], int(parts[7]), int(parts[9]))
            except (IndexError, ValueError):
                continue
            if parts[3] == state:
                yield found


def owners(inodes: set[int], proc: Path = PROC) -> dict[int, int]:
    """Socket inode -> id of a process that holds it."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    for pid in pids(proc) if wanted else ():
        try:
            descriptors = list((proc / str(pid) / "fd").iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                inode = wanted.get(os.readlink(descriptor))
            except OSError:
                continue
            if inode is not None:
                found.setdefault(inode, pid)
    return found


def listeners(ports: set[int], proc: Path = PROC, besides: int = -1) -> dict[int, str]:
    """Port -> who listens on it, for those of ``ports`` that are taken by another user than ``besides`` (a user id)."""
    found = [listener for listener in sockets(LISTEN, proc) if listener.port in ports and listener.uid != besides]
    holders = owners({listener.inode for listener in found}, proc)
    return {listener.port: _holder(listener, holders.get(listener.inode), proc) for listener in found}


def _holder(listener: Socket, pid: int | None, proc: Path) -> str:
    # A container may not let root look into other users' processes.
    return f"{name(pid, proc)} (pid {pid})" if pid else f"a process of user id {listener.uid}"


def connections(addresses: Iterable[str], proc: Path = PROC) -> dict[str, int]:
    """Address (host:port or unix:path) -> number of its established connections, for those of ``addresses`` that have any."""
    ports = {int(address.rpartition(":")[2]): address for address in addresses if not address.startswith("unix:")}
    paths = {address[len("unix:") :]: address for address in addresses if address.startswith("unix:")}
    found = [ports[socket.port] for socket in sockets(ESTABLISHED, proc) if socket.port in ports] if ports else []
    found += [paths[path] for path in connected_paths(proc) if path in paths] if paths else []
    return {address: found.count(address) for address in found}


def connected_paths(proc: Path = PROC) -> list[str]:
    """The paths of unix sockets, once for each of their connections; of a connection the kernel names the end that was accepted."""
    lines = (line.split(maxsplit=7) for line in read(proc / "net" / "unix").splitlines()[1:])
    return [parts[7] for parts in lines if len(parts) == 8 and parts[5] == CONNECTED]


def listening(port: int, proc: Path = PROC) -> int:
    """The number of sockets that listen on a port; more than one when they share it. One that has IPv4 and IPv6 counts as one."""
    found = [len(socket.remote) for socket in sockets(LISTEN, proc) if socket.port == port]  # tells IPv4 from IPv6
    return max((found.count(family) for family in found), default=0)


def peers(port: int, proc: Path = PROC) -> set[str]:
    """The other ends of the established connections on a local port."""
    return {found.remote for found in sockets(ESTABLISHED, proc) if found.port == port}


def nofile_ceiling(proc: Path = PROC) -> tuple[int, bool]:
    """What systemd can give a service: (number of files, whether root can raise it on this host).

    The hard limit of process 1 holds where the capability to raise it is missing (containers); else fs.nr_open does.
    """
    limits = (proc / "1" / "limits").read_text()
    status = (proc / "1" / "status").read_text()
    hard = re.search(r"^Max open files\s+\S+\s+(\d+)", limits, re.MULTILINE)
    bounding = re.search(r"^CapBnd:\s+([0-9a-f]+)", status, re.MULTILINE)
    cap_sys_resource = bool(bounding and int(bounding.group(1), 16) & (1 << 24))
    nr_open = int((proc / "sys" / "fs" / "nr_open").read_text())
    if cap_sys_resource:
        return nr_open, True
    return min(nr_open, int(hard.group(1)) if hard else nr_open), False
