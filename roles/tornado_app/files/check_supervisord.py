"""Let supervisord's own parser judge a configuration: check_supervisord.py BASE [SLOT].

BASE is the main configuration; SLOT, when given, a slot's file that it is judged with. Exits 2 with supervisord's words when it is bad.
"""

from __future__ import annotations

import re
import sys
import tempfile

from supervisor.options import ServerOptions


def main() -> None:
    """Parse the base configuration with the slot's file as its only include."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        whole = stream.read()
    with tempfile.TemporaryDirectory() as folder:
        replaced = {
            "files": sys.argv[2] if len(sys.argv) > 2 else f"{folder}/*.none",
            # systemd makes these directories when it starts the unit.
            "pidfile": f"{folder}/supervisord.pid",
            "childlogdir": folder,
            "stdout_logfile": f"{folder}/watchdog.log",
        }
        for key, value in replaced.items():
            whole = re.sub(rf"^{key} = .*$", f"{key} = {value}", whole, flags=re.MULTILINE)
        path = f"{folder}/supervisord.conf"
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(whole)
        ServerOptions().realize(["--nodaemon", "--configuration", path])


if __name__ == "__main__":
    main()
