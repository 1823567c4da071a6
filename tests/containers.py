"""The containers that test hosts are, as the root of this machine sees them."""

import os
import subprocess


def by_root(*command: str) -> str:
    """What a command of this machine's root prints."""
    return subprocess.check_output([*([] if os.geteuid() == 0 else ["sudo"]), *command], text=True).strip()


def inspected(address: str, form: str) -> str:
    """What Podman says of the host with this address, in a form of Go's templates."""
    containers = by_root("podman", "ps", "--quiet", "--filter=name=tornado-app-").split()
    own = f"{form} {{{{range .NetworkSettings.Networks}}}}{{{{.IPAddress}}}}{{{{end}}}}"
    lines = by_root("podman", "inspect", f"--format={own}", *containers).splitlines()
    (found,) = [line.split()[0] for line in lines if line.endswith(f" {address}")]
    return found


def first_process(address: str) -> int:
    """The process of this machine that is the first one of a host."""
    return int(inspected(address, "{{.State.Pid}}"))


def run_inside(address: str, command: str) -> None:
    """Run a command on a host that cannot be reached."""
    by_root("podman", "exec", inspected(address, "{{.Id}}"), "sh", "-c", command)
