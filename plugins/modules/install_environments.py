#!/usr/bin/python
"""Ansible module: make virtual environments with what apps require."""

from __future__ import annotations

DOCUMENTATION = r"""
module: install_environments
short_description: Make virtual environments with what apps require
description:
  - Makes each environment that is not there yet, and installs into it with pip. An environment is never changed later.
  - What pip runs comes with the packages. It runs in a transient unit of systemd, as a user of its own that exists as long as the unit,
    which can write to the new environment alone. Then all of it is given to root.
  - An environment gets its place when it is whole. What an interrupted call left behind is ended and made again. A call that goes on
    without its controller is waited for.
options:
  environments:
    description: The environments.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {description: Its directory., type: path, required: true}
      python: {description: Path of the Python that it is for., type: path, required: true}
      install: {description: What pip is to install; arguments of pip., type: list, elements: str, required: true}
      chdir: {description: Directory in which pip runs and which it can read., type: path, required: true}
      app: {description: The app whose files pip may read; empty for none., type: str, default: ""}
      setting: {description: The setting that a message names when pip fails., type: str, required: true}
  options:
    description: Options of pip for all of them.
    type: list
    elements: str
    default: []
notes:
  - pip takes its settings from F(/etc/pip.conf) and from variables like C(PIP_INDEX_URL) and C(https_proxy) of the task.
attributes:
  check_mode:
    description: Reports the environments that would be made.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Install what the shop requires
  tornado_app.deploy.install_environments:
    environments:
      - path: /srv/shop/environments/5b6f8e01c2d3
        python: /usr/bin/python3
        install: ["--requirement=/srv/shop/releases/0f9c2d6b41aa/requirements.txt"]
        chdir: /srv/shop/releases/0f9c2d6b41aa
        app: shop
        setting: tornado_apps.shop.requirements
"""

RETURN = r"""
made:
  description: Paths of the environments that were made.
  type: list
  elements: path
  returned: success
"""

import os
import re
import stat
import subprocess
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import Environment
from ansible_collections.tornado_app.deploy.plugins.module_utils.command import output
from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError, locked
from ansible_collections.tornado_app.deploy.plugins.module_utils.sandbox import MOST, of_build
from ansible_collections.tornado_app.deploy.plugins.module_utils.untrusted import remove_tree

LOCK = Path("/run/tornado_app/environments.lock")  # what a killed controller has started goes on
UNIT = "tornado_app-build"
SAID = 20_000  # bytes of what a build says that are shown
PASSED_ON = re.compile(r"PIP_\w+|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE")


class BuildError(Exception):
    """A command of the build failed; the message is what it said."""


def is_whole(environment: Environment) -> bool:
    """Whether an environment is there."""
    return Path(environment["path"], ".complete").exists()


def run(environment: Environment, place: Path, *command: str) -> None:
    """Run a command as the builder; raises BuildError when it fails."""
    subprocess.run(["systemctl", "stop", "--quiet", UNIT], capture_output=True, check=False)  # of a run whose controller was killed
    properties = of_build(environment["path"], str(place / "environment"), environment["chdir"], environment["app"])
    variables = place / "variables"
    lines = (f"{name}={quoted(value)}\n" for name, value in os.environ.items() if PASSED_ON.fullmatch(name) and "\n" not in value)
    variables.write_text("".join(lines))
    options = ["--quiet", "--collect", "--wait", "--pipe", f"--unit={UNIT}", f"--working-directory={environment['chdir']}"]
    listed = [f"--property={line}" for line in (*properties, f"EnvironmentFile={variables}")]
    # systemd-run looks for the command where it is itself, where the new environment is not; env is found there.
    begin = time.monotonic()
    code, said = output(["systemd-run", *options, *listed, "--", "/usr/bin/env", *command], SAID, MOST + 60)
    if code:
        late = f"\nit was ended after {MOST} s" if time.monotonic() - begin >= MOST else ""
        raise BuildError(f"{environment['setting']}: {said.strip() or f'{command[0]} ended with {code}'}{late}")


def quoted(value: str) -> str:
    """A value for a file of variables."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def give_to_root(tree: Path) -> None:
    """Make all of a tree root's, and readable for everybody; links are not followed. What is no file, directory or link goes."""
    for folder, directories, files in os.walk(tree):
        for path in (Path(folder), *(Path(folder, name) for name in (*directories, *files))):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                os.lchown(path, 0, 0)
            elif stat.S_ISDIR(mode) or stat.S_ISREG(mode):
                os.chown(path, 0, 0, follow_symlinks=False)
                path.chmod(0o755 if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0o644)
            else:
                path.unlink()


def make(environment: Environment, options: list[str]) -> None:
    """Make an environment in a directory that only root can enter, and give it its place."""
    path = Path(environment["path"])
    place = path.with_name(f".{path.name}")
    os.umask(0o022)  # apps read what is made
    remove_tree(place)
    place.mkdir(mode=0o700, parents=True)
    built = place / "environment"
    built.mkdir()
    built.chmod(0o777)  # the builder's user has no number before it runs
    path.mkdir(exist_ok=True)  # a place to bind to
    run(environment, place, environment["python"], "-m", "venv", str(path))
    if environment["install"]:
        arguments = [option for option in environment["install"] if option.startswith("--requirement=")]
        names = [name for name in environment["install"] if name not in arguments]
        # What is no app's, root runs: its packages come without code that builds them.
        wheels = [] if environment["app"] else ["--only-binary=:all:"]
        run(environment, place, f"{path}/bin/python", "-m", "pip", "install", *options, *wheels, *arguments, "--", *names)
    try:
        give_to_root(built)
        # The build may have put a link there.
        os.close(os.open(built / ".complete", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644))
    except (OSError, RecursionError) as problem:  # the latter: directories that lie too deep in each other
        raise BuildError(f"{environment['setting']}: what it installs cannot be given to root: {problem}") from None
    subprocess.run(["sync", "--file-system", str(built)], check=True)
    remove_tree(path)
    built.rename(path)
    remove_tree(place)


def main() -> None:
    """Run the module."""
    environment = {
        "path": {"type": "path", "required": True},
        "python": {"type": "path", "required": True},
        "install": {"type": "list", "elements": "str", "required": True},
        "chdir": {"type": "path", "required": True},
        "app": {"type": "str", "default": ""},
        "setting": {"type": "str", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "environments": {"type": "list", "elements": "dict", "required": True, "options": environment},
            "options": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    missing = [environment for environment in module.params["environments"] if not is_whole(environment)]
    try:
        if missing and not module.check_mode:
            with locked(LOCK):
                for environment in [environment for environment in missing if not is_whole(environment)]:
                    make(environment, module.params["options"])
    except (BuildError, NotHeldError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=bool(missing), made=[environment["path"] for environment in missing])


if __name__ == "__main__":
    main()
