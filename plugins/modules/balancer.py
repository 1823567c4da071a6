"""Documentation of the action of the same name, which calls the module haproxy_config on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: balancer
short_description: Configure HAProxy for the apps of the fleet
description:
  - Lays out which app gets which requests, and which hosts have it. Renders HAProxy's configuration on the controller, from the template of
    the role C(load_balancer), and hands it to M(tornado_app.deploy.haproxy_config) with the certificates, in one call.
  - Takes all of it from the inventory, so that hosts count which this run leaves out or cannot reach.
  - Of an app only those names count that it has on each of its hosts. An app without C(server_names) is left out.
  - Fails with everything that cannot work, one line each, before anything of the host is touched.
options:
  maxconn:
    description: Connections of clients at the same time.
    type: int
    required: true
  balancers:
    description: All balancers of the fleet, any of which an ACME server may ask about a certificate that another one of them wants.
    type: list
    elements: str
    default: []
extends_documentation_fragment: [tornado_app.deploy.balanced]
attributes:
  check_mode:
    description: Validates too where HAProxy is installed.
    support: full
  diff_mode:
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Configure HAProxy
  tornado_app.deploy.balancer:
    hosts: "{{ groups['tornado'] }}"
    maxconn: 10000
    balancers: "{{ groups['balancer'] }}"
"""

RETURN = r"""
reloaded:
  description: Whether HAProxy was reloaded.
  type: bool
  returned: success
unnamed:
  description: Apps without C(server_names), which are left out.
  type: list
  elements: str
  returned: success
issuing:
  description: Whether an ACME server is to issue a certificate to it.
  type: bool
  returned: success
msg:
  description: What cannot work, one line each, or what HAProxy refuses. The configuration of before stays then.
  type: str
  returned: failure
  sample: "tornado_apps.shop.path is not the same on all of web-1, web-2, as behind a balancer it has to be"
"""
