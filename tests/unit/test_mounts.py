"""Directories of sockets that are opened to units that run: the real open_sockets, and a real mount namespace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.conftest import OWN, make_slot, process, run_module, utils, wait_until
from tests.unit.impostor import impostor, is_supervisord

mounts = utils("mounts")

MOUNT = "{number} 1 0:25 {root} {point} {options} shared:5 - tmpfs tmpfs rw\n"


def table(proc: Path, *mounted: tuple[str, str, str]) -> Path:
    """A /proc in which process 7 has these mounts: root, mount point and options."""
    (proc / "7").mkdir(exist_ok=True)
    lines = (MOUNT.format(number=number, root=root, point=point, options=options) for number, (root, point, options) in enumerate(mounted))
    (proc / "7/mountinfo").write_text("".join(lines))
    return proc


RUN = ("/", "/run", "ro,nosuid")
OWN_MOUNT = ("/tornado_app/sockets/shop", "/run/tornado_app/sockets/shop", "rw,nosuid")


@pytest.mark.parametrize(
    ("mounted", "so"),
    [
        ([("/", "/", "rw")], True),
        ([("/", "/", "rw"), RUN], False),
        ([RUN, OWN_MOUNT], True),
        ([RUN, (*OWN_MOUNT[:2], "ro")], False),
        ([RUN, (*OWN_MOUNT[:2], "ro"), OWN_MOUNT], True),
        ([RUN, (f"{OWN_MOUNT[0]}//deleted", *OWN_MOUNT[1:])], False),
        ([RUN, ("/x", "/run/tornado_app/sockets/shop2", "rw"), ("/x", "/run/tornado_app/sockets/sho", "rw")], False),
        ([RUN, ("/x", "/run/tornado_app/sockets/shop/below", "rw")], False),
        ([], False),
    ],
)
def test_whether_a_process_can_write_is_what_its_nearest_mount_says(tmp_path: Path, mounted: list[Any], so: bool) -> None:
    assert mounts.writable(7, OWN_MOUNT[1], table(tmp_path, *mounted)) is so


def test_blanks_in_paths(tmp_path: Path) -> None:
    assert mounts.writable(7, "/a b/c", table(tmp_path, ("/", "/", "ro"), ("/", "/a\\040b", "rw")))


@given(st.binary(max_size=200))
def test_whatever_a_table_says_is_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    proc = table(tmp_path_factory.mktemp("p"))
    (proc / "7/mountinfo").write_bytes(content)
    assert mounts.writable(7, "/run/x", proc) in (True, False)


# A real namespace

# The program listens as a supervisord does, where its mounts let it write nothing below the directory.
SANDBOX = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
WRITES = """
import os, sys, time
open(sys.argv[2], "w").close()
while not os.access(sys.argv[1], os.W_OK):
    time.sleep(0.02)
open(sys.argv[1] + "/8000.sock", "w").close()
time.sleep(3600)
"""


@pytest.fixture
def sandboxed(tmp_path: Path) -> Iterator[int]:
    """The id of a process that cannot write in the directory `sockets`, and does so when it can."""
    (tmp_path / "sockets").mkdir()
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here: they are root's")
    place = str(tmp_path / "sockets")
    program = ["unshare", "--mount", "sh", "-c", SANDBOX, "sh", place, sys.executable, "-c", WRITES, place]
    with process(*program, tmp_path / "begun") as running:
        wait_until((tmp_path / "begun").exists, "the sandboxed process")
        yield running.pid


def test_a_process_gets_a_directory_to_write_in_while_it_runs(tmp_path: Path, sandboxed: int) -> None:
    path, outside = str(tmp_path / "sockets"), Path("/proc/self/mountinfo").read_text()
    assert mounts.writable(os.getpid(), path)
    assert not mounts.writable(sandboxed, path)
    mounts.open_to(sandboxed, os.getuid(), OWN["unit"], path)
    assert mounts.writable(sandboxed, path)
    wait_until(Path(path, "8000.sock").exists, "what the process writes")
    assert Path("/proc/self/mountinfo").read_text() == outside


def test_nothing_is_opened_to_a_process_that_is_not_the_units(tmp_path: Path, sandboxed: int) -> None:
    for uid, unit in ((os.getuid() + 1, OWN["unit"]), (os.getuid(), "other.service")):
        with pytest.raises(mounts.MountError, match="is not of"):
            mounts.open_to(sandboxed, uid, unit, str(tmp_path / "sockets"))
    with pytest.raises(mounts.MountError, match="without a sandbox"):
        mounts.open_to(os.getpid(), os.getuid(), OWN["unit"], str(tmp_path / "sockets"))
    assert not mounts.writable(sandboxed, str(tmp_path / "sockets"))


# The module

STATE = is_supervisord({"getState": {"statecode": 1, "statename": "RUNNING"}})


def opened(tmp_path: Path, *addresses: str, **changed: Any) -> dict[str, Any]:
    """What the module says of a slot with these addresses, whose supervisord is this process."""
    slot = make_slot(socket=f"{tmp_path}/sock", addresses=list(addresses), **{**OWN, **changed})
    with impostor(tmp_path / "sock", STATE):
        return run_module("open_sockets", slots=[slot])


def test_what_is_open_or_no_socket_is_left_alone(tmp_path: Path) -> None:
    result = opened(tmp_path, f"unix:{tmp_path}/8000.sock", f"unix:{tmp_path}/8001.sock")
    assert (result["changed"], result["paths"], result.get("failed", False)) == (False, [], False)
    result = run_module("open_sockets", slots=[make_slot(socket=f"{tmp_path}/none")])
    assert (result["changed"], result["paths"]) == (False, [])


def test_who_answers_has_to_be_of_the_unit(tmp_path: Path) -> None:
    result = opened(tmp_path, f"unix:{tmp_path}/8000.sock", unit="other.service")
    assert result["msg"] == f"who answers on {tmp_path}/sock is not of other.service"


def test_nobody_answers(tmp_path: Path) -> None:
    slot = make_slot(socket=f"{tmp_path}/none", addresses=[f"unix:{tmp_path}/8000.sock"], **OWN)
    assert run_module("open_sockets", slots=[slot])["msg"].startswith(f"{tmp_path} cannot be opened to {OWN['unit']}: ")
