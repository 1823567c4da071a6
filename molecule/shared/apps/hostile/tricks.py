"""What a hostile app does to those that look after it: functions by name, each with a text that says how."""

import os
import shutil
import signal
import socket
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

RUN, LOGS = Path("/run/hostile"), Path("/var/log/hostile")
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31mroot# \r\x9b1m\u202e"
FLOOD = 20_000  # lines
NEVER_ENDS = 300  # bytes of an answer, one every four seconds
DEEP = 1500  # directories in each other

Trick = Callable[[str], None]


def in_background(work: Callable[[], object]) -> None:
    """Go on with a work until the process ends."""
    threading.Thread(target=work, daemon=True).start()


def files(text: str) -> None:
    """Put something else into the place of paths: `PATH=KIND ...`, a kind being fifo, directory, or where a link leads."""
    for word in text.split():
        name, _, kind = word.partition("=")
        path = Path(name)
        if path.is_symlink() or path.is_file() or path.is_fifo():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        else:
            path.symlink_to(kind)


def noise(text: str) -> None:
    """Print what steers terminals, and much of it."""

    def print_it() -> None:
        for number in range(FLOOD):
            sys.stdout.write(f"{ESCAPES}{text}{number}\n")
        sys.stdout.flush()
        while True:
            time.sleep(0.5)
            print(f"{ESCAPES}{text}", flush=True)

    in_background(print_it)


def immortal(_: str) -> None:
    """End at nothing but SIGKILL, and leave a process behind that is in no group of processes that anybody knows."""
    with suppress(ValueError):  # in another thread than the first, which answers: then it is for those that start later
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    else:
        os.setsid()
        if os.fork() == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            os.closerange(0, 1024)
            while True:
                time.sleep(60)
        os._exit(0)


def squat(text: str) -> None:
    """Listen on ports, `PORT ...`."""
    for port in map(int, text.split()):
        with suppress(OSError):  # another of its processes has it
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            KEPT.append(listener)


def names(text: str) -> None:
    """Make sockets whose names look like lines of the kernel on connections to other sockets, `PATH ...`."""
    for path in text.split():
        for state in ("01", "03"):
            line = f"\nffff0000: 00000003 00000000 00000000 0001 {state} 4711 {path}"
            with suppress(OSError):
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(f"\0{line}")
                listener.listen()
                KEPT.append(listener)


KEPT: list[socket.socket] = []


def litter(text: str) -> None:
    """Make links to other places in its own directories, `PATH ...`, and directories in each other."""
    for folder in (Path(os.environ["HOME"]), LOGS):
        for number, target in enumerate(text.split()):
            link = folder / f"link-{number}"
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        deep = os.open(folder, os.O_PATH)
        for _ in range(DEEP):
            with suppress(FileExistsError):
                os.mkdir("d", dir_fd=deep)
            below = os.open("d", os.O_PATH, dir_fd=deep)
            os.close(deep)
            deep = below
        with suppress(FileExistsError):
            os.symlink("/etc", "link", dir_fd=deep)
        os.close(deep)
        (folder / "\x1b[2J\n").touch()


def fake(text: str) -> None:
    """Answer in the place of its supervisord: `foreign PID ...`, `garbage`, `huge`, or `drip`."""
    how, *pids = text.split()
    socket_path = RUN / "supervisor.sock"
    socket_path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(socket_path))
    listener.listen(64)

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            asked = connection.recv(65536)
            for piece in ANSWERS[how](asked, [int(pid) for pid in pids]):
                connection.sendall(piece)

    def accept() -> None:
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    in_background(accept)


def http(body: bytes) -> bytes:
    """A body as an answer of HTTP's."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def foreign(asked: bytes, pids: list[int]) -> Iterator[bytes]:
    """Its processes are those of others, with logs of others; all that is asked for was done."""
    lies = [
        {
            "group": group,
            "name": name,
            "statename": "RUNNING",
            "state": 20,
            "pid": pid,
            "spawnerr": ESCAPES,
            "description": f"pid {pid}, uptime 1:00:00",
            "logfile": "/etc/shadow",
            "stdout_logfile": "/etc/shadow",
            "stderr_logfile": "/etc/shadow",
            "start": 0,
            "stop": 0,
            "now": 0,
            "exitstatus": 0,
        }
        for group in ("hostile-blue", "hostile-green", "victim-blue", "victim-green")
        for pid in pids
        for name in ("8000", "8001", "8002", "9000", "9001", "9002", "../../../etc/shadow", f"{ESCAPES}x")
    ]
    # What XML cannot have is not in its answer, or nobody would read on.
    text = xmlrpc.client.dumps((lies if b"getAllProcessInfo" in asked else True,), methodresponse=True)
    yield http("".join(char for char in text if char.isprintable() or char == "\n").encode())


def garbage(_: bytes, __: list[int]) -> Iterator[bytes]:
    """No XML."""
    yield http(f"{ESCAPES}<methodResponse>".encode())


def huge(_: bytes, __: list[int]) -> Iterator[bytes]:
    """An answer of a gigabyte."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 1000000000\r\n\r\n<methodResponse>"
    for _number in range(1000):
        yield b" " * 1_000_000


def drip(_: bytes, __: list[int]) -> Iterator[bytes]:
    """A byte every four seconds, which is in time for whoever waits for the next byte alone."""
    for _number in range(NEVER_ENDS):
        yield b"x"
        time.sleep(4)


ANSWERS: dict[str, Callable[[bytes, list[int]], Iterator[bytes]]] = {"foreign": foreign, "garbage": garbage, "huge": huge, "drip": drip}
BY_NAME: dict[str, Trick] = {
    "files": files,
    "noise": noise,
    "immortal": immortal,
    "squat": squat,
    "names": names,
    "litter": litter,
    "fake": fake,
}
