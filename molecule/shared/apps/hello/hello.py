"""As small as a Tornado app can be: it has no health path, no static files, and ends at once on SIGTERM."""

import asyncio
import platform
import sys

from tornado import web


class Hello(web.RequestHandler):
    def get(self) -> None:
        self.write({"port": int(sys.argv[1]), "python": platform.python_version()})


async def main() -> None:
    web.Application([("/", Hello)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
