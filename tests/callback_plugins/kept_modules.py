"""Ansible callback of the tests: runs of one test session share the archives of modules.

A run packs each module that it uses with all that this imports: a third of a second for each, and a third of what a run takes of the
controller's processor. KEPT_MODULES in the environment is the directory where runs of the same sources find those of earlier ones.
"""

import os
from pathlib import Path

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kept_modules
type: aggregate
short_description: Share the archives of modules between runs
description: See the top of the file.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible carries no types
    """The callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kept_modules"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        (Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache").symlink_to(os.environ["KEPT_MODULES"])
