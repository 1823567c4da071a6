#!/usr/bin/python
"""Ansible module: install HAProxy's configuration and certificates as a whole, and have HAProxy run them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_config
short_description: Install HAProxy's configuration and certificates as a whole, and have HAProxy run them
description:
  - Lets HAProxy judge the configuration with the certificates that it names, and puts both in place only when they pass.
  - Reloads a running HAProxy that has loaded something else, and waits until the new process serves. When that does not come about,
    the configuration that was there is put back.
  - Keeps a configuration that is not Ansible's beside it, as C(haproxy.cfg.<process>.<time>~).
  - Servers that were down before a reload are down after it, until a check of their own says otherwise.
  - Starts nothing that does not run.
options:
  config:
    description:
      - The whole configuration. C(@digest@) in it becomes its digest, by which the running HAProxy tells what it has loaded.
      - C(@digest@.list) in O(directory) is a C(crt-list) of the certificates. A line of the configuration would take 28 of them.
    type: str
    required: true
  certificates:
    description:
      - The certificates with their keys, in the order of C(@digest@.list). Other files of their directory are removed.
      - The name of a file with a O(certificates[].secret) has to change with it, so that the former one is there for the former
        configuration.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: "The path, in O(directory).", type: path, required: true}
      secret: {description: "The certificates and the key in PEM; no output shows them.", type: str}
      self_signed:
        description: >-
          Names for which the host makes a certificate itself, when there is none or its last 30 days have come. It keeps the key. Without
          O(certificates[].force) only when there is none.
        type: list
        elements: str
      force:
        description: Whether a file with another certificate is replaced. If not, what has it issued gives it to the running HAProxy, too.
        type: bool
        default: true
  files:
    description: Path and content of other files that are to be there, for all to read. Their directories are made.
    type: dict
    default: {}
  unneeded:
    description: Paths that nothing needs. They stay, and RV(unneeded) says which of them are there.
    type: list
    elements: path
    default: []
  path:
    description: Where HAProxy reads its configuration.
    type: path
    default: /etc/haproxy/haproxy.cfg
  directory:
    description: The directory of the certificates, which root alone can list.
    type: path
    default: /etc/haproxy/tornado_app
  socket:
    description: The socket of O(config) by which the running HAProxy is asked.
    type: path
    default: /run/haproxy/admin.sock
  state_file:
    description: The C(server-state-file) of O(config); it is there during a reload only.
    type: path
    default: /run/haproxy/tornado_app.state
  timeout:
    description: Seconds that the new process may take to appear.
    type: float
    default: 30
attributes:
  check_mode:
    description: Judges too where HAProxy is installed.
    support: full
  diff_mode:
    description: Shows the configuration, and of certificates their names.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Configure HAProxy
  tornado_app.deploy.haproxy_config:
    config: "{{ lookup('ansible.builtin.template', 'haproxy.cfg.j2') }}"
"""

RETURN = r"""
reloaded:
  description: Whether HAProxy was reloaded.
  type: bool
  returned: success
installed:
  description: The paths of O(files) that changed, or in check mode would.
  type: list
  elements: path
  returned: success
unissued:
  description: The certificates in whose place is one that the host made itself, or that are for other names.
  type: list
  elements: path
  returned: success
unneeded:
  description: The paths of O(unneeded) that are there.
  type: list
  elements: path
  returned: success
msg:
  description: What HAProxy refuses. The configuration of before stays then.
  type: str
  returned: failure
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import NoOpensslError, held_or_made, issued_problem
from ansible_collections.tornado_app.deploy.plugins.module_utils.haproxy import (
    CERTIFICATES,
    HAPROXY,
    SOCKET,
    STATE_FILE,
    addresses,
    loaded,
    unavailable,
)
from ansible_collections.tornado_app.deploy.plugins.module_utils.haproxy_reload import reload, runs
from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule
from ansible_collections.tornado_app.deploy.plugins.module_utils.root_file import PUBLIC, SECRET, install, is_own, text
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import valid

MANAGED = "# Ansible managed"  # what is somebody else's is kept beside it


def differs(path: Path, content: str, mode: int) -> bool:
    """Whether a file is not there as it is wanted."""
    return text(path) != content or not is_own(path, mode)


class Configuration:
    """What is wanted, and what is there."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.path, self.directory = Path(module.params["path"]), Path(module.params["directory"])
        self.socket, self.state_file = Path(module.params["socket"]), Path(module.params["state_file"])
        self.secrets = {Path(given["path"]): given["secret"] or self.own(given) for given in module.params["certificates"]}
        self.issued = {Path(given["path"]): given["self_signed"] for given in module.params["certificates"] if not given["force"]}
        config = module.params["config"]
        listed = "".join(f"{path}\n" for path in self.secrets)
        # What is issued gets to the running HAProxy by another way.
        fixed = [secret for path, secret in self.secrets.items() if path not in self.issued]
        self.digest = hashlib.sha256("".join([config, listed, *fixed]).encode()).hexdigest()[:12]
        self.config = config.replace("@digest@", self.digest)
        if listed:
            self.secrets[self.directory / f"{self.digest}.list"] = listed
        self.before = self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else None
        present = set(self.directory.iterdir()) if self.directory.is_dir() else set()
        self.superfluous = sorted(present - set(self.secrets))
        self.missing = {path: secret for path, secret in self.secrets.items() if differs(path, secret, SECRET)}
        self.differs = differs(self.path, self.config, PUBLIC)
        self.files = {path: content for path, content in module.params["files"].items() if differs(Path(path), content, PUBLIC)}

    def own(self, given: Mapping[str, Any]) -> str:
        """The certificate with its key that the host makes for names, or has made."""
        path = Path(given["path"])
        if not Path(HAPROXY).exists():  # nothing is installed or judged then
            return ""
        try:
            return held_or_made(path, given["self_signed"], given["force"])
        except NoOpensslError as problem:
            return str(self.module.fail_json(msg=f"no certificate for {', '.join(given['self_signed'])}: {problem}"))

    def judge(self) -> None:
        """Let HAProxy judge all of it, in another place."""
        with tempfile.TemporaryDirectory(prefix="haproxy-candidate-") as folder:
            for path, secret in self.secrets.items():
                install(Path(folder) / path.name, secret.replace(f"{self.directory}/", f"{folder}/"), SECRET)
            candidate = Path(folder) / "haproxy.cfg"
            candidate.write_text(self.config.replace(f"{self.directory}/", f"{folder}/"), encoding="utf-8")
            code, output, errors = self.module.run_command([HAPROXY, "-c", "-f", str(candidate)])
            if code:
                said = valid(output + errors).replace(str(candidate), str(self.path)).replace(folder, str(self.directory))
                self.module.fail_json(msg=f"HAProxy refuses the new configuration, the present one stays in place: {said.strip()}")

    def refuse_taken_ports(self) -> None:
        """Fail where somebody else listens. HAProxy would find that out as it loads: it stops and resumes the former process, which is
        deaf then (2.6)."""
        own = {port for _, port in addresses(self.before or "")} if runs(self.module) else set()  # however it writes their addresses
        problems = [
            f"{host or '*'}:{port} ({why})"
            for host, port in sorted(addresses(self.config))
            if port not in own and (why := unavailable(host, port))
        ]
        if problems:
            self.module.fail_json(msg=f"HAProxy cannot listen on {', '.join(problems)}; the present configuration stays in place")

    def install(self) -> None:
        """Put all of it in place; the configuration comes last, since it names the others."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.secrets:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)
        for path, secret in self.missing.items():
            install(path, secret, SECRET)
        for path, content in self.files.items():
            install(Path(path), content)
        if self.differs:
            if self.before and MANAGED not in self.before:
                self.module.backup_local(str(self.path))
            install(self.path, self.config)

    def reload(self) -> None:
        """Have HAProxy load what is on disk. When it does not, the former configuration is put back, and loaded."""
        if self.takes(self.config):
            return
        before = self.before or ""
        if before in ("", self.config):
            self.module.fail_json(msg=f"HAProxy does not take the configuration in {self.path}: see journalctl -u haproxy")
        install(self.path, before)
        which = "the former one is back" if self.takes(before) else "the former one is back on disk, but not loaded"
        self.module.fail_json(msg=f"HAProxy did not take the new configuration, {which}: see journalctl -u haproxy")

    def takes(self, config: str) -> bool:
        """Have HAProxy load the configuration, which is on disk; whether it does."""
        return reload(self.module, self.socket, self.state_file, config, self.module.params["timeout"])

    def diff(self) -> list[dict[str, str]]:
        """What changes, without a secret."""
        found = [(self.path, self.before or "", self.config)] if self.differs else []
        shown = {path: secret if path.suffix == ".list" else "(a certificate and its key)\n" for path, secret in self.missing.items()}
        found += [(path, "", content) for path, content in shown.items()]
        found += [(Path(path), text(Path(path)) or "", content) for path, content in self.files.items()]
        found += [(path, "(there)\n", "") for path in self.superfluous]
        return [{"before_header": str(path), "after_header": str(path), "before": before, "after": after} for path, before, after in found]


def main() -> None:
    """Run the module."""
    module = QuietModule(
        argument_spec={
            "config": {"type": "str", "required": True},
            "certificates": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "secret": {"type": "str", "no_log": True},
                    "self_signed": {"type": "list", "elements": "str"},
                    "force": {"type": "bool", "default": True},
                },
                "required_one_of": [["secret", "self_signed"]],
                "mutually_exclusive": [["secret", "self_signed"]],
            },
            "files": {"type": "dict", "default": {}},
            "unneeded": {"type": "list", "elements": "path", "default": []},
            "path": {"type": "path", "default": "/etc/haproxy/haproxy.cfg"},
            "directory": {"type": "path", "default": CERTIFICATES},
            "socket": {"type": "path", "default": SOCKET},
            "state_file": {"type": "path", "default": STATE_FILE},
            "timeout": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    wanted = Configuration(module)
    changing = bool(wanted.differs or wanted.missing)
    result: dict[str, Any] = {
        "changed": changing or bool(wanted.superfluous or wanted.files),
        "reloaded": False,
        "diff": wanted.diff(),
        "installed": list(wanted.files),
        "unneeded": [path for path in module.params["unneeded"] if os.path.lexists(path)],
    }
    installed = Path(HAPROXY).exists()
    if not installed and not module.check_mode:
        module.fail_json(msg=f"{HAPROXY} is not there: install haproxy first")
    if installed and changing:
        wanted.judge()
        wanted.refuse_taken_ports()
    if not module.check_mode:
        if changing or wanted.files:
            wanted.install()
        if loaded(wanted.socket) != wanted.digest and runs(module):
            wanted.reload()
            result["reloaded"] = result["changed"] = True
        for path in wanted.superfluous:
            path.unlink()
    result["unissued"] = [str(path) for path, names in wanted.issued.items() if issued_problem(path, names)]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
