#!/usr/bin/python
"""Ansible module: keep the static files of apps by their content, for nginx."""

from __future__ import annotations

DOCUMENTATION = r"""
module: static_files
short_description: Keep the static files of apps by their content, for nginx
description:
  - Brings the store of each app, F(assets), to what the releases on the host have. What is done already costs a look.
  - A static file gets the names F(<digest>/<path>) there, which are hard links to the file of the release. The digests are the SHA-512 and
    the MD5 of its content, in hexadecimal, as Tornado's C(static_url) puts them into C(v). Files of several releases with the same content
    become one file.
  - Text of more than 1000 bytes gets C(.gz), and where F(/usr/bin/brotli) is there C(.br), beside it in the release, when that is smaller.
    What the release brings of these stays. It counts as its file's encoding, not as a file of its own.
  - A link to a file or a directory of the release counts as what it leads to. Files below a link that itself lies below a linked directory
    have no name in the store, nor have those of which a part of the path begins with a dot.
  - Removes from the store what no release on the host has any more.
  - Refuses when the lock of the host is not this run's any more, since what a killed controller has started goes on.
options:
  apps:
    description: The apps of the host, as M(tornado_app.deploy.plan) gives them. An app whose C(static) is empty has nothing in its store.
    type: dict
    required: true
extends_documentation_fragment: [tornado_app.deploy.lock]
attributes:
  check_mode:
    description: Needs no lock, and does not say what would be removed.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Keep the static files by their content
  tornado_app.deploy.static_files:
    run: 20260102T030405Z-ana-build-1-4711
    apps: "{{ __tornado_app_plan.apps }}"
"""

RETURN = r"""
added:
  description: The releases whose files came to the store, or in check mode would.
  type: list
  elements: path
  returned: success
removed:
  description: How many names were removed.
  type: int
  returned: success
"""

import os
from pathlib import Path
from subprocess import CalledProcessError

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.app import App
from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError
from ansible_collections.tornado_app.deploy.plugins.module_utils.lock import LOCKED, held
from ansible_collections.tornado_app.deploy.plugins.module_utils.releases import names
from ansible_collections.tornado_app.deploy.plugins.module_utils.static_store import Store
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import valid


def bring(app: App, lock: Path, run: str) -> int:
    """Bring the store of one app to what its releases have, and say how many names were removed. The lock's lease begins with each."""
    store = Store(app["assets"], app["releases"], app["static"])
    with held(lock, run):
        store.prepare()
    for release in store.missing(names(Path(app["releases"]))):
        with held(lock, run):
            store.add(release)
    with held(lock, run):
        return store.prune(names(Path(app["releases"])))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"apps": {"type": "dict", "required": True}, **LOCKED}, supports_check_mode=True)
    apps = [app for app in module.params["apps"].values() if os.path.isdir(app["releases"])]
    stores = {app["releases"]: Store(app["assets"], app["releases"], app["static"]) for app in apps}
    added = [f"{releases}/{name}" for releases, store in stores.items() for name in store.missing(names(Path(releases)))]
    removed, before = 0, os.umask(0o026)  # of directories nginx is one of the others: it passes, and lists nothing
    try:
        for app in () if module.check_mode else apps:
            removed += bring(app, Path(module.params["lock"]), module.params["run"])
    except NotHeldError as problem:
        module.fail_json(msg=f"nothing more is changed: {problem}")
    except (OSError, CalledProcessError) as problem:
        module.fail_json(msg=valid(f"{app['assets']}: {problem}; it has to be on one file system with {app['releases']}, with room"))
    finally:
        os.umask(before)
    module.exit_json(changed=bool(added or removed), added=added, removed=removed)


if __name__ == "__main__":
    main()
