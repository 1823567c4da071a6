"""The host of this scenario, with an app for each way to a certificate, and an ACME server on the host itself."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import pebble
from tests.fleet import Fleet, example_app
from tests.unit.certified import Authority, authority, written

COMMON: dict[str, Any] = {"processes": 1, "command": "{python} app.py --port={port}", "health": {"path": "/healthz", "timeout": 60}}
ACME = {"email": "ops@issued.test", "directory": "https://localhost:14000/dir"}
NAMES = ("filed.test", "own.test", "issued.test")


@pytest.fixture(scope="session")
def ca() -> Authority:
    """Who has issued the certificate of files, and that of the ACME server itself."""
    return authority()


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app."""
    return example_app(tmp_path_factory.mktemp("source") / "app")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, ca: Authority) -> dict[str, Any]:
    """The setting tls with a certificate and its key, which ansible-vault has encrypted."""
    folder = tmp_path_factory.mktemp("files")
    made = written(folder, ca.leaf("filed.test"))
    password = folder / "password"
    password.write_text("hunter2\n")
    os.environ["ANSIBLE_VAULT_PASSWORD_FILE"] = str(password)
    vault = Path(sys.executable).with_name("ansible-vault")
    subprocess.run([vault, "encrypt", made["key"]], check=True)
    return made


@pytest.fixture(scope="session")
def bare(source: Path, files: dict[str, Any]) -> Fleet:
    """The host as it is."""
    own: dict[str, dict[str, Any]] = {"filed": {**files, "hsts": 31536000}, "own": {"self_signed": True}, "issued": {"acme": ACME}}
    apps = {name: {**COMMON, "server_names": [f"{name}.test"], "tls": tls} for name, tls in own.items()}
    return Fleet(Path(__file__).resolve().parents[1] / "inventory", source, apps)


@pytest.fixture(scope="session")
def fleet(bare: Fleet, ca: Authority) -> Fleet:
    """Begins with all apps live, and a certificate issued."""
    (host,) = bare.hosts.values()
    pebble.start(host, ca, dict.fromkeys(NAMES, "127.0.0.1"), packages="testssl.sh")
    pebble.trust(host, ca)
    bare.play()
    return bare
