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
  - A F(nginx.conf) that is not the role's own is kept beside it. What it has and the new one has not goes on in files that the new one
    includes, C(conf.d/00-from-nginx-conf.conf) and C(modules-enabled/90-from-nginx-conf.conf); a warning names what cannot.
  - Where the files listen newly, a warning names other sites there that lose their C(ssl_protocols), or requests for unknown names.
  - C(sites-enabled/default) in O(absent) is refused when it is not as the distribution has brought it.
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
      content: {description: "The whole content.", type: str}
      secret:
        description:
          - The same, instead, of a file with a certificate and its key, whose path begins with C(tornado_app/). Root alone can read it, and
            no output shows it.
        type: str
      self_signed:
        description:
          - Instead, the names of a certificate that the host makes itself, and puts before its key in such a file.
          - Another one is made for other names, when 30 days are left, and in the place of one that somebody has issued; without
            O(files[].force) only where there is none.
        type: list
        elements: str
        default: []
      force: {description: "Whether a file that is there already is replaced.", type: bool, default: true}
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

import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import NoOpensslError, held_or_made
from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError, locked
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx import (
    NGINX,
    OWN_FILES,
    RefusedError,
    addresses,
    loaded_digest,
    master,
    shared_names,
)
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx_main import MAIN_FILE, UnreadableError, is_foreign, successors
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx_others import DEFAULT_SITE, is_operators, lost
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx_reload import NotReloadedError, reload
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx_tree import copy_with
from ansible_collections.tornado_app.deploy.plugins.module_utils.own_lines import blamed
from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule
from ansible_collections.tornado_app.deploy.plugins.module_utils.root_file import PUBLIC, SECRET, install, is_own, text
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import valid

Wanted = dict[str, Any]  # path in the tree -> its content, None for none


def refuse_shared_names(module: QuietModule, dump: str, complaints: str, sites: Mapping[str, str]) -> None:
    """Fail when an app would not get the requests for its names, or would get those of somebody else."""
    if problems := shared_names(dump, complaints, sites):
        module.fail_json(msg=valid(f"the present configuration of nginx stays in place: {'; '.join(problems)}"))


def judge(module: QuietModule, root: Path, wanted: Wanted, sites: Mapping[str, str], taken: set[str]) -> None:
    """Let nginx itself judge the tree as it would be, and say what others lose on addresses that are newly ``taken``."""
    with tempfile.TemporaryDirectory(prefix="nginx-candidate-") as folder:
        candidate = Path(folder) / "nginx"
        copy_with(root, wanted, candidate)
        code, dump, errors = told(module, candidate)
        if code:
            message = valid(errors).replace(str(candidate), str(root)).strip()
            message = blamed(message, {str(root / path): content for path, content in wanted.items()})
            if "a duplicate default server" in message:
                message += "; the role has the default server there: take default_server out of the other site"
            module.fail_json(msg=f"nginx refuses the new configuration, the present one stays in place: {message}")
        dump = dump.replace(str(candidate), str(root))
        refuse_shared_names(module, dump, errors, sites)
    for line in lost(dump, root, {str(root / file["path"]) for file in module.params["files"]}, taken):
        module.warn(valid(line))


def told(module: QuietModule, root: Path) -> tuple[int, str, str]:
    """What nginx says of a tree: its exit code, all files that count, and its complaints."""
    code, dump, errors = module.run_command([NGINX, "-T", "-q", "-c", str(root / "nginx.conf")])
    return int(code), str(dump), str(errors)


def content_of(file: Mapping[str, Any], path: Path) -> str | None:
    """What is to be in a file; None when what is there may stay."""
    if file["self_signed"]:
        return held_or_made(path, file["self_signed"], file["force"])
    if not file["force"] and path.exists():
        return None
    return str(file["content"] if file["secret"] is None else file["secret"])


def keep(module: QuietModule, root: Path, after: str) -> Wanted:
    """What goes on of an operator's main file, when the role's takes its place."""
    try:
        files, lost = successors(root, after)
    except UnreadableError as problem:
        module.fail_json(msg=f"nothing is changed: {root / MAIN_FILE} cannot be read near {valid(str(problem))!r}; see nginx -t")
    for line in lost:
        module.warn(f"{valid(line)}; a site that needs it says it itself")
    return files


def has_key(path: str) -> bool:
    """Whether a file of the tree is one of those with a certificate and its key."""
    return path.startswith(f"{OWN_FILES}/")


def diff(root: Path, path: str, before: str | None, after: str | None) -> dict[str, str]:
    """What a file was and will be, for the operator; of one with a key no more than that it is another."""
    if has_key(path):
        before, after = before and "(another certificate)\n", after and "(a certificate)\n"
    where = str(root / path)
    return {"before_header": where, "after_header": where, "before": valid(before or ""), "after": after or ""}


def main() -> None:
    """Run the module."""
    module = QuietModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "content": {"type": "str"},
                    "secret": {"type": "str", "no_log": True},
                    "self_signed": {"type": "list", "elements": "str", "default": []},
                    "force": {"type": "bool", "default": True},
                    "app": {"type": "str", "default": ""},
                },
                "mutually_exclusive": [("content", "secret")],
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
    except NoOpensslError as problem:
        if module.check_mode:  # it comes with the packages, so that nothing can be judged yet
            module.exit_json(changed=True, reloaded=False, diff=[])
        module.fail_json(msg=f"nothing is changed: {problem}")


def configure(module: QuietModule) -> None:
    """Bring files and nginx to what is wanted, and end the module."""
    root, state_file = Path(module.params["root"]), Path(module.params["state_file"])
    files = {file["path"]: file for file in module.params["files"]}
    wanted: Wanted = {path: content for path, file in files.items() if (content := content_of(file, root / path)) is not None}
    wanted.update(dict.fromkeys(module.params["absent"]))
    if DEFAULT_SITE in wanted and is_operators(root / DEFAULT_SITE):
        module.fail_json(
            msg=f"nothing is changed: {root / DEFAULT_SITE} is not the distribution's own, and it would be removed; if it is to stay, "
            f"rename it, for instance to {root}/sites-enabled/own.conf, otherwise remove it"
        )
    if MAIN_FILE in wanted and is_foreign(text(root / MAIN_FILE), state_file):
        wanted = {**keep(module, root, wanted[MAIN_FILE]), **wanted}  # in this order: a run that is killed in between loses nothing
    before = {path: text(root / path) for path in wanted}

    def differs(path: str, content: str | None) -> bool:
        return content != before[path] or (content is not None and not is_own(root / path, SECRET if has_key(path) else PUBLIC))

    differing = {path: content for path, content in wanted.items() if differs(path, content)}

    installed = Path(NGINX).exists()
    if not installed and not module.check_mode:
        module.fail_json(msg=f"{NGINX} is not there: install nginx first")
    sites = {str(root / file["path"]): file["app"] for file in module.params["files"] if file["app"]}
    if differing and installed:
        had, has = (addresses("\n".join(texts.get(path) or "" for path in files if path != MAIN_FILE)) for texts in (before, wanted))
        judge(module, root, differing, sites, has - had)
    elif installed and sites:
        _, dump, errors = told(module, root)
        refuse_shared_names(module, dump, errors, sites)
    if differing and not module.check_mode:
        for path, content in differing.items():
            install(root / path, content, SECRET if has_key(path) else PUBLIC)

    changes = [diff(root, path, before[path], content) for path, content in differing.items()]
    result: dict[str, Any] = {"changed": bool(differing), "reloaded": False, "diff": changes}
    if installed and not module.check_mode:
        try:
            digest = loaded_digest(root)
        except RefusedError as problem:
            module.fail_json(msg=f"nginx refuses the configuration on disk: {problem}")
        if text(state_file) != digest:
            if master():
                try:
                    reload(Path(module.params["closing"]), module.params["keepalive_timeout"], module.params["timeout"])
                except NotReloadedError as problem:  # as for a port that is taken: its next start has to find what it runs
                    for path in differing:
                        install(root / path, before[path], SECRET if has_key(path) else PUBLIC)
                    module.fail_json(msg=f"{problem}; the former configuration is back on disk")
                result["reloaded"] = result["changed"] = True
            state_file.parent.mkdir(parents=True, exist_ok=True)
            install(state_file, digest)
        else:  # what a run left that was killed while it waited, and whose change was taken back since
            Path(module.params["closing"]).unlink(missing_ok=True)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
