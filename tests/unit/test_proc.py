"""tornado_app_proc: what the kernel says, from made-up /proc trees and from the one of this machine."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.conftest import OWN, PATIENCE, process, utils, wait_until

proc = utils("proc")
host_state = utils("host_state")

LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max open files            {soft:<20} {hard:<20} files
Max locked memory         8388608              8388608              bytes
"""
TCP = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
SOCKET = "   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  {uid:>4}        0 {inode} 1 0\n"


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def add_process(tree: Path, pid: int, *, comm: bytes = b"python3", parent: int = 1, cgroup: str = "0::/\n", soft: str = "1024") -> None:
    write(tree / f"{pid}/comm", comm + b"\n")
    write(tree / f"{pid}/stat", b"%d (%s) S %d %s 5000 0\n" % (pid, comm, parent, b" ".join(b"0" for _ in range(17))))
    write(tree / f"{pid}/status", b"Name:\t%s\nPPid:\t%d\nUid:\t998\t999\t998\t998\n" % (comm, parent))
    write(tree / f"{pid}/limits", LIMITS.format(soft=soft, hard="4096"))
    write(tree / f"{pid}/cgroup", cgroup)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A /proc with two sockets that listen on 8000 and 8001, connections to 8000, and some processes."""
    v4 = [
        SOCKET.format(address="0100007F", port=8000, state="0A", uid=998, inode=11),
        SOCKET.format(address="0100007F", port=8000, state="01", uid=998, inode=12),
        SOCKET.format(address="0100007F", port=8000, state="06", uid=0, inode=0),  # TIME_WAIT
        SOCKET.format(address="0100007F", port=8000, state="08", uid=998, inode=13),  # CLOSE_WAIT
        SOCKET.format(address="0100007F", port=9999, state="01", uid=998, inode=14),
    ]
    v6 = [
        SOCKET.format(address="0" * 32, port=8001, state="0A", uid=0, inode=21),
        SOCKET.format(address="0" * 24 + "0100007F", port=8000, state="01", uid=998, inode=22),
    ]
    write(tmp_path / "net/tcp", TCP + "".join(v4))
    write(tmp_path / "net/tcp6", TCP + "".join(v6))
    write(tmp_path / "uptime", "1000.50 2000.00\n")
    add_process(tmp_path, 40)
    add_process(tmp_path, 41, comm=b"a) S 1 (b", parent=40, cgroup="0::/system.slice/shop.service\n", soft="65536")
    add_process(tmp_path, 42, comm=b"caf\xc3", parent=40)
    write(tmp_path / "self/stat", "not a process")
    (tmp_path / "41/fd").mkdir()
    (tmp_path / "41/fd/3").symlink_to("socket:[21]")
    (tmp_path / "41/fd/4").symlink_to("/dev/null")
    return tmp_path


def test_connections_counts_established_ones_of_both_families(tree: Path) -> None:
    assert proc.connections({"127.0.0.1:8000": 998, "127.0.0.1:8001": 998}, tree) == {"127.0.0.1:8000": 2}


def test_connections_of_others_do_not_count(tree: Path) -> None:
    """Anybody may have one with the same port of another address of loopback, and leave it where nobody accepts it."""
    with (tree / "net/tcp").open("a") as table:
        for address, uid, inode in (("0200007F", 999, 41), ("0200007F", 0, 0), ("0100007F", 0, 0)):
            table.write(SOCKET.format(address=address, port=8000, state="01", uid=uid, inode=inode))
    assert proc.connections({"127.0.0.1:8000": 998}, tree) == {"127.0.0.1:8000": 3}  # the last is one that the app will accept


def test_who_is_reached_on_a_port(tree: Path) -> None:
    """A socket of IPv6 that takes IPv4 as well is reached where none of IPv4 is."""
    with (tree / "net/tcp").open("a") as table:
        table.write(SOCKET.format(address="0200007F", port=8000, state="0A", uid=999, inode=42))
    with (tree / "net/tcp6").open("a") as table:
        table.write(SOCKET.format(address="0" * 32, port=8000, state="0A", uid=999, inode=43))
    assert proc.reached({8000, 8001, 8002}, tree) == {8000: {998}, 8001: {0}}
    assert [proc.listening(8000, uid, tree) for uid in (998, 999, 7)] == [1, 1, 0]


def test_connections_without_ipv6(tree: Path) -> None:
    (tree / "net/tcp6").unlink()
    assert proc.connections({"127.0.0.1:8000": 998, "127.0.0.1:8001": 998}, tree) == {"127.0.0.1:8000": 1}


def test_peers(tree: Path) -> None:
    """Of connections only, and each end that is somewhere else apart."""
    line = SOCKET.format(address="0100007F", port=80, state="{state}", uid=33, inode=31)
    others = [("01", "0A00A8C0:C350"), ("01", "0A00A8C0:C351"), ("06", "0A00A8C0:C352")]
    with (tree / "net/tcp").open("a") as table:
        for state, remote in others:
            table.write(line.format(state=state).replace("00000000:0000", remote, 1))
    assert proc.peers(80, tree) == {"0A00A8C0:C350", "0A00A8C0:C351"}
    assert proc.peers(81, tree) == set()


def test_listeners_names_who_listens(tree: Path) -> None:
    assert proc.listeners({8000, 8001, 9999}, tree) == {8000: "a process of user id 998", 8001: "a) S 1 (b (pid 41)"}


def test_listeners_leaves_out_a_user(tree: Path) -> None:
    assert set(proc.listeners({8000, 8001}, tree, besides=998)) == {8001}


def test_ports_on_which_a_process_listens(tree: Path) -> None:
    assert [proc.ports_of(pid, tree) for pid in (41, 42, 43)] == [{8001}, set(), set()]


def test_children_whatever_they_call_themselves(tree: Path) -> None:
    assert proc.children(40, tree) == [41, 42]
    assert proc.children(41, tree) == []


def test_describe(tree: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    assert proc.describe(41, tree) == (41, 65536, 998, "shop.service", int(1000.5 - 5000 / ticks))
    assert proc.describe(42, tree).unit == ""
    assert proc.describe(43, tree) is None


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/shop-2.service\n", "shop-2.service"),
        ("12:pids:/system.slice/nginx.service\n1:name=systemd:/system.slice/nginx.service\n0::/\n", "nginx.service"),
        ("0::/machine.slice/libpod-1.scope/container/system.slice/shop.service\n", "shop.service"),
        ("0::/user.slice/user@7.service/libpod-1.scope/container/system.slice/shop.service\n", "shop.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
    ],
)
def test_describe_finds_the_unit(tree: Path, cgroup: str, unit: str) -> None:
    add_process(tree, 50, cgroup=cgroup)
    assert proc.describe(50, tree).unit == unit


def test_a_process_that_has_ended_and_is_still_listed_is_gone(tree: Path) -> None:
    write(tree / "41/stat", (tree / "41/stat").read_bytes().replace(b") S", b") Z"))
    assert proc.describe(41, tree) is None


def test_a_process_is_its_users_in_its_unit_alone(tree: Path) -> None:
    assert proc.own(41, 998, "shop.service", tree) == proc.describe(41, tree)
    assert [proc.own(*wrong, tree) for wrong in ((42, 998, "shop.service"), (41, 0, "shop.service"), (43, 998, ""))] == [None] * 3


def test_nofile(tree: Path) -> None:
    add_process(tree, 60, soft="unlimited")
    assert [proc.nofile(pid, tree) for pid in (41, 60, 61)] == [65536, 1 << 30, 0]


@pytest.mark.parametrize(("capabilities", "ceiling"), [("000001ffffffffff", (1048576, True)), ("00000000a80425fb", (4096, False))])
def test_nofile_ceiling(tree: Path, capabilities: str, ceiling: tuple[int, bool]) -> None:
    """The hard limit holds only where the capability to raise it is missing."""
    add_process(tree, 1)
    write(tree / "1/status", f"Name:\tinit\nUid:\t0\t0\t0\t0\nCapBnd:\t{capabilities}\n")
    write(tree / "sys/fs/nr_open", "1048576\n")
    assert host_state.nofile_ceiling(tree) == ceiling


def test_nofile_ceiling_is_never_above_the_kernels(tree: Path) -> None:
    add_process(tree, 1)
    write(tree / "1/status", "Name:\tinit\nCapBnd:\t0000000000000000\n")
    write(tree / "sys/fs/nr_open", "2048\n")
    assert host_state.nofile_ceiling(tree) == (2048, False)


# Anything

lines = st.lists(
    st.sampled_from(
        ["1 (a) S", "-1", "7", "Uid:", "\t998", "Max open files ", "9" * 5000, "inf", "\n", " ", "01", "A:1", "\xb2", "lock:\t1: FLOCK "]
    )
)
contents = st.binary(max_size=60) | lines.map(lambda words: " ".join(words).encode())
OF_A_PROCESS = ("stat", "status", "limits", "cgroup", "comm", "cmdline", "fdinfo/3", "fdinfo/\xb2")
FILES = ("uptime", "net/tcp", "net/tcp6", "net/unix", *(f"7/{name}" for name in OF_A_PROCESS))


@given(files=st.fixed_dictionaries(dict.fromkeys(FILES, contents)))
def test_whatever_is_in_proc_is_read(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    tree = tmp_path_factory.mktemp("p")
    (tree / "\xb2").mkdir()
    add_process(tree, 8, parent=7)
    for name, content in files.items():
        write(tree / name, content)
    assert proc.children(7, tree)[-1:] == [8]
    described = proc.describe(7, tree)
    assert described is None or (described.pid == 7 and described.uptime >= 0)
    assert proc.is_member(7, {7}, 998, "", tree) in (True, False)
    assert proc.members({7}, 998, "", tree) in ([], [7])
    assert proc.name(7, tree).isprintable() or not proc.name(7, tree)
    assert proc.nginx_workers(8, tree) == []
    assert proc.listeners({1}, tree).keys() <= {1}
    assert set(proc.connections({"127.0.0.1:1": 0, "unix:/x": 0}, tree)) <= {"127.0.0.1:1", "unix:/x"}
    assert proc.listening(1, 998, tree) >= 0
    assert len(proc.command(7, tree)) <= 200
    assert proc.flock_holders(tree / "uptime", tree) == []
    assert isinstance(proc.peers(1, tree), set)


# The real /proc


def test_only_a_member_is_ended() -> None:
    """Of the process group, the user's, and in the unit: what its id was told for may have another one by now."""
    uid, unit = os.getuid(), OWN["unit"]
    with process("sleep", "3600", start_new_session=True) as one, process("sleep", "3600", start_new_session=True) as other:
        for leaders, *owner in (({other.pid}, uid, unit), ({one.pid}, uid + 1, unit), ({one.pid}, uid, "other.service")):
            assert proc.members(leaders, *owner) == [pid for pid in leaders if owner == [uid, unit]]
            proc.kill(one.pid, leaders, *owner)
        assert one.poll() is None
        proc.kill(one.pid, {one.pid}, uid, unit)
        assert one.wait(PATIENCE) == -signal.SIGKILL
        proc.kill(one.pid, {one.pid}, uid, unit)
        assert other.poll() is None


def test_this_process() -> None:
    me = proc.describe(os.getpid())
    assert (me.pid, me.uid, me.nofile) == (os.getpid(), os.getuid(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    assert 0 <= me.uptime <= float(Path("/proc/uptime").read_text().split()[0])
    assert proc.name(os.getpid()) == Path("/proc/self/comm").read_text().strip()
    assert os.getpid() in proc.children(os.getppid())


def test_a_process_that_is_gone() -> None:
    with process(sys.executable, "-c", "pass") as short:
        short.wait()
    assert proc.describe(short.pid) is None
    assert proc.nofile(short.pid) == 0
    assert proc.name(short.pid) == ""
    assert short.pid not in proc.children(os.getpid())


def test_a_name_that_is_no_text() -> None:
    """Any process of a host may have one, by a letter cut in two after 15 bytes."""
    rename = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'caf\\xc3', 0, 0, 0); time.sleep(3600)"
    with process(sys.executable, "-c", rename) as strange:
        wait_until(lambda: Path(f"/proc/{strange.pid}/comm").read_bytes() == b"caf\xc3\n", "the new name")
        assert strange.pid in proc.children(os.getpid())
        assert proc.describe(strange.pid).pid == strange.pid
        assert proc.name(strange.pid) == "caf\N{REPLACEMENT CHARACTER}"


def mine(*addresses: str) -> dict[str, int]:
    """Addresses on which this user listens."""
    return dict.fromkeys(addresses, os.getuid())


@pytest.fixture
def listener(has_ipv6: bool, request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = getattr(request, "param", socket.AF_INET)
    if family == socket.AF_INET6 and not has_ipv6:
        pytest.skip("no IPv6 here")
    with socket.socket(family) as listening:
        listening.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        listening.listen()
        yield listening


@pytest.mark.parametrize("listener", [socket.AF_INET, socket.AF_INET6], indirect=True)
def test_own_sockets(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert proc.listeners({port}) == {port: f"{proc.name(os.getpid())} (pid {os.getpid()})"}
    assert proc.listeners({port}, besides=os.getuid()) == {}
    assert proc.connections(mine(f"localhost:{port}")) == {}
    with socket.create_connection(listener.getsockname()[:2]), socket.create_connection(listener.getsockname()[:2]):
        accepted = [listener.accept()[0], listener.accept()[0]]
        assert proc.connections(mine(f"localhost:{port}", "localhost:1")) == {f"localhost:{port}": 2}
        for one in accepted:
            one.close()
    assert proc.connections(mine(f"localhost:{port}")) == {}


def test_connections_to_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "8000.sock"
    address, other = f"unix:{path}", f"unix:{tmp_path}/8001.sock"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        listening.bind(str(path))
        listening.listen()
        assert proc.connections(mine(address, other)) == {}
        one.connect(str(path))
        two.connect(str(path))
        accepted = [listening.accept()[0], listening.accept()[0]]
        assert proc.connections(mine(address, other, "127.0.0.1:1")) == {address: 2}
        for end in accepted:
            end.close()
    assert proc.connections(mine(address)) == {}


def test_a_connection_that_nobody_has_accepted_yet_counts(tmp_path: Path) -> None:
    path = f"{tmp_path}/8000.sock"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as one:
        listening.bind(path)
        listening.listen()
        one.connect(path)
        assert proc.connections(mine(f"unix:{path}")) == {f"unix:{path}": 1}


def test_a_name_with_lines_in_it_is_nobody_elses_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An app may call its socket like a part of the kernel's table."""
    monkeypatch.chdir(tmp_path)
    name = "x\n0: 00000003 00000000 00000000 0001 03 1 /other.sock"
    Path("x\n0: 00000003 00000000 00000000 0001 03 1 ").mkdir()
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as one:
        listening.bind(name)
        listening.listen()
        one.connect(name)
        accepted, _ = listening.accept()
        with accepted:
            assert "\n0: 00000003 00000000 00000000 0001 03 1 /other.sock\n" in Path("/proc/net/unix").read_text()
            assert proc.connections(mine("unix:/other.sock")) == {}


def test_the_table_of_unix_sockets_where_the_kernel_answers_in_no_other_way(tmp_path: Path) -> None:
    head = "Num       RefCount Protocol Flags    Type St Inode Path\n"
    line = "0000000000000000: 00000003 00000000 00000000 0001 {state} {inode:>5} {path}\n"
    rows = [("03", 11, "/a b\u2028.sock"), ("01", 12, "/listens"), ("02", 0, "/waits"), ("03", 13, "@abstract"), ("03", 14, "relative")]
    write(tmp_path / "net/unix", head + "".join(line.format(state=state, inode=inode, path=path) for state, inode, path in rows))
    assert proc.connected_paths(tmp_path) == ["/a b\u2028.sock"]


def test_processes_that_share_a_port_are_counted(ports: Callable[[int], list[int]]) -> None:
    (port,) = ports(1)
    assert proc.listening(port, os.getuid()) == 0
    with socket.socket() as one, socket.socket() as two:
        for number, listener in enumerate((one, two), 1):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            assert proc.listening(port, os.getuid()) == number


def test_a_bound_socket_is_no_listener(ports: Callable[[int], list[int]]) -> None:
    (port,) = ports(1)
    assert proc.listeners({port}) == {}
