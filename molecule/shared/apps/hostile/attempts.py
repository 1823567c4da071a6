"""What a hostile app tries to read, write, reach and become: `python3 attempts.py` says as JSON what each attempt has got it.

An empty text means that it got nothing.
"""

import ctypes
import fcntl
import glob
import json
import os
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

VICTIM = "/srv/victim"
# Paths of others, of which it should be able to read none.
SECRET = [
    "/etc/shadow",
    "/etc/ssh/ssh_host_ed25519_key",
    "/root/*",
    "/home/*/*",
    "/etc/victim/*",
    "/etc/victim/slots/*",
    "/etc/victim/cookie_secret",
    *(f"{VICTIM}{path}" for path in ("", "/*", "/shared/canary", "/slots/*/*", "/releases/*/*")),
    "/run/victim/*",
    "/var/log/victim",
    "/var/log/victim/*",
    "/var/log/nginx/*.log",
    "/var/log/journal/*/*",
    "/run/log/journal/*/*",
    "/run/tornado_app/*.lock",
    "/run/tornado_app/lock",
    "/run/tornado_app/sockets",
    "/run/tornado_app/sockets/victim",
    "/proc/kcore",
    "/dev/mem",
    "/dev/kmsg",
]
# Of the app itself: what builds its environment reads and writes none of it.
OWN = ["/etc/hostile/*", "/etc/hostile/slots/*", "/etc/hostile/cookie_secret", "/run/hostile/*", "/var/log/hostile/*"]
DIRECTORIES = [
    *("/etc", "/etc/nginx/conf.d", "/etc/systemd/system", "/etc/cron.d", "/etc/tmpfiles.d", "/usr/local/bin", "/boot", "/root", "/home"),
    *("/opt/tornado_app", "/var/lib", "/var/log", "/var/log/nginx", "/var/log/victim", "/sys/fs/cgroup"),
    *("/run", "/run/lock", "/run/systemd/system", "/run/victim", "/run/victim/sockets"),
    *("/run/tornado_app", "/run/tornado_app/sockets", "/run/tornado_app/sockets/victim"),
    *("/srv", "/srv/victim", "/srv/victim/shared", "/srv/victim/live"),
    *(f"/srv/hostile{path}" for path in ("", "/live", "/releases", "/environments", "/slots")),
    *("/etc/hostile", "/etc/hostile/slots"),
]
FILES = [
    *("/etc/passwd", "/etc/nginx/nginx.conf", "/etc/nginx/conf.d/hostile.conf", "/etc/systemd/system/hostile.service"),
    *(
        "/opt/tornado_app/launch.py",
        "/opt/tornado_app/sandboxed.py",
        "/etc/hostile/supervisord.conf",
        "/srv/hostile/slots/blue/attempts.py",
    ),
    *("/etc/hostile/slots/blue.json", "/etc/hostile/slots/green.json", "/srv/hostile/slots/blue.history.json"),
    *("/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory", "/proc/sysrq-trigger"),
]
SOCKETS = [
    *("/run/dbus/system_bus_socket", "/run/systemd/private", "/run/docker.sock", "/run/victim/supervisor.sock"),
    *(
        f"{folder}/{port}.sock"
        for folder in ("/run/victim/sockets", "/run/tornado_app/sockets/victim")
        for port in (8200, 8201, 9200, 9201)
    ),
]
LIBC = ctypes.CDLL(None, use_errno=True)
NEW_USER, NEW_MOUNTS, ATTACH, NO_RANDOM_ADDRESSES = 0x10000000, 0x00020000, 16, 0x0040000
PIDS = 65536  # of which it tries each
REFUSED, BROKEN = 1, 2  # how an attempt in a process of its own ends

Attempt = Callable[[], object]


def read(path: str) -> str:
    """The path, when a byte of it can be read, or a name."""
    if os.path.isdir(path):
        return path if os.listdir(path) else ""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as stream:
        return path if stream.read(1) else ""


def readable(pattern: str) -> str:
    """The paths of a pattern that can be read."""
    found = []
    for path in [*glob.glob(pattern), *([] if glob.has_magic(pattern) else [pattern])]:
        with suppress(OSError):
            found.append(read(path))
    return " ".join(sorted(set(filter(None, found))))


def others() -> Iterator[str]:
    """The directories of processes of other users."""
    for path in glob.glob("/proc/[0-9]*"):
        with suppress(OSError):
            if os.stat(path).st_uid != os.getuid():
                yield path


def of_processes() -> str:
    """What can be read of processes of other users, and through the roots of all."""
    paths = [f"{path}/{name}" for path in others() for name in ("environ", "mem", "maps", "fd", "cwd/.")]
    roots = [f"{root}{path}" for root in glob.glob("/proc/[0-9]*/root") for path in ("/etc/shadow", "/srv/victim", "/root")]
    return " ".join(filter(None, (readable(path) for path in (*paths, *roots))))


def create(directory: str) -> str:
    """A file that was made in a directory."""
    path = f"{directory}/hostile-was-here"
    Path(path).touch()
    return path


def append(path: str) -> str:
    """A file that is there and could be written to."""
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    return path


def lock(pattern: str) -> str:
    """The locks of a pattern that could be held."""
    found = []
    for path in (path for path in glob.glob(pattern) if os.path.isfile(path)):
        with suppress(OSError), open(path, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(path)
    return " ".join(found)


def connect(path: str) -> str:
    """A socket that accepts connections."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(path)
    return path


IO_URING_SETUP = 425  # on all processors


def signalled() -> str:
    """The ids of processes that would take a signal, though they are not its own; whether these can be seen or not."""
    found = []
    for pid in range(1, PIDS):
        with suppress(OSError):
            os.kill(pid, 0)
            try:
                own = os.stat(f"/proc/{pid}").st_uid == os.getuid()
            except OSError:
                own = False
            if not own:
                os.kill(pid, 0)  # it may have ended since
                found.append(str(pid))
    return " ".join(found)


def system(name: str, *arguments: object) -> str:
    """A function of the C library that did what it should."""
    if getattr(LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)
    return name


def forked(attempt: Attempt) -> str:
    """Whether an attempt that changes its process has got something, in a process of its own."""
    child = os.fork()
    if child == 0:
        code = BROKEN
        try:
            attempt()
            code = 0
        except (OSError, ValueError):  # as resource says it
            code = REFUSED
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, REFUSED):
        raise RuntimeError(f"an attempt ended with {code}")
    return "" if code else "done"


def set_user_id_file() -> str:
    """A file that runs as its owner."""
    with tempfile.NamedTemporaryFile(dir=os.environ.get("HOME")) as file:
        os.chmod(file.name, 0o4755)
        return file.name if os.stat(file.name).st_mode & 0o4000 else ""


def core_dumps() -> str:
    """A limit above 0 for core dumps."""
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    return "a core of one byte"


def opened(family: int, kind: int, protocol: int) -> str:
    """A socket of a kind."""
    socket.socket(family, kind, protocol).close()
    return str(family)


def attempts(builder: bool) -> dict[str, Attempt]:
    """All of them, by name."""
    found: dict[str, Attempt] = {}
    for what, attempt, places in (
        ("read", readable, [*SECRET, *(OWN if builder else [])]),
        ("create", create, [*DIRECTORIES, *(["/srv/hostile/shared"] if builder else [])]),
        ("write", append, FILES),
        ("connect", connect, [*SOCKETS, *(["/run/hostile/supervisor.sock"] if builder else [])]),
    ):
        found |= {f"{what} {place}": partial(attempt, place) for place in places}
    return {
        **found,
        "read processes": of_processes,
        "lock /run/tornado_app/*": lambda: lock("/run/tornado_app/*"),
        "signal": signalled,
        "io_uring": lambda: system("syscall", IO_URING_SETUP, 8, ctypes.create_string_buffer(256)),
        # It works; whether others see it is seen from outside.
        "memory that is shared": lambda: Path("/dev/shm/was-here").write_text("") or "",
        "netlink": lambda: opened(socket.AF_NETLINK, socket.SOCK_RAW, 0),
        "packets": lambda: opened(socket.AF_PACKET, socket.SOCK_RAW, 0),
        "raw socket": lambda: opened(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "set-user-id file": set_user_id_file,
        "core dumps": lambda: forked(core_dumps),
        "become root": lambda: forked(lambda: os.setuid(0)),
        "namespace of users": lambda: forked(lambda: system("unshare", NEW_USER)),
        "namespace of mounts": lambda: forked(lambda: system("unshare", NEW_MOUNTS)),
        "mount": lambda: system("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "change root": lambda: forked(lambda: os.chroot("/tmp")),
        "device": lambda: forked(lambda: os.mknod("/tmp/device", 0o20600, os.makedev(1, 1))),
        "attach to process 1": lambda: system("ptrace", ATTACH, 1, 0, 0),
        "real time": lambda: forked(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
        "priority": lambda: forked(lambda: os.nice(-5)),
        "personality": lambda: forked(lambda: system("personality", NO_RANDOM_ADDRESSES)),
        "hostname": lambda: forked(lambda: socket.sethostname("hostile")),
        "never killed for memory": lambda: Path("/proc/self/oom_score_adj").write_text("-1000"),
    }


CONTROLS: dict[str, Attempt] = {
    "read of its own": lambda: readable(os.path.abspath(__file__)),
    "write of its own": lambda: create(os.environ["HOME"]),
    "signal to its own": lambda: forked(lambda: os.kill(os.getppid(), signal.SIGCONT)),
    "socket of its own": lambda: opened(socket.AF_INET, socket.SOCK_STREAM, 0),
}
"""What has to succeed: else nothing is proven by what does not."""


def carry_out(builder: bool = False) -> dict[str, dict[str, str]]:
    """What it has got: `tried` has to be empty texts alone, `controls` none."""

    def got(attempt: Attempt) -> str:
        try:
            return str(attempt() or "")
        except OSError:
            return ""

    tried = {name: got(attempt) for name, attempt in attempts(builder).items()}
    return {"tried": tried, "controls": {name: got(attempt) for name, attempt in CONTROLS.items()}}


if __name__ == "__main__":
    report = json.dumps(carry_out())
    if len(sys.argv) > 1:
        Path(os.environ["HOME"], sys.argv[1]).write_text(report)
    else:
        print(report)
