#!/usr/bin/python
"""Ansible module: remove old releases of apps, and environments that no release needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prune_releases
short_description: Remove old releases of apps, and environments that no release needs
description:
  - Keeps of each app the releases that were live last, those that a slot's link names and the one that a rollback goes to, removes the
    others, then the environments that no kept release names.
  - What an interrupted installation left behind goes too.
options:
  homes:
    description: The apps' directories, each with F(releases), F(environments) and F(slots).
    type: list
    elements: path
    required: true
  keep:
    description: Releases to keep of each app; those of the slots and the rollback's count, and are kept in any case.
    type: int
    required: true
extends_documentation_fragment: [tornado_app.deploy.lock]
attributes:
  check_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Remove old releases
  tornado_app.deploy.prune_releases:
    homes: [/srv/shop, /srv/blog]
    run: 20260102T030405Z-build-1-4711
    keep: 5
"""

RETURN = r"""
removed:
  description: Paths that were removed.
  type: list
  elements: path
  returned: always
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.history import previous, read
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED, held
from ansible_collections.tornado_app.deploy.plugins.module_utils.releases import names, record, with_environments
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import valid
from ansible_collections.tornado_app.deploy.plugins.module_utils.untrusted import remove_tree


def kept_releases(home: Path, keep: int) -> set[str]:
    """The releases that stay: those of the slots, what a rollback goes to, and then the ones that were live last.

    One that was never live comes after all that were; of several the newest comes first.
    """
    present = sorted(names(home / "releases"), key=lambda name: (home / "releases" / name).stat().st_ctime, reverse=True)
    live = home / "slots" / ("green" if (home / "live/green").exists() else "blue")
    history = read(live.with_name(f"{live.name}.history.json"))
    needed = {Path(os.readlink(link)).name for link in (home / "slots/blue", home / "slots/green") if link.is_symlink()}
    if live.is_symlink():
        whole = [name for name, environment in with_environments(home / "releases", home / "environments").items() if environment]
        needed.add(previous(history, Path(os.readlink(live)).name, whole))
    served = [entry["release"] for entry in history["releases"] if entry["release"] in present]
    ranking = dict.fromkeys([*(name for name in present if name in needed), *served, *present])
    return set(list(ranking)[: max(keep, len(needed & set(present)))])


def obsolete(home: Path, keep: int) -> list[Path]:
    """What can go, leftovers first and releases before environments."""
    kept = kept_releases(home, keep)
    gone = [path for path in (home / "releases").glob("*") if path.name.removesuffix(".json") not in kept]
    environments = {str(record(home / "releases" / name)["environment"]) for name in kept}
    gone += [path for path in (home / "environments").glob("*") if path.name not in environments]
    return sorted(gone, key=lambda path: (not path.name.startswith("."), path.parent.name != "releases", path))


def remove(path: Path) -> None:
    """Remove a file, or a directory in one step: what is left of it when this is interrupted is neither a release nor an environment."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    doomed = path if path.name.startswith(".") else path.with_name(f".{path.name}.removed")
    path.rename(doomed)
    remove_tree(doomed)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "homes": {"type": "list", "elements": "path", "required": True},
            "keep": {"type": "int", "required": True},
            **LOCKED,
        },
        supports_check_mode=True,
    )
    try:
        with held(Path(module.params["lock"]), module.params["run"]):  # what another run needs is not known here
            gone = [path for home in module.params["homes"] for path in obsolete(Path(home), max(1, module.params["keep"]))]
            if not module.check_mode:
                for path in gone:
                    remove(path)
    except NotHeldError as problem:
        module.fail_json(msg=f"nothing is removed: {problem}")
    module.exit_json(changed=bool(gone), removed=[valid(str(path)) for path in gone])


if __name__ == "__main__":
    main()
