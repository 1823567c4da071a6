"""Files whose presence nginx looks at as each request comes."""

from __future__ import annotations

import os
from pathlib import Path


def put(flag: Path, present: bool) -> None:
    """Create or remove a flag file, and wait until that is on the disk."""
    if present:
        flag.touch(mode=0o644)
    else:
        flag.unlink()
    directory = os.open(flag.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
