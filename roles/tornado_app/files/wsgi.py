"""Serve a WSGI application with Tornado: wsgi.py MODULE:NAME --port=PORT|--socket=PATH, in the directory of its code.

Its calls run in a pool of threads, each as it comes, so that a slow one holds up no other one. On SIGTERM it takes no more
connections, finishes the requests that it has, and ends; who sends the signal sets the deadline.
"""

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tornado
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.log import app_log
from tornado.netutil import bind_unix_socket
from tornado.wsgi import WSGIContainer

OLDEST = (6, 3)  # the first Tornado whose container takes a pool


class Container(WSGIContainer):
    """Tornado's, which also knows how many requests it has."""

    requests = 0

    def environ(self, request: HTTPServerRequest) -> dict[str, Any]:
        """Tell the application the prefix that nginx has taken off its paths, so that the URLs it makes begin with it."""
        return {**super().environ(request), "SCRIPT_NAME": request.headers.get("X-Forwarded-Prefix", "")}

    async def handle_request(self, request: HTTPServerRequest) -> None:
        """Count a request in, let it be answered, and count it out."""
        self.requests += 1
        try:
            await super().handle_request(request)
        finally:
            self.requests -= 1


def load(name: str) -> Any:
    """The application that MODULE:NAME names, NAME may have dots; SystemExit with the reason when there is none."""
    sys.path[0] = os.getcwd()  # instead of this file's directory
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # something that the module itself needs: its traceback says where
        sys.exit(f"wsgi: {name}: there is no module {error.name}")
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        sys.exit(f"wsgi: {name}: {module} has no application {attribute}")
    return found


def guarded(application: Any) -> Any:
    """The same application, which answers 500 where it raises: Tornado's container would leave the client without an answer."""

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        try:
            found = application(environ, start_response)
            try:
                return [b"".join(found)]
            finally:
                getattr(found, "close", lambda: None)()
        except Exception:
            app_log.exception("Uncaught exception %s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")], sys.exc_info())
            return [b"500: Internal Server Error"]

    return answer


async def serve(application: Any, port: int, path: str) -> None:
    """Serve until SIGTERM or Ctrl-C, and then until the last request is answered."""
    container = Container(guarded(application), executor=ThreadPoolExecutor())
    server = HTTPServer(container, xheaders=True)
    if path:
        server.add_socket(bind_unix_socket(path, mode=0o660))
    else:
        server.listen(port, "127.0.0.1")
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    logging.getLogger(__name__).info("serving on %s", path or f"port {port}")
    await stop.wait()
    server.stop()
    await asyncio.sleep(0.1)  # a request may have arrived, and not have been read yet
    while container.requests:
        await asyncio.sleep(0.05)
    await server.close_all_connections()


def main() -> None:
    """Read the arguments, set up logging, serve."""
    parser = argparse.ArgumentParser(description="Serve a WSGI application with Tornado, on 127.0.0.1 or a unix socket.")
    parser.add_argument("application", metavar="MODULE:NAME")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--port", type=int, default=0)
    place.add_argument("--socket", default="")
    arguments = parser.parse_args()
    if tornado.version_info < OLDEST:
        sys.exit(f"wsgi: Tornado {tornado.version} is too old, {'.'.join(map(str, OLDEST))} or newer is needed; see the app's requirements")
    # The loggers of Tornado (tornado.access, tornado.application, tornado.general) and of the application all end here.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(serve(load(arguments.application), arguments.port, arguments.socket))


if __name__ == "__main__":
    main()
