"""The example app as an app that knows nothing of a graceful end: ``plain.py --port=8000 --on-sigterm=die``.

On SIGTERM it dies at once, or goes on as if nothing had happened until it is killed.
"""

import asyncio
import signal

from tornado.httpserver import HTTPServer
from tornado.options import define, options

from app import BODY_LIMIT, App

define("on_sigterm", default="die", help="ignore or die")


async def main() -> None:
    """Serve until the end."""
    HTTPServer(App(options.port), xheaders=True, max_body_size=BODY_LIMIT).listen(options.port, options.address)
    await asyncio.Event().wait()


if __name__ == "__main__":
    options.parse_command_line()
    if options.on_sigterm == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.run(main())
