"""What memory a host has left, and what processes use of it: bytes, as the kernel says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import PROC, own, read

CGROUPS = Path("/sys/fs/cgroup")
# Of a container its own: the limit, what is used, and what of that are files that the kernel can drop. The two versions of cgroups.
LIMITS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def counted(path: Path, field: str) -> int:
    """A number out of a file of the kernel's that has a name and a number a line, in kB or bytes; 0 when it is not there."""
    try:
        found = re.search(rf"^{field}:?\s+([0-9]{{1,19}})( kB)?$", read(path), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * (1024 if found[2] else 1) if found else 0


def available(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """What processes can still take without one being ended for it: free memory and swap, in a container no more than it may."""
    meminfo = proc / "meminfo"
    left = [counted(meminfo, "MemAvailable") + counted(meminfo, "SwapFree")]
    for limit, used, statistics, droppable in LIMITS:
        try:
            most, now = int(read(cgroups / limit)), int(read(cgroups / used))
        except (OSError, ValueError):  # no container, another version, or "max"
            continue
        left.append(max(0, most - now + counted(cgroups / statistics, droppable)))
    return min(left)


def used(leaders: Iterable[int], families: Mapping[int, list[int]], uid: int, unit: str, proc: Path = PROC) -> int:
    """What these processes and all that they have started use, of those that are a user's and in a unit. Shared pages count once."""
    found: set[int] = set()
    waiting = list(leaders)
    while waiting:
        pid = waiting.pop()
        if pid not in found and own(pid, uid, unit, proc):
            found.add(pid)
            waiting += families.get(pid, [])
    return sum(of(pid, proc) for pid in found)


def of(pid: int, proc: Path = PROC) -> int:
    """What a process uses; where the kernel does not tell its share of shared pages, with the whole of these."""
    return counted(proc / str(pid) / "smaps_rollup", "Pss") or counted(proc / str(pid) / "status", "VmRSS")
