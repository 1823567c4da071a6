#!/usr/bin/python
"""Ansible module: unpack releases, for their app alone to read."""

from __future__ import annotations

DOCUMENTATION = r"""
module: install_releases
short_description: Unpack releases, for their app alone to read
description:
  - Each archive is unpacked beside where it goes, given to its app (see M(tornado_app.deploy.release_modes)), brought to the disk, and
    gets its name last. What has its name is whole.
  - A release that is there stays as it is.
  - Refuses when the lock of the host is not this run's any more, since what a killed controller has started goes on.
options:
  releases:
    description: The releases.
    type: list
    elements: dict
    required: true
    suboptions:
      app: {description: "Name of the app.", type: str, required: true}
      path: {description: "The archive, on the controller.", type: path, required: true}
      releases: {description: "The directory of the app's releases, on the host.", type: path, required: true}
      release: {description: "The name of the release.", type: str, required: true}
      group: {description: "The app's group.", type: str, required: true}
      static: {description: "Directory in the release whose files nginx serves; empty when it serves none.", type: str, default: ""}
extends_documentation_fragment: [tornado_app.deploy.lock]
attributes:
  check_mode:
    support: full
  action:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Unpack the releases
  tornado_app.deploy.install_releases:
    run: 20260102T030405Z-ana-build-1-4711
    releases: "{{ __tornado_app_new }}"
"""

RETURN = r"""
paths:
  description: The releases that were unpacked, or in check mode would be.
  type: list
  elements: path
  returned: success
msg:
  description: What went wrong; the name of a release stands for a whole one in any case.
  type: str
  returned: failure
"""

import grp
import shutil
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED, held
from ansible_collections.tornado_app.deploy.plugins.module_utils.modes import give, wrong
from ansible_collections.tornado_app.deploy.plugins.module_utils.releases import ARCHIVES


def unpack(module: AnsibleModule, release: Mapping[str, str], name: Path) -> None:
    """Make a release under another name, and name it once it is on the disk."""
    made = name.parent / f".{module.params['run']}"
    if made.exists():
        shutil.rmtree(made)
    made.mkdir(mode=0o700)
    tar = module.get_bin_path("tar", required=True)
    module.run_command([tar, "--extract", "--file", release["path"], "--directory", str(made), "--no-same-owner"], check_rc=True)
    for change in wrong(str(made), release["static"], grp.getgrnam(release["group"]).gr_gid):
        give(*change)
    module.run_command([module.get_bin_path("sync", required=True), "--file-system", str(made)], check_rc=True)
    made.rename(name)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"releases": ARCHIVES, **LOCKED}, supports_check_mode=True)
    named = {Path(release["releases"]) / release["release"]: release for release in module.params["releases"]}
    missing = {name: release for name, release in named.items() if not name.exists()}
    try:
        if missing and not module.check_mode:
            with held(Path(module.params["lock"]), module.params["run"]):
                for name, release in missing.items():
                    unpack(module, release, name)
    except NotHeldError as problem:
        module.fail_json(msg=f"nothing is changed: {problem}")
    except OSError as problem:
        module.fail_json(msg=f"{problem.filename}: {problem.strerror}")
    module.exit_json(changed=bool(missing), paths=list(map(str, missing)))


if __name__ == "__main__":
    main()
