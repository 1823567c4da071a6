"""Prints as JSON what there is of a host beside an app: `python3 world.py APP OTHER...`, run as root on the host.

Path -> kind, owner, mode and digest of all that the app has no business with; unit -> its process. What is of the app by its name is left
out, and so is what others write while they serve: of logs and of /run counts who owns what, not what is in it.
"""

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator

TREES = ("/etc", "/opt", "/root", "/srv", "/usr/local", "/var/lib/tornado_app", "/home")
WITHOUT_CONTENT = ("/run/tornado_app", "/run/systemd/system", "/run/lock", "/var/log/nginx", "/dev/shm")
UNITS = ("nginx", "ssh", "systemd-journald")
COMES_AND_GOES = re.compile(r"/\.ansible\b|/__pycache__\b|\.log\.\d|/run/tornado_app/closing$|/nginx\.loaded$|/etc/\.pwd\.lock$")


def paths(tree: str, own: re.Pattern[str]) -> Iterator[str]:
    """All that is below a directory, and the directory; not what is the app's, which may be as deep as no path is long."""
    yield tree
    for folder, directories, files in os.walk(tree):
        directories[:] = [name for name in directories if not own.search(os.path.join(folder, name))]
        yield from (os.path.join(folder, name) for name in (*directories, *files))


def described(path: str, content: bool) -> str:
    """What something is."""
    found = os.lstat(path)
    facts = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
    if stat.S_ISLNK(found.st_mode):
        return f"{facts} {os.readlink(path)}"
    if content and stat.S_ISREG(found.st_mode):
        with open(path, "rb") as stream:
            return f"{facts} {hashlib.sha256(stream.read()).hexdigest()}"
    return facts


def main() -> None:
    """Look."""
    app, *others = sys.argv[1:]
    own = re.compile(rf"\b{app}\b")
    found: dict[str, str] = {}
    for tree in (*TREES, *WITHOUT_CONTENT, *(f"{place}/{other}" for other in others for place in ("/run", "/var/log"))):
        for path in paths(tree, own):
            if not own.search(path) and not COMES_AND_GOES.search(path):
                try:
                    found[path] = described(path, tree in TREES)
                except FileNotFoundError:
                    continue
    for unit in (*UNITS, *others):
        command = ["systemctl", "show", "--property=MainPID", "--value", unit]
        found[unit] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
