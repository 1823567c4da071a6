"""Start one process of a slot: launch.py RECORD PROCESS [LOG]. A PROCESS is the port of a web process, `type.number`, or `release`.

supervisord's `environment=` cannot carry every value, nor its `command=` every argument; a slot's record, a JSON file, can. What nobody
else may see is in another file, which the record names.
The process id does not change: the command takes this process's place.
"""

from __future__ import annotations

import json
import os
import socket
import sys


def where(addresses: list[str], process: str) -> dict[str, str]:
    """The `port` or `socket` on which a web process listens: that of its name, or the one that all of them share."""
    own = next((address for address in addresses if address.endswith((f":{process}", f"/{process}.sock"))), addresses[0])
    kind, _, rest = own.rpartition(":")
    return {"socket": rest} if kind == "unix" else {"port": rest}


def attach_to_journal(identifier: str) -> None:
    """Let what is printed from here on go to journald under this name, as systemd-cat does."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect("/run/systemd/journal/stdout")
        # Name; unit (its own); priority "info", or what a line begins with; not to syslog, the kernel's log or the console besides.
        stream.sendall(f"{identifier}\n\n6\n1\n0\n0\n0\n".encode())
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)


def attach_to_file(path: str) -> None:
    """Let what is printed from here on go to the end of this file, past supervisord: it would read each line of each process."""
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)


def main() -> None:
    """Read the record, take its environment and secrets, become its command."""
    path, process, *log = sys.argv[1:]
    with open(path, encoding="utf-8") as stream:
        record = json.load(stream)
    with open(record["secrets"], encoding="utf-8") as stream:
        secrets = json.load(stream)
    kind, place = ("web", where(record["addresses"], process)) if process.isdigit() else (process.partition(".")[0], {})
    environment = {**os.environ, **record["environment"], **secrets, **{name.upper(): value for name, value in place.items()}}
    argv = [argument.format(python=record["python"], **place) for argument in record["commands"][kind]]
    if record["journal"] and kind != "release":
        attach_to_journal(f"{record['journal']}:{process}@{record['release']}")
    elif log:
        attach_to_file(log[0])
    # Of a release command too. Sockets are for their group, which is nginx's.
    os.umask(0o007 if "socket" in place else 0o027)
    try:
        os.execvpe(argv[0], argv, environment)
    except OSError as error:
        sys.exit(f"cannot start {argv[0]}: {error.strerror}; see the app's `command`")


if __name__ == "__main__":
    main()
