"""The example app in the other ways to listen: ``modes.py --port=8000 --mode=fork --processes=2`` or ``--socket=/path --mode=sockets``."""

import asyncio
import socket

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.options import define, options
from tornado.process import fork_processes

from app import BODY_LIMIT, App

define("mode", help="sockets, shared or fork")
define("socket", default="", help="path of a unix socket")
define("processes", default=2, help="to fork")


async def main(sockets: list[socket.socket]) -> None:
    """Serve until the end."""
    HTTPServer(App(options.port), xheaders=True, max_body_size=BODY_LIMIT).add_sockets(sockets)
    await asyncio.Event().wait()


if __name__ == "__main__":
    options.parse_command_line()
    if options.mode == "sockets":
        sockets = [bind_unix_socket(options.socket, mode=0o660)]
    else:
        sockets = bind_sockets(options.port, options.address, reuse_port=options.mode == "shared")
    if options.mode == "fork":
        fork_processes(options.processes)
    asyncio.run(main(sockets))
