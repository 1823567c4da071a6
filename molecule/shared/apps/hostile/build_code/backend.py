"""Builds a wheel that says what the build has got: see attempts.py beside this package."""

import json
import os
import sys
import zipfile
from pathlib import Path

NAME = "hostile_build-1.0"
FILES = {
    f"{NAME}.dist-info/METADATA": "Metadata-Version: 2.1\nName: hostile-build\nVersion: 1.0\n",
    f"{NAME}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: hostile\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}


def build_wheel(directory: str, settings: object = None, metadata: object = None) -> str:  # noqa: ARG001 # pip passes them
    """The name of the wheel that was put into a directory."""
    os.environ.setdefault("HOME", "/tmp")
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from attempts import carry_out

    if Path(__file__).with_name("trap").exists():
        Path(sys.prefix, ".complete").symlink_to("/etc/was-here")
    files = {**FILES, "hostile_build/report.json": json.dumps(carry_out(builder=True))}
    files[f"{NAME}.dist-info/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{NAME}.dist-info/RECORD"])
    wheel = f"{NAME}-py3-none-any.whl"
    with zipfile.ZipFile(Path(directory, wheel), "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel
