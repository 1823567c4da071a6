"""Ansible callback of the tests: runs of one test session share the archives of modules, with the bytecode of what is in them.

A run packs each module that it uses with all that this imports, and each host compiles all of that whenever it runs it. On one machine
that is controller and hosts, a run of five modules takes two fifths less of the processor without both. KEPT_MODULES in the environment
is the directory where runs of the same sources find what earlier ones have packed. A host whose Python is not the controller's takes the
sources, which stay beside the bytecode.
"""

import base64
import compileall
import io
import os
import pickle
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from py_compile import PycInvalidationMode

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kept_modules
type: aggregate
short_description: Share the archives of modules between runs
description: See the top of the file.
"""


def with_bytecode(archive: bytes) -> bytes:
    """An archive with compiled sources, which count without a look at the time of these."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            packed.extractall(f"{folder}/of")
        mode = PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(f"{folder}/of", quiet=1, legacy=True, stripdir=f"{folder}/of", invalidation_mode=mode)
        return Path(shutil.make_archive(f"{folder}/whole", "zip", f"{folder}/of")).read_bytes()


def complete(folder: Path) -> None:
    """Add bytecode to what has none yet."""
    for path in folder.glob("*-none"):
        done = path.with_name(f"{path.name}.compiled")
        if not done.exists():
            packed = pickle.loads(path.read_bytes())
            whole = replace(packed, zip_data=base64.b64encode(with_bytecode(base64.b64decode(packed.zip_data))))
            part = path.with_name(f"{path.name}.{os.getpid()}")
            part.write_bytes(pickle.dumps(whole))
            part.rename(path)
            done.touch()


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible carries no types
    """The callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kept_modules"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        folder = Path(os.environ["KEPT_MODULES"])
        complete(folder)
        (Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache").symlink_to(folder)
