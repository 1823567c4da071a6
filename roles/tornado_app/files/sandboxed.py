"""Run a command as an app does, in the app's own sandbox: sandboxed.py [--seconds=MOST] APP COMMAND [ARGUMENT...]. For root.

`sandboxed.py shop supervisorctl status` asks the app's supervisord. A process of the app's user outside of the sandbox would be a way
out of it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

UNITS = Path("/etc/systemd/system")
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


def main() -> None:
    """Become systemd-run, which waits for the command and ends as it does."""
    arguments = sys.argv[1:]
    limited = arguments[:1] if arguments[:1] and arguments[0].startswith("--seconds=") else []
    app, *command = arguments[len(limited) :] or [""]
    path = UNITS / f"{app}.service"
    if not app or not command or not path.is_file():
        sys.exit(f"{__doc__}\n{path} is not there" if command else f"{__doc__}")
    unit = path.read_text(encoding="utf-8")
    if command[0] == "supervisorctl":
        command = of_supervisord(unit, command[1:])
    terminal = "--pty" if sys.stdin.isatty() and sys.stdout.isatty() else "--pipe"
    # Where the caller is may be hidden in the sandbox, as a home is.
    directory = f"--property=WorkingDirectory=-{os.getcwd().replace('%', '%%')}"
    options = ["--collect", "--wait", terminal, directory, "--service-type=exec"]
    # Who has limited a command is told what ended it.
    options.append(f"--property=RuntimeMaxSec={limited[0].partition('=')[2]}" if limited else "--quiet")
    os.execvp("systemd-run", ["systemd-run", *options, *(f"--property={line}" for line in properties(unit)), "--", *command])


if __name__ == "__main__":
    main()
