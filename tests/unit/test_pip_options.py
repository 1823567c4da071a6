"""The options that pip gets on hosts, tried with pip itself."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

from ansible.template import trust_as_template

from tests.unit.conftest import templar

CODE = "raise SystemExit('the code of the package runs')"


def options(**variables: object) -> list[str]:
    found: list[str] = templar(variables).template(trust_as_template("{{ __tornado_app_pip_options }}"))
    return found


def install(wheels: Path, *given: str) -> str:
    """What pip says that finds a package there as source only; it fails in any case."""
    target = wheels / "installed"
    index = ["--no-index", f"--find-links={wheels}", f"--target={target}", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "install", *given, *index, "only-source"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_wheels_alone_means_that_no_code_of_a_package_runs(tmp_path: Path) -> None:
    source = tmp_path / "only-source-1.0"
    source.mkdir()
    (source / "setup.py").write_text(CODE)
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: only-source\nVersion: 1.0\n")
    with tarfile.open(tmp_path / "only-source-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, arcname=source.name)
    assert "only-binary" in " ".join(options(tornado_app_only_binary=True))
    assert "only-binary" not in " ".join(options(tornado_app_only_binary=False))
    assert "the code of the package runs" in install(tmp_path)
    said = install(tmp_path, *options(tornado_app_only_binary=True))
    assert "the code of the package runs" not in said
    assert "No matching distribution found for only-source" in said
