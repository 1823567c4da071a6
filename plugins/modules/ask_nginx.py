#!/usr/bin/python
"""Ansible module: ask the nginx of the host for apps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ask_nginx
short_description: Ask the nginx of the host for apps
description:
  - Makes all requests at the same time, without following redirects.
  - An answer is right when its status is 200 to 399 and nginx does not name another slot than the one that is meant to answer.
options:
  requests:
    description: The requests.
    type: list
    elements: dict
    required: true
    suboptions:
      app: {description: Name of the app., type: str, required: true}
      host: {description: Value of the C(Host) header., type: str, required: true}
      path: {description: "Path to ask for, as the app knows it.", type: str, required: true}
      prefix: {description: "What nginx has before the app's own paths.", type: str, default: ""}
      slot: {description: The slot that is meant to answer; not looked at when it is not given., type: str}
  address:
    description: Address of nginx.
    type: str
    default: 127.0.0.1
  port:
    description: Port of nginx.
    type: int
    default: 80
  slot_path:
    description: Where the apps' sites name the slot that gets requests. Sites that do not, because they are older, name none.
    type: str
    default: /.tornado_app/slot
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
  tornado_app.deploy.ask_nginx:
    requests:
      - {app: shop, host: shop.example.com, path: /healthz, slot: green}
"""

RETURN = r"""
answers:
  description: One entry a request, in the order of O(requests).
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

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tornado_app.deploy.plugins.module_utils.http import get

CACHE_CONTROL = "Cache-Control"
SLOTS = ("blue", "green")


def ask(request: dict[str, Any], address: str, port: int, timeout: float, slot_path: str) -> dict[str, Any]:
    """One request: what came, and what is wrong with it."""
    prefix = request["prefix"]
    answer = get(f"{address}:{port}", prefix + request["path"], request["host"], timeout, headers=[CACHE_CONTROL])
    error, slot = answer["error"], ""
    if request["slot"] and not error:
        told = get(f"{address}:{port}", prefix + slot_path, request["host"], timeout, size=16)["body"]
        slot = told if told in SLOTS else ""
        if slot not in ("", request["slot"]):
            error = f"nginx sends requests to the slot {slot} instead of {request['slot']}"
    return {
        "app": request["app"],
        "path": request["path"],
        "status": answer["status"],
        "slot": slot,
        "cache_control": answer["headers"][CACHE_CONTROL],
        "error": error and f"{request['app']} through nginx (Host: {request['host']}): {error}",
    }


def main() -> None:
    """Run the module."""
    request = {
        **{key: {"type": "str", "required": True} for key in ("app", "host", "path")},
        "slot": {"type": "str"},
        "prefix": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "requests": {"type": "list", "elements": "dict", "required": True, "options": request},
            "address": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 80},
            "slot_path": {"type": "str", "default": "/.tornado_app/slot"},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    where = (params["address"], params["port"], params["timeout"], params["slot_path"])
    with ThreadPoolExecutor(max_workers=min(64, max(1, len(params["requests"])))) as pool:
        answers = list(pool.map(lambda request: ask(request, *where), params["requests"]))
    errors = [answer["error"] for answer in answers if answer["error"]]
    if errors:
        module.fail_json(msg="\n".join(errors), changed=False, answers=answers)
    module.exit_json(changed=False, answers=answers)


if __name__ == "__main__":
    main()
