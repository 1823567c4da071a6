"""The load generator as a process: `python -m tests.traffic SPEC.json RECORDS.jsonl`."""

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path

from tests.traffic import Record, Target
from tests.traffic.clients import generate

USAGE = """\
usage: python -m tests.traffic SPEC.json RECORDS.jsonl

SPEC.json: {"targets": [{"name": "web-1/shop", "address": "192.0.2.1", "host": "shop.example.com"}],
            "limit": 60, "interval": 0.1, "kinds": ["keep-alive", "websocket"]}
Ends on SIGTERM, SIGINT, the end of its input (Ctrl-D) or after `limit` seconds; each request is one line of RECORDS.jsonl.
"""


async def run(spec: Path, records: Path) -> None:
    """Generate what `spec` says, and write one JSON object a line, until it is time to stop."""
    settings = json.loads(spec.read_text())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.call_later(settings["limit"], stop.set)

    def watch_input() -> None:
        """Stop when the input ends: then whoever started this is gone."""
        while os.read(sys.stdin.fileno(), 4096):
            pass
        loop.call_soon_threadsafe(stop.set)

    # A thread, as an event loop cannot watch every kind of input; a daemon, as it may never come back.
    threading.Thread(target=watch_input, daemon=True).start()
    with records.open("w", buffering=1) as file:

        def write(record: Record) -> None:
            file.write(json.dumps(record._asdict()) + "\n")

        targets = [Target(**target) for target in settings["targets"]]
        await generate(targets, settings["kinds"], settings["interval"], write, stop)


def main() -> int:
    """Return the exit status: 2 for a wrong command line."""
    if len(sys.argv) != 3:
        print(USAGE, end="", file=sys.stderr)
        return 2
    asyncio.run(run(Path(sys.argv[1]), Path(sys.argv[2])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
