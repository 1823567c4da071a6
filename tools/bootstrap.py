#!/usr/bin/env python3
"""Give a fresh machine what the demo and the tests need: Debian packages and a virtualenv of the locked requirements.

Says first what it will install, and installs only what is missing: a second run does nothing.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
# For the unit tests: package -> its program.
UNPACKED = {
    "nginx": "usr/sbin/nginx",
    "logrotate": "usr/sbin/logrotate",
    "haproxy": "usr/sbin/haproxy",
    "redis-tools": "usr/bin/redis-check-rdb",  # called redis-server it is the server
}
BROWSER = ["chromium", "fonts-dejavu-core"]
LOAD = {"wrk": "usr/bin/wrk"}  # for a benchmark
BROTLI = {"brotli": "usr/bin/brotli", "libnginx-mod-http-brotli-static": "usr/lib/nginx/modules/ngx_http_brotli_static_module.so"}
# Theirs, which few machines have.
LIBRARIES = re.compile(
    r"libpopt\w*|libbrotli\w*|libluajit-[\d.]+-\d|libjemalloc\w*|liblua[\d.]+-\d|libopentracing[\w-]*\d\w*|liblzf\w*|libatomic1"
)
# Which Debian packages this script installed here, for the farewell of `make demo-down`.
INSTALLED = TOOLS / "debian-packages"
REQUIREMENTS = ROOT / "requirements.txt"
OLDEST_PYTHON = (3, 11)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with-nginx", action="store_true", help="also unpack nginx and what else the unit tests run")
    parser.add_argument("--with-browser", action="store_true", help="also install Chromium, which the tests drive")
    parser.add_argument("--with-wrk", action="store_true", help="also unpack wrk, which asks nginx in a benchmark")
    arguments = parser.parse_args()
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed; this is {sys.version.split()[0]}.")
    if not shutil.which("apt-get"):
        sys.exit("This machine has no apt-get: the test hosts are made on Debian or Ubuntu.")
    TOOLS.mkdir(exist_ok=True)
    # Two runs may start side by side in one clone: the second waits, then finds all in place.
    with (TOOLS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install_debian_packages([*needed_packages(), *(BROWSER if arguments.with_browser else [])])
        make_virtualenv()
        wanted = (UNPACKED | BROTLI if arguments.with_nginx else {}) | (LOAD if arguments.with_wrk else {})
        for package, program in wanted.items():
            if not (TOOLS / package / program).exists() and (package not in BROTLI or is_known(package)):
                unpack(package)


def needed_packages() -> list[str]:
    """The Debian packages that the test hosts take, all of them small but podman."""
    packages = [
        "aardvark-dns",
        "ca-certificates",
        "debian-archive-keyring",
        "git",
        "iptables",  # netavark up to 1.4 sets its rules up with it, later ones with nftables
        "mmdebstrap",
        "netavark",
        "nftables",
        "openssh-client",
        "podman",
    ]
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        packages.append("runc")  # podman's own choice, crun, refuses cgroup v1
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        packages.append("python3-venv")
    return packages


def install_debian_packages(needed: list[str]) -> None:
    listed = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    missing = [name for name in needed if f"{name} installed" not in listed]
    if not missing:
        return
    say(f"Installing Debian packages: {' '.join(missing)}")
    as_root("apt-get", "update", "--quiet")
    as_root("apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *missing)
    with INSTALLED.open("a") as record:
        record.write("".join(f"{name}\n" for name in missing))


def make_virtualenv() -> None:
    """A virtualenv is whole when its stamp is there, and right when the stamp names these requirements."""
    if VENV.is_symlink():  # it is somebody else's, and would be emptied
        sys.exit(
            f"{VENV} is a link to {VENV.resolve()}, which this would empty. Remove the link (`rm {VENV}`) to get a virtualenv of your own."
        )
    stamp = VENV / "requirements.stamp"
    wanted = f"{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()} Python {sys.version.split()[0]} {VENV}\n"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"Making {VENV.name} with Python {sys.version.split()[0]} and the packages of {REQUIREMENTS.name} (a minute or two)")
    stamp.unlink(missing_ok=True)
    # The Makefile puts .venv/bin first: this may be the very virtualenv that is about to be made anew.
    base_python = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    run(str(base_python), "-m", "venv", "--clear", str(VENV))
    # The lock is complete, so pip need not resolve; and byte code is made when it is first used.
    options = ["--require-hashes", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    run(str(VENV / "bin/python"), "-m", "pip", "install", *options, "--requirement", str(REQUIREMENTS))
    stamp.write_text(wanted)


def unpack(package: str) -> None:
    """Unit tests let the real nginx judge what the templates make, and more; a package is unpacked, not installed."""
    place = TOOLS / package
    say(f"Unpacking Debian's {package} into {place.relative_to(ROOT)} (no service is installed)")
    with tempfile.TemporaryDirectory(dir=TOOLS) as name:
        folder = Path(name)
        unpacked = folder / "unpacked"
        waiting, done = [package], set[str]()
        while waiting:
            archive = download(needed := waiting.pop(), folder)
            extract(archive, unpacked)
            done.add(needed)
            depends = subprocess.run(["dpkg-deb", "--field", archive, "Depends"], check=True, capture_output=True, text=True).stdout
            waiting += set(LIBRARIES.findall(depends)) - done - {*waiting}
        shutil.rmtree(place, ignore_errors=True)
        unpacked.rename(place)


def is_known(package: str) -> bool:
    """Whether the distribution has a package. Its lists are here, as others were downloaded."""
    return subprocess.run(["apt-cache", "show", "--quiet", package], check=False, capture_output=True).returncode == 0


def download(package: str, folder: Path) -> Path:
    """The archive of a Debian package, in a folder."""
    command = ["apt-get", "--quiet", "--option=APT::Sandbox::User=root", "download", package]
    if subprocess.run(command, cwd=folder, check=False).returncode:
        as_root("apt-get", "update", "--quiet")
        subprocess.run(command, cwd=folder, check=True)
    (archive,) = folder.glob(f"{package}_*.deb")
    return archive


def extract(archive: Path, folder: Path) -> None:
    run("dpkg-deb", "--extract", str(archive), str(folder))


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def as_root(*command: str) -> None:
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    if prefix and not shutil.which("sudo"):
        sys.exit("Installing Debian packages takes root, or sudo; here is neither.")
    run(*prefix, "env", "DEBIAN_FRONTEND=noninteractive", *command)


def run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"This failed, with exit code {error.returncode}: {' '.join(map(str, error.cmd))}")
    except KeyboardInterrupt:
        sys.exit(130)
