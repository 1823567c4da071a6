#!/usr/bin/python
"""Ansible module: install nginx configuration files as a whole, and have nginx run what is on disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_config
short_description: Install nginx configuration files as a whole, and have nginx run what is on disk
description:
  - Puts the files into a copy of the configuration tree, lets C(nginx -t) judge the whole of it, and moves them into place only when it
    passes. The configuration that was there stays otherwise.
  - Reloads nginx when what is on disk is not what it last loaded, and waits until the new workers serve.
  - A reload cuts the idle connections of clients, and a request that is sent at that moment with them. So before it O(closing) is there,
    upon which the sites are expected to ask clients to close their connections, until the earlier connections have ended.
  - Of a server name that several sites of an address have, nginx takes the first site and no more than warns of the others. That is
    refused for the names of a file with O(files[].app), whichever of the two would win.
  - Include directives of the files should be relative, so that the copy includes its own files.
  - One after the other on a host, since what a killed controller has started goes on to its end.
options:
  files:
    description: The files.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: "Path relative to O(root).", type: str, required: true}
      content: {description: "The whole content.", type: str, required: true}
      app: {description: "The app whose site it is, if it is one; nobody else may have its server names.", type: str, default: ""}
  absent:
    description: Paths relative to O(root) that are removed.
    type: list
    elements: str
    default: []
  root:
    description: The configuration tree.
    type: path
    default: /etc/nginx
  state_file:
    description: Where the digest of what nginx last loaded is kept.
    type: path
    default: /var/lib/tornado_app/nginx.loaded
  lock:
    description: File that only root can open, by which one call waits for another one.
    type: path
    default: /run/tornado_app/nginx.lock
  closing:
    description: File that is there while clients are asked not to use their connections again.
    type: path
    default: /run/tornado_app/closing
  keepalive_timeout:
    description: Seconds after which an idle connection is over in any case; the longest wait before a reload.
    type: float
    default: 65
  timeout:
    description: Seconds that the new workers may take to appear.
    type: float
    default: 15
attributes:
  check_mode:
    description: Validates too where nginx is installed.
    support: full
  diff_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Install the site
  tornado_app.deploy.nginx_config:
    files:
      - path: conf.d/shop.conf
        content: "{{ lookup('ansible.builtin.template', 'site.conf.j2') }}"
"""

RETURN = r"""
reloaded:
  description: Whether nginx was reloaded.
  type: bool
  returned: success
"""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError, locked
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx import NGINX, RefusedError, loaded_digest, master, shared_names
from ansible_collections.tornado_app.deploy.plugins.module_utils.own_lines import blamed
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import nginx_workers, peers
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import exact, valid

HTTP = 80


def text(path: Path) -> str | None:
    """What a file says, in whatever encoding; None when it is not there."""
    try:
        found: str = exact(path)
    except FileNotFoundError:
        return "" if path.is_symlink() else None  # a link to nothing is there all the same
    return found


def copy_with(root: Path, wanted: dict[str, str | None], candidate: Path) -> None:
    """Make the tree as it would be: the present one with the wanted files."""
    if root.is_dir():
        shutil.copytree(root, candidate, symlinks=True)
        for link in [path for path in candidate.rglob("*") if path.is_symlink()]:
            original = (root / link.relative_to(candidate)).resolve()
            link.unlink()
            if original.is_dir():  # what is put there must not reach the original
                shutil.copytree(original, link, ignore_dangling_symlinks=True)
            else:  # a relative link would lead out of the copy
                link.symlink_to(original)
    for relative, content in wanted.items():
        path = candidate / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content, encoding="utf-8")


def refuse_shared_names(module: AnsibleModule, dump: str, complaints: str, sites: Mapping[str, str]) -> None:
    """Fail when an app would not get the requests for its names, or would get those of somebody else."""
    if problems := shared_names(dump, complaints, sites):
        module.fail_json(msg=valid(f"the present configuration of nginx stays in place: {'; '.join(problems)}"))


def judge(module: AnsibleModule, root: Path, wanted: dict[str, str | None], sites: Mapping[str, str]) -> None:
    """Let nginx itself judge the tree as it would be."""
    with tempfile.TemporaryDirectory(prefix="nginx-candidate-") as folder:
        candidate = Path(folder) / "nginx"
        copy_with(root, wanted, candidate)
        code, dump, errors = told(module, candidate)
        if code:
            message = valid(errors).replace(str(candidate), str(root)).strip()
            message = blamed(message, {str(root / path): content for path, content in wanted.items()})
            module.fail_json(msg=f"nginx refuses the new configuration, the present one stays in place: {message}")
        refuse_shared_names(module, dump.replace(str(candidate), str(root)), errors, sites)


def told(module: AnsibleModule, root: Path) -> tuple[int, str, str]:
    """What nginx says of a tree: its exit code, all files that count, and its complaints."""
    code, dump, errors = module.run_command([NGINX, "-T", "-q", "-c", str(root / "nginx.conf")])
    return int(code), str(dump), str(errors)


def let_clients_go(module: AnsibleModule) -> None:
    """Wait until no connection is left that was there before clients were asked to open new ones."""
    before = peers(HTTP)
    deadline = time.monotonic() + module.params["keepalive_timeout"]
    while before & peers(HTTP) and time.monotonic() < deadline:
        time.sleep(0.05)


def reload(module: AnsibleModule) -> None:
    """Reload nginx without cutting a request, and wait until workers with the new configuration have taken over."""
    closing = Path(module.params["closing"])
    closing.parent.mkdir(parents=True, exist_ok=True)
    closing.parent.chmod(0o755)  # nginx's workers look for the file
    closing.touch()
    try:
        let_clients_go(module)
        replace_workers(module)
    finally:
        closing.unlink(missing_ok=True)


def replace_workers(module: AnsibleModule) -> None:
    """Reload nginx and wait until workers with the new configuration have taken over."""
    pid = master()
    before = set(nginx_workers(pid))
    module.run_command([module.get_bin_path("systemctl", required=True), "reload", "nginx.service"], check_rc=True)
    deadline = time.monotonic() + module.params["timeout"]
    while not (now := set(nginx_workers(pid))) or now & before:
        if time.monotonic() > deadline:
            module.fail_json(msg="nginx was told to reload but did not replace its workers; see /var/log/nginx/error.log")
        time.sleep(0.05)


def is_public(path: Path, content: str | None) -> bool:
    """Whether a file that is to be there belongs to root and can be read by all."""
    if content is None:
        return True
    found = path.lstat()
    return (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (os.geteuid(), os.getegid(), 0o644)


def install(module: AnsibleModule, path: Path, content: str | None) -> None:
    """Put one file into place, whole or not at all; remove it when there is no content."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(content)
    module.atomic_move(temporary, str(path))
    os.chown(path, os.geteuid(), os.getegid())  # the move gives a new file the owner and the mode of the one before
    os.chmod(path, 0o644)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "content": {"type": "str", "required": True},
                    "app": {"type": "str", "default": ""},
                },
            },
            "absent": {"type": "list", "elements": "str", "default": []},
            "root": {"type": "path", "default": "/etc/nginx"},
            "state_file": {"type": "path", "default": "/var/lib/tornado_app/nginx.loaded"},
            "lock": {"type": "path", "default": "/run/tornado_app/nginx.lock"},
            "closing": {"type": "path", "default": "/run/tornado_app/closing"},
            "keepalive_timeout": {"type": "float", "default": 65},
            "timeout": {"type": "float", "default": 15},
        },
        supports_check_mode=True,
    )
    try:  # a check changes nothing, and is in nobody's way
        with nullcontext() if module.check_mode else locked(Path(module.params["lock"])):
            configure(module)
    except NotHeldError as problem:
        module.fail_json(msg=f"nothing is changed: {problem}")


def configure(module: AnsibleModule) -> None:
    """Bring files and nginx to what is wanted, and end the module."""
    root, state_file = Path(module.params["root"]), Path(module.params["state_file"])
    wanted: dict[str, str | None] = {file["path"]: file["content"] for file in module.params["files"]}
    wanted.update(dict.fromkeys(module.params["absent"]))
    before = {path: text(root / path) for path in wanted}
    differing = {path: content for path, content in wanted.items() if content != before[path] or not is_public(root / path, content)}

    installed = Path(NGINX).exists()
    if not installed and not module.check_mode:
        module.fail_json(msg=f"{NGINX} is not there: install nginx first")
    sites = {str(root / file["path"]): file["app"] for file in module.params["files"] if file["app"]}
    if differing and installed:
        judge(module, root, differing, sites)
    elif installed and sites:
        _, dump, errors = told(module, root)
        refuse_shared_names(module, dump, errors, sites)
    if differing and not module.check_mode:
        for path, content in differing.items():
            install(module, root / path, content)

    result: dict[str, Any] = {"changed": bool(differing), "reloaded": False, "diff": []}
    for path, content in differing.items():
        result["diff"].append(
            {
                "before_header": str(root / path),
                "after_header": str(root / path),
                "before": valid(before[path] or ""),
                "after": content or "",
            }
        )
    if installed and not module.check_mode:
        try:
            digest = loaded_digest(root)
        except RefusedError as problem:
            module.fail_json(msg=f"nginx refuses the configuration on disk: {problem}")
        if text(state_file) != digest:
            if master():
                reload(module)
                result["reloaded"] = result["changed"] = True
            state_file.parent.mkdir(parents=True, exist_ok=True)
            install(module, state_file, digest)
        else:  # what a run left that was killed while it waited, and whose change was taken back since
            Path(module.params["closing"]).unlink(missing_ok=True)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
