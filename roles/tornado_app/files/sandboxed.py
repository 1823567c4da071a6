"""Run a command as an app does, in the app's own sandbox: sandboxed.py [--seconds=MOST] APP COMMAND [ARGUMENT...]. For root.

`sandboxed.py shop supervisorctl status` asks the app's supervisord. A process of the app's user outside of the sandbox would be a way
out of it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path("/etc/systemd/system")
MOST = 1_000_000  # bytes of what a command prints
BEGIN = "# The sandbox"


def properties(unit: str) -> list[str]:
    """The lines of a unit that make the sandbox: those behind the comment, up to an empty one."""
    lines = iter(unit.splitlines())
    for line in lines:
        if line.startswith(BEGIN):
            break
    found = []
    for line in lines:
        if not line:
            break
        found.append(line)
    return found


def of_supervisord(unit: str, arguments: list[str]) -> list[str]:
    """The command of the app's supervisorctl."""
    program, *_, configuration = next(line for line in unit.splitlines() if line.startswith("ExecStart=")).partition("=")[2].split()
    return [str(Path(program).with_name("supervisorctl")), configuration, *arguments]


def relayed(command: list[str]) -> int:
    """Run a command and pass on what it prints, until it ends; how it ended.

    Its own output, or a terminal as its input, would stay with whatever it has given them to.
    """
    stdin = subprocess.DEVNULL if sys.stdin.isatty() else None
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        outputs = {stream.fileno(): number for number, stream in ((1, child.stdout), (2, child.stderr)) if stream}
        ended, left = False, MOST
        while outputs and not ended:
            ended = child.poll() is not None  # before the reads, so that the last words are read too
            for descriptor in select.select(list(outputs), [], [], 0 if ended else 0.2)[0]:
                said = os.read(descriptor, 65536)
                os.write(outputs[descriptor], said[:left])
                left -= len(said[:left])
                if not said:
                    del outputs[descriptor]
        return child.wait()


def main() -> None:
    """Let systemd-run wait for the command, and end as it does."""
    arguments = sys.argv[1:]
    limited = arguments[:1] if arguments[:1] and arguments[0].startswith("--seconds=") else []
    app, *command = arguments[len(limited) :] or [""]
    path = UNITS / f"{app}.service"
    if not app or not command or not path.is_file():
        sys.exit(f"{__doc__}\n{path} is not there" if command else f"{__doc__}")
    unit = path.read_text(encoding="utf-8")
    found = properties(unit)
    if not found:  # without them, systemd-run would run the command as root
        sys.exit(f"{path} has no sandbox yet: run site.yml with --tags provision first")
    if command[0] == "supervisorctl":
        command = of_supervisord(unit, command[1:])
    terminal = "--pty" if sys.stdin.isatty() and sys.stdout.isatty() else "--pipe"
    # Where the caller is may be hidden in the sandbox, as a home is.
    directory = f"--property=WorkingDirectory=-{os.getcwd().replace('%', '%%')}"
    options = ["--quiet", "--collect", "--wait", terminal, directory, "--service-type=exec"]
    most = limited[0].partition("=")[2] if limited else "infinity"
    options.append(f"--property=RuntimeMaxSec={most}")
    whole = ["systemd-run", *options, *(f"--property={line}" for line in found), "--", *command]
    if terminal == "--pty":
        os.execvp(whole[0], whole)
    begin = time.monotonic()
    code = relayed(whole)
    if code and time.monotonic() - begin >= float(most):
        print(f"{app}: it was ended after {most} s, the most that it may take", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
