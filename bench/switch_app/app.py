"""As small as a Tornado app can be that says which release answers, and what it was sent. It dies on SIGTERM, as Tornado does by itself."""

import asyncio
import hashlib
import os
import sys

from tornado.web import Application, RequestHandler

RELEASE = os.environ["TORNADO_APP_RELEASE"]


class Info(RequestHandler):
    """Who answers."""

    def get(self) -> None:
        """Answer as JSON."""
        self.write({"release": RELEASE})


class Upload(RequestHandler):
    """Who answers, and what it got."""

    def post(self) -> None:
        """Answer as JSON."""
        body = self.request.body
        self.write({"release": RELEASE, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()})


async def main() -> None:
    """Serve until killed."""
    app = Application([("/api/info", Info), ("/upload", Upload)])
    app.listen(int(sys.argv[1].removeprefix("--port=")), "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
