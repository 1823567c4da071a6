"""Start one process of a slot: launch.py RECORD PROCESS. A PROCESS is the port of a web process, `type.number`, or `release`.

supervisord's `environment=` cannot carry every value, nor its `command=` every argument; a slot's record, a JSON file, can. What nobody
else may see is in another file, which the record names.
The process id does not change: the command takes this process's place.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Read the record, take its environment and secrets, become its command."""
    path, process = sys.argv[1:]
    with open(path, encoding="utf-8") as stream:
        record = json.load(stream)
    with open(record["secrets"], encoding="utf-8") as stream:
        secrets = json.load(stream)
    kind, port = ("web", {"PORT": process}) if process.isdigit() else (process.partition(".")[0], {})
    environment = {**os.environ, **record["environment"], **secrets, **port}
    argv = [argument.format(python=record["python"], port=process) for argument in record["commands"][kind]]
    os.umask(0o027)  # of a release command too
    try:
        os.execvpe(argv[0], argv, environment)
    except OSError as error:
        sys.exit(f"cannot start {argv[0]}: {error.strerror}; see the app's `command`")


if __name__ == "__main__":
    main()
