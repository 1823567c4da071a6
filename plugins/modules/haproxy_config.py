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
  - Servers that were down before a reload are down after it, until a check of their own says otherwise.
  - Starts nothing that does not run.
options:
  config:
    description: The whole configuration. C(@digest@) in it becomes its digest, by which the running HAProxy tells what it has loaded.
    type: str
    required: true
  certificates:
    description:
      - The certificates with their keys that O(config) names. Other files of their directory are removed.
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
          Names for which the host makes a certificate itself, when there is none or its last 30 days have come. It keeps the key.
        type: list
        elements: str
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
msg:
  description: What HAProxy refuses. The configuration of before stays then.
  type: str
  returned: failure
"""

import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import NoOpensslError, self_signed, self_signed_problem
from ansible_collections.tornado_app.deploy.plugins.module_utils.haproxy import HAPROXY, addresses, ask, down, loaded, process, unavailable
from ansible_collections.tornado_app.deploy.plugins.module_utils.quiet import QuietModule
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import valid


def differs(path: Path, content: str, mode: int) -> bool:
    """Whether a file is not there as it is wanted."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    attributes = (found.st_mode, found.st_uid, found.st_gid)
    return attributes != (stat.S_IFREG | mode, os.geteuid(), os.getegid()) or path.read_bytes() != content.encode()


def write(path: Path, content: str, mode: int) -> None:
    """Put a file into place, whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode())
            os.fchmod(handle, mode)
            os.fsync(handle)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class Configuration:
    """What is wanted, and what is there."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.path, self.directory = Path(module.params["path"]), Path(module.params["directory"])
        self.socket, self.state_file = Path(module.params["socket"]), Path(module.params["state_file"])
        self.secrets = {Path(given["path"]): given["secret"] or self.own(given) for given in module.params["certificates"]}
        config = module.params["config"]
        self.digest = hashlib.sha256("".join([config, *self.secrets.values()]).encode()).hexdigest()[:12]
        self.config = config.replace("@digest@", self.digest)
        self.before = self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else None
        present = set(self.directory.iterdir()) if self.directory.is_dir() else set()
        self.superfluous = sorted(present - set(self.secrets))
        self.missing = {path: secret for path, secret in self.secrets.items() if differs(path, secret, 0o600)}
        self.differs = differs(self.path, self.config, 0o644)

    def own(self, given: Mapping[str, Any]) -> str:
        """The certificate with its key that the host makes for names, or has made."""
        path = Path(given["path"])
        if not Path(HAPROXY).exists():  # nothing is installed or judged then
            return ""
        if not self_signed_problem(path, given["self_signed"]):
            return path.read_text(encoding="ascii")
        try:
            return self_signed(given["self_signed"])
        except NoOpensslError as problem:
            return str(self.module.fail_json(msg=f"no certificate for {', '.join(given['self_signed'])}: {problem}"))

    def judge(self) -> None:
        """Let HAProxy judge all of it, in another place."""
        with tempfile.TemporaryDirectory(prefix="haproxy-candidate-") as folder:
            for path, secret in self.secrets.items():
                write(Path(folder) / path.name, secret, 0o600)
            candidate = Path(folder) / "haproxy.cfg"
            candidate.write_text(self.config.replace(f"{self.directory}/", f"{folder}/"), encoding="utf-8")
            code, output, errors = self.module.run_command([HAPROXY, "-c", "-f", str(candidate)])
            if code:
                said = valid(output + errors).replace(str(candidate), str(self.path)).replace(folder, str(self.directory))
                self.module.fail_json(msg=f"HAProxy refuses the new configuration, the present one stays in place: {said.strip()}")

    def refuse_taken_ports(self) -> None:
        """Fail where somebody else listens. HAProxy would find that out as it loads: it stops and resumes the former process, which is
        deaf then (2.6)."""
        own = addresses(self.before or "") if self.runs() else set()
        problems = [
            f"{host or '*'}:{port} ({why})" for host, port in sorted(addresses(self.config) - own) if (why := unavailable(host, port))
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
            write(path, secret, 0o600)
        if self.differs:
            write(self.path, self.config, 0o644)

    def runs(self) -> bool:
        """Whether systemd runs HAProxy."""
        return self.systemctl("is-active") == 0

    def systemctl(self, verb: str) -> int:
        code, _, _ = self.module.run_command([self.module.get_bin_path("systemctl", required=True), verb, "haproxy.service"])
        return int(code)

    def reload(self) -> None:
        """Have HAProxy load what is on disk. When it does not, the former configuration is put back, and loaded."""
        if self.takes(self.config):
            return
        before = self.before or ""
        if before in ("", self.config):
            self.module.fail_json(msg=f"HAProxy does not take the configuration in {self.path}: see journalctl -u haproxy")
        write(self.path, before, 0o644)
        which = "the former one is back" if self.takes(before) else "the former one is back on disk, but not loaded"
        self.module.fail_json(msg=f"HAProxy did not take the new configuration, {which}: see journalctl -u haproxy")

    def takes(self, config: str) -> bool:
        """Reload HAProxy, and wait for a process that has loaded what is on disk."""
        before = process(self.socket)
        self.state_file.parent.mkdir(parents=True, exist_ok=True)
        self.state_file.write_text(down(ask(self.socket, "show servers state"), config), encoding="utf-8")
        try:
            code = self.systemctl("reload")
            deadline = time.monotonic() + self.module.params["timeout"]
            while code == 0 and time.monotonic() < deadline:
                if process(self.socket) not in (before, ""):
                    return True
                time.sleep(0.05)
        finally:  # at somebody else's reload it would tell what was down today
            self.state_file.unlink(missing_ok=True)
        return False

    def diff(self) -> list[dict[str, str]]:
        """What changes, without a secret."""
        found = [(self.path, self.before or "", self.config)] if self.differs else []
        found += [(path, "", "(a certificate and its key)\n") for path in self.missing]
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
                },
                "required_one_of": [["secret", "self_signed"]],
                "mutually_exclusive": [["secret", "self_signed"]],
            },
            "path": {"type": "path", "default": "/etc/haproxy/haproxy.cfg"},
            "directory": {"type": "path", "default": "/etc/haproxy/tornado_app"},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "state_file": {"type": "path", "default": "/run/haproxy/tornado_app.state"},
            "timeout": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    wanted = Configuration(module)
    changing = bool(wanted.differs or wanted.missing)
    result: dict[str, Any] = {"changed": changing or bool(wanted.superfluous), "reloaded": False, "diff": wanted.diff()}
    installed = Path(HAPROXY).exists()
    if not installed and not module.check_mode:
        module.fail_json(msg=f"{HAPROXY} is not there: install haproxy first")
    if installed and changing:
        wanted.judge()
        wanted.refuse_taken_ports()
    if not module.check_mode:
        if changing:
            wanted.install()
        if loaded(wanted.socket) != wanted.digest and wanted.runs():
            wanted.reload()
            result["reloaded"] = result["changed"] = True
        for path in wanted.superfluous:
            path.unlink()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
