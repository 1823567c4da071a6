"""What the modules that act under the run's lock document of it."""

from __future__ import annotations


class ModuleDocFragment:
    """The options ``run`` and ``lock``."""

    DOCUMENTATION = r"""
options:
  run:
    description: This run, which has to hold the lock (see M(tornado_app.deploy.run_lock)). Each module that acts renews its lease.
    type: str
    required: true
  lock:
    description: The lock file.
    type: path
    default: /run/tornado_app/lock
"""
