"""Serve a WSGI application with Tornado: wsgi.py MODULE:NAME --port=PORT|--socket=PATH, in the directory of its code.

Its calls run in a pool of threads, each as it comes, so that a slow one holds up no other one. What they answer goes out piece by piece.
On SIGTERM it takes no more connections, finishes the requests that it has, and ends; who sends the signal sets the deadline.
"""

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tornado
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.iostream import StreamClosedError
from tornado.log import app_log
from tornado.netutil import bind_unix_socket
from tornado.wsgi import WSGIContainer

OLDEST = (6, 3)  # the first Tornado whose container takes a pool
ROOM = 1_000_000  # bytes of an answer that may wait for the client before the application does
BODY = 100_000_000  # bytes of a request that are taken where nobody says how many
EMPTY = ("204", "304")  # statuses of answers without a body


class GoneError(Exception):
    """The client does not wait for the answer any more."""


class Answer:
    """An answer on its way from the thread of the application, which calls `start` and `put`, to the client."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.news = asyncio.Event()
        self.moved = threading.Condition()
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.begun = self.gone = False
        self.waiting: list[bytes] = []
        self.size = 0

    def start(self, status: str, headers: list[tuple[str, str]], problem: Any = None) -> Any:
        """What WSGI calls start_response."""
        if problem and self.begun:
            raise problem[1]
        self.status, self.headers = status, list(headers)
        return self.put

    def check(self) -> None:
        """An answer begins with its status."""
        if not self.status:
            raise RuntimeError("the application did not call start_response")

    def put(self, chunk: bytes) -> None:
        """Hand on a piece, and wait where the client is slow."""
        self.check()
        with self.moved:
            self.begun = True
            self.waiting.append(chunk)
            self.size += len(chunk)
            self.loop.call_soon_threadsafe(self.news.set)
            self.moved.wait_for(lambda: self.gone or self.size < ROOM)
            if self.gone:
                raise GoneError

    def put_whole(self, body: bytes) -> None:
        """Hand on all there is, with its length."""
        self.check()
        if self.status[:3] not in EMPTY and not any(name.lower() == "content-length" for name, _ in self.headers):
            self.headers.append(("Content-Length", str(len(body))))
        if body:
            self.put(body)

    def take(self) -> bytes:
        """All that waits, for the client."""
        with self.moved:
            found = b"".join(self.waiting)
            self.waiting.clear()
            self.size = 0
            self.moved.notify()
        return found

    def leave(self) -> None:
        """The client has gone."""
        with self.moved:
            self.gone = True
            self.moved.notify()

    def of(self, application: Any, environ: dict[str, Any]) -> bool:
        """Let the application answer, in this thread; whether it has come to an end."""
        try:
            found = application(environ, self.start)
            try:
                if isinstance(found, (list, tuple)) and not self.begun:
                    self.put_whole(b"".join(found))
                else:
                    for chunk in filter(None, found):
                        self.put(chunk)
            finally:
                getattr(found, "close", lambda: None)()
            self.check()
        except GoneError:
            return False
        except Exception:
            app_log.exception("Uncaught exception %s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return False
        return True


class Container(WSGIContainer):
    """Tornado's, which also knows how many requests it has, and does not keep an answer until it is whole."""

    requests = 0

    def environ(self, request: HTTPServerRequest) -> dict[str, Any]:
        """Tell the application the prefix that nginx has taken off its paths, so that the URLs it makes begin with it."""
        return {**super().environ(request), "SCRIPT_NAME": request.headers.get("X-Forwarded-Prefix", "")}

    async def handle_request(self, request: HTTPServerRequest) -> None:
        """Count a request in, let it be answered, and count it out."""
        self.requests += 1
        connection: Any = request.connection
        answer = Answer()
        connection.set_close_callback(answer.leave)
        call = answer.loop.run_in_executor(self.executor, answer.of, self.wsgi_application, self.environ(request))
        call.add_done_callback(lambda _: answer.news.set())
        try:
            self._log(await self.send(connection, request, answer, call), request)
        except StreamClosedError:
            pass
        except Exception:  # an answer that HTTP does not know
            app_log.exception("Uncaught exception %s %s", request.method, request.path)
            connection.stream.close()
        finally:
            answer.leave()
            await asyncio.wait([call])
            self.requests -= 1

    async def send(self, connection: Any, request: HTTPServerRequest, answer: Answer, call: "asyncio.Future[bool]") -> int:
        """Send what the call answers, as it comes; the status."""
        code, ended = 0, False
        while not ended:
            await answer.news.wait()
            answer.news.clear()
            ended = call.done()
            chunk = answer.take()
            if ended and not call.result() and not answer.begun:
                chunk = b"500: Internal Server Error"
                answer.status = "500 Internal Server Error"
                answer.headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(chunk)))]
            body = b"" if request.method == "HEAD" or answer.status[:3] in EMPTY else chunk
            if not code and (chunk or ended):
                status, _, reason = answer.status.partition(" ")
                code = int(status)
                await connection.write_headers(ResponseStartLine("HTTP/1.1", code, reason), self.headers(answer), body)
            elif body:
                await connection.write(body)
        if not call.result() and answer.begun:
            connection.stream.close()  # the client must not take it for whole
        else:
            connection.finish()
        return code

    @staticmethod
    def headers(answer: Answer) -> HTTPHeaders:
        """The headers of an answer, with those that it has not said itself."""
        found = HTTPHeaders()
        for name, value in answer.headers:
            found.add(name, value)
        if answer.status[:3] not in EMPTY:
            found.setdefault("Content-Type", "text/html; charset=UTF-8")
        found.setdefault("Server", f"TornadoServer/{tornado.version}")
        return found


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


async def serve(application: Any, port: int, path: str, max_body: int) -> None:
    """Serve until SIGTERM or Ctrl-C, and then until the last request is answered."""
    container = Container(application, executor=ThreadPoolExecutor())
    server = HTTPServer(container, xheaders=True, max_body_size=max_body or sys.maxsize)
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
    parser.add_argument("--max-body", type=int, default=BODY, metavar="BYTES", help="of a request's body; 0 for any number")
    arguments = parser.parse_args()
    if tornado.version_info < OLDEST:
        sys.exit(f"wsgi: Tornado {tornado.version} is too old, {'.'.join(map(str, OLDEST))} or newer is needed; see the app's requirements")
    # The loggers of Tornado (tornado.access, tornado.application, tornado.general) and of the application all end here.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(serve(load(arguments.application), arguments.port, arguments.socket, arguments.max_body))


if __name__ == "__main__":
    main()
