#!/usr/bin/python
"""Ansible module: ask the nginx of the host for apps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ask_nginx
short_description: Ask the nginx of the host for apps
description:
  - Makes all requests at the same time, without following redirects.
  - An answer is right when its status is 200 to 399 and nginx names the slot that is meant to answer, which it tells clients on
    the host itself by the header C(X-Tornado-App-Slot).
options:
  requests:
    description: The requests.
    type: list
    elements: dict
    required: true
    suboptions:
      app: {description: Name of the app., type: str, required: true}
      host: {description: Value of the C(Host) header., type: str, required: true}
      path: {description: Path to ask for., type: str, required: true}
      slot: {description: The slot that is meant to answer., type: str, required: true}
  address:
    description: Address of nginx.
    type: str
    default: 127.0.0.1
  port:
    description: Port of nginx.
    type: int
    default: 80
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
  ask_nginx:
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
    slot: {description: The slot that nginx names., type: str}
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
from ansible.module_utils.tornado_app_http import get

SLOT = "X-Tornado-App-Slot"
CACHE_CONTROL = "Cache-Control"


def ask(request: dict[str, Any], address: str, port: int, timeout: float) -> dict[str, Any]:
    """One request: what came, and what is wrong with it."""
    answer = get(address, port, request["path"], request["host"], timeout, [SLOT, CACHE_CONTROL])
    slot, error = answer["headers"][SLOT], answer["error"]
    if not error and slot != request["slot"]:
        error = f"{request['path']} was answered by {'the slot ' + slot if slot else 'no slot'} instead of {request['slot']}"
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
    request = {key: {"type": "str", "required": True} for key in ("app", "host", "path", "slot")}
    module = AnsibleModule(
        argument_spec={
            "requests": {"type": "list", "elements": "dict", "required": True, "options": request},
            "address": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 80},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    with ThreadPoolExecutor(max_workers=min(64, max(1, len(params["requests"])))) as pool:
        answers = list(pool.map(lambda request: ask(request, params["address"], params["port"], params["timeout"]), params["requests"]))
    errors = [answer["error"] for answer in answers if answer["error"]]
    if errors:
        module.fail_json(msg="\n".join(errors), changed=False, answers=answers)
    module.exit_json(changed=False, answers=answers)


if __name__ == "__main__":
    main()
