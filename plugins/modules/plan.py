"""Documentation of the action of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Lay out the apps of a host
description:
  - Makes of the settings of the apps what each of them looks like on one host, with its slots, processes, ports, paths and names.
  - Fails with everything that cannot work, one line each, before anything of a host is touched. The messages name the setting and the
    way out.
  - An app without a port keeps the one that it has on the host, or gets one that nobody has there.
  - Runs on the controller alone, and looks at no host.
options:
  apps:
    description: The apps, name to settings, as in C(tornado_apps). Those with C(state=absent) are planned to be removed.
    type: raw
    required: true
  defaults:
    description: The settings of an app that does not say them itself, all of them, as in C(tornado_app_defaults).
    type: dict
    required: true
  host:
    description:
      - What the plan and the checks have to know of the host. C(name), C(root) (directory of the role's own files), C(distribution),
        C(distribution_version), C(nofile) (open files of each process), C(slot_stride) (ports between the two slots), C(ports) (app to
        the port that it has on the host), C(sysctl) (whether kernel settings may be raised), C(inventory) (how the inventory calls
        itself), C(serial), C(bake) (seconds), C(bake_max_errors) (0 to 1), and C(inputs), the inputs of the role as they were given.
    type: dict
    required: true
attributes:
  check_mode:
    description: Does the same, since it changes nothing.
    support: full
author: The tornado_app authors
"""

EXAMPLES = r"""
- name: Lay out the apps
  tornado_app.deploy.plan:
    apps: "{{ tornado_apps }}"
    defaults: "{{ tornado_app_defaults }}"
    host: "{{ __tornado_app_host }}"
  register: __tornado_app_plan
"""

RETURN = r"""
apps:
  description:
    - App to its settings with all defaults, of apps that are to be present. Sizes are bytes, times are seconds. C(secrets) has the names
      of the variables alone.
    - Beside the settings it has what follows from them. C(name), C(user), C(prefix) (its path without the last slash), C(unit),
      C(unit_file), C(host) (a name by which nginx can be asked for it), C(nofile), C(argv) (what starts a web process), paths such as
      C(home), C(releases), C(environments), C(flag), C(shared), C(etc), C(config), C(run), C(socket), C(logs) and C(access_log),
      C(directories) and C(runtime_directories), each with its C(path), C(owner), C(group) and C(mode), and C(slots).
  type: dict
  returned: success
  contains:
    slots:
      description: V(blue) and V(green) to the slot, in the form that the modules of this collection take as C(slots).
      type: dict
absent:
  description: App to its C(name), C(unit), C(unit_file), C(nginx) (files relative to nginx's tree), C(access_logs) (a pattern),
    C(paths), and C(user), which is empty when the user stays. Of apps that are to be removed.
  type: dict
  returned: success
host:
  description: The option O(host).
  type: dict
  returned: success
msg:
  description: What cannot work, one line each.
  type: str
  returned: failure
  sample: "tornado_apps.api.port 8001 overlaps shop's 8000-8003 on web-2"
"""
