#!/usr/bin/python
"""Ansible module: remove old releases of an app, and environments that no release needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prune_releases
short_description: Remove old releases of an app, and environments that no release needs
description:
  - Keeps the newest releases and those that a slot's link names, removes the others, then the environments that no kept release names.
  - What an interrupted installation left behind goes too.
options:
  home:
    description: The app's directory, with F(releases), F(environments) and F(slots).
    type: path
    required: true
  keep:
    description: Releases to keep; those of the slots count.
    type: int
    required: true
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Remove old releases
  prune_releases:
    home: /srv/shop
    keep: 5
"""

RETURN = r"""
removed:
  description: Paths that were removed.
  type: list
  elements: path
  returned: always
"""

import json
import os
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def environment_of(release: Path) -> str:
    """The digest of the environment that a release needs; empty when nothing tells."""
    try:
        return str(json.loads(release.with_name(f"{release.name}.json").read_text())["environment"])
    except (OSError, ValueError, KeyError):
        return ""


def obsolete(home: Path, keep: int) -> list[Path]:
    """What can go, leftovers first and releases before environments."""
    releases = sorted(
        (path for path in (home / "releases").glob("*") if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: path.stat().st_ctime,
        reverse=True,
    )
    used = {Path(os.readlink(link)).name for link in (home / "slots").glob("*") if link.is_symlink()}
    # A slot's release is kept however old it is, and takes one of the places.
    kept = sorted(releases, key=lambda path: path.name not in used)[: max(keep, len(used))]
    names = {path.name for path in kept}
    gone = [path for path in (home / "releases").glob("*") if path.name.removesuffix(".json") not in names]
    needed = {environment_of(path) for path in kept}
    gone += [path for path in (home / "environments").glob("*") if path.name not in needed]
    return sorted(gone, key=lambda path: (not path.name.startswith("."), path.parent.name != "releases", path))


def remove(path: Path) -> None:
    """Remove a file, or a directory in one step: what is left of it when this is interrupted is no release and no environment any more."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    doomed = path if path.name.startswith(".") else path.with_name(f".{path.name}.removed")
    path.rename(doomed)
    shutil.rmtree(doomed)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"home": {"type": "path", "required": True}, "keep": {"type": "int", "required": True}},
        supports_check_mode=True,
    )
    gone = obsolete(Path(module.params["home"]), max(1, module.params["keep"]))
    if not module.check_mode:
        for path in gone:
            remove(path)
    module.exit_json(changed=bool(gone), removed=[str(path) for path in gone])


if __name__ == "__main__":
    main()
