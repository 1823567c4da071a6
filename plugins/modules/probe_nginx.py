#!/usr/bin/python
"""Ansible module: ask the nginx of the host for apps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: probe_nginx
short_description: Ask the nginx of the host for apps
description:
  - Asks for the health path of each app, and for one of its static files with its version and without. Makes all requests at the same time,
    without following redirects.
  - An answer is right when its status is 200 to 399, nginx does not name another slot than the one that is meant to answer, and a static
    file may be kept as long as its URL allows, a year with a version and not at all without.
  - An app with a certificate is asked for over TLS, and that certificate has to come. Nobody has to trust it.
  - Who listens on the port has to be root, as whom nginx begins; an app may be able to listen there when nginx does not run.
  - Where the app's site would name a slot and none is named, somebody else's site has the app's name, and nginx takes that one.
extends_documentation_fragment: [tornado_app.deploy.slots]
options:
  static_files:
    description:
      - App to one of its static files. Each with C(path) below its directory of static files, and a C(version) by which it may be kept.
      - Of apps without one none is asked for.
    type: dict
    default: {}
  address:
    description: Address of nginx.
    type: str
    default: 127.0.0.1
  port:
    description: Port of nginx.
    type: int
    default: 80
  tls_port:
    description: Port of nginx for apps with a certificate.
    type: int
    default: 443
  slot_path:
    description: Where the apps' sites name the slot that gets requests. Sites that do not, because they are older, name none.
    type: str
    default: /.tornado_app/slot
  sites:
    description: Directory with the apps' sites.
    type: path
    default: /etc/nginx/conf.d
  timeout:
    description: Seconds that an answer may take.
    type: float
    default: 10
attributes:
  check_mode:
    description: Asks all the same, which changes nothing.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Ask for the app
  tornado_app.deploy.probe_nginx:
    slots: "{{ __tornado_app_own.slots }}"
"""

RETURN = r"""
answers:
  description: One entry a request.
  type: list
  elements: dict
  returned: always
  contains:
    app: {description: Name of the app., type: str}
    path: {description: The path., type: str}
    status: {description: HTTP status of the answer or 0., type: int}
    slot: {description: The slot that nginx names; empty when it names none or was not asked., type: str}
    cache_control: {description: The header C(Cache-Control)., type: str}
    error: {description: What is wrong with the answer; empty when it is right., type: str}
msg:
  description: All that is wrong as text.
  type: str
  returned: failure
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import fingerprint, is_address
from ansible_collections.tornado_app.deploy.plugins.module_utils.http import get
from ansible_collections.tornado_app.deploy.plugins.module_utils.proc import reached
from ansible_collections.tornado_app.deploy.plugins.module_utils.slot import SLOTS
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import exact

CACHE_CONTROL = "Cache-Control"
FAR_FUTURE = 31_536_000  # seconds: a year


class Request(NamedTuple):
    """One question to nginx: ``slot`` is meant to answer, ``kept`` says whether the answer may be kept for long."""

    app: str
    host: str
    prefix: str  # of the app's paths; ``path`` begins with it
    certificate: str
    path: str
    slot: str = ""
    kept: bool | None = None


def requests_of(slot: dict[str, Any], static_file: dict[str, str] | None) -> list[Request]:
    """What to ask nginx for a slot; nothing where it has workers alone."""
    if not slot["ports"]:
        return []
    certificate = slot["certificate"] if Path(slot["certificate"] or "/nowhere").exists() else ""  # it comes with its site
    site = (slot["app"], slot["host"], slot["prefix"], certificate)
    found = [Request(*site, slot["health_url"], slot["name"])]
    if static_file:
        url = f"{slot['prefix']}/static/{quote(static_file['path'])}"
        found += [Request(*site, f"{url}?v={static_file['version']}", kept=True), Request(*site, url, kept=False)]
    return found


def max_age(header: str) -> int:
    """The max-age of a Cache-Control header in seconds; 0 when it has none."""
    for part in header.split(","):
        if found := re.fullmatch(r"max-age=([0-9]{1,12})", part.strip()):
            return int(found[1])
    return 0


def names_slot(sites: Path, app: str, path: str) -> bool:
    """Whether the site of an app, as it is on disk, says at this path which slot gets requests."""
    texts = (exact(file) for file in sites.glob("*.conf") if file.is_file())
    return any(f"log_format tornado_app_{app} " in text and f"location = {path} {{" in text for text in texts)


def certificate_problem(request: Request, served: str) -> str:
    """Whether nginx serves another certificate than the one on disk; who names no host, as for an address, gets that of another app."""
    if not request.certificate or is_address(request.host) or served == fingerprint(Path(request.certificate)):
        return ""
    return f"nginx serves another certificate than that of {request.certificate}; systemctl reload nginx takes the file"


def ask(request: Request, address: str, ports: dict[str, int], timeout: float, slot_path: str, sites: Path) -> dict[str, Any]:
    """One request: what came, and what is wrong with it."""
    tls = bool(request.certificate)
    where = f"{address}:{ports['tls' if tls else 'plain']}"
    answer = get(where, request.path, request.host, timeout, headers=[CACHE_CONTROL], tls=tls)
    slot, header = "", answer["headers"][CACHE_CONTROL]
    error = answer["error"] or certificate_problem(request, answer["certificate"])
    if request.slot and not error:
        said = get(where, request.prefix + slot_path, request.host, timeout, size=16, tls=tls)
        slot = said["body"] if said["body"] in ("blue", "green") else ""
        if slot not in ("", request.slot):
            error = f"nginx sends requests to the slot {slot} instead of {request.slot}"
        elif not slot and names_slot(sites, request.app, request.prefix + slot_path):
            reason = said["error"] or f"{request.prefix + slot_path} names no slot"
            error = f"somebody else's site answers, not the app's ({reason}); nginx -T shows which other file has that name"
    if request.kept is not None and not error and request.kept != (max_age(header) >= FAR_FUTURE):
        error = f"{request.path} has Cache-Control {header!r}, {'too short' if request.kept else 'too long'}"
    return {
        "app": request.app,
        "path": request.path,
        "status": answer["status"],
        "slot": slot,
        "cache_control": header,
        "error": error and f"{request.app} through nginx (Host: {request.host}): {error}",
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "slots": SLOTS,
            "static_files": {"type": "dict", "default": {}},
            "address": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 80},
            "tls_port": {"type": "int", "default": 443},
            "slot_path": {"type": "str", "default": "/.tornado_app/slot"},
            "sites": {"type": "path", "default": "/etc/nginx/conf.d"},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    ports = {"plain": params["port"], "tls": params["tls_port"]}
    where = (params["address"], ports, params["timeout"], params["slot_path"], Path(params["sites"]))
    requests = [request for slot in params["slots"] for request in requests_of(slot, params["static_files"].get(slot["app"]))]
    with ThreadPoolExecutor(max_workers=min(64, max(1, len(requests)))) as pool:
        answers = list(pool.map(lambda request: ask(request, *where), requests))
    listening = reached(set(ports.values()))
    for request, answer in zip(requests, answers):
        port = ports["tls" if request.certificate else "plain"]
        if strangers := listening.get(port, set()) - {os.geteuid()}:
            users = ", ".join(map(str, sorted(strangers)))
            answer["error"] = f"{answer['app']} through nginx: who listens on port {port} is of user id {users}, not root's nginx"
    errors = [answer["error"] for answer in answers if answer["error"]]
    if errors:
        module.fail_json(msg="\n".join(errors), changed=False, answers=answers)
    module.exit_json(changed=False, answers=answers)


if __name__ == "__main__":
    main()
