"""The example app with what can go wrong with one: `patient.py --port=8000`.

It does not start while the file `away` is in its directory for what it keeps, as if a database were away. `GET /leak?megabytes=100`
takes memory that it never gives back.
"""

import asyncio
import sys
from pathlib import Path

# Before all else, which may take so long that supervisord takes it for started.
if (Path.home() / "away").exists():
    sys.exit("the database is away")

from tornado.options import options

import app

LEAKED: list[bytes] = []


class Leak(app.Base):
    """A request that leaves something behind."""

    async def get(self) -> None:
        """Take memory, which is written to: else the kernel gives none."""
        LEAKED.append(b"x" * (int(self.get_query_argument("megabytes")) * 1024 * 1024))
        await self.finish(self.info())


class Patient(app.App):
    """The example app with one more path."""

    def __init__(self, port: int, debug: bool = False) -> None:
        super().__init__(port, debug)
        self.add_handlers(".*", [("/leak", Leak)])


if __name__ == "__main__":
    options.parse_command_line()
    app.App = Patient  # type: ignore[misc]
    asyncio.run(app.main())
