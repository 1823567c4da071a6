"""The files of nginx with a certificate, those of its issuers and its key: what they say, and how the host makes one itself."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from ansible_collections.tornado_app.deploy.plugins.module_utils.state import TlsState
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import exact

ACME_RECORD = "/var/lib/tornado_app/acme.json"  # what became of the last requests, see files/acme.py
OPENSSL = "/usr/bin/openssl"
END = "-----END CERTIFICATE-----"
KEY = "-----BEGIN PRIVATE KEY-----"
DAY = 86400
LIFE = 3650  # days of a certificate that the host makes itself; nobody renews it
LEFT_MIN = 30  # days; with less, another one is made
NAME = re.compile(r"(?:DNS|IP Address):([^,\s]+)")
CONFIG = """\
[req]
distinguished_name = subject
prompt = no
x509_extensions = extensions
[subject]
CN = tornado_app
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = @names
[names]
"""


class NoOpensslError(Exception):
    """The host has no openssl, or it does not do what is asked."""


class Certificate(NamedTuple):
    """What a certificate says: when it begins and ends, seconds since 1970; for which names; whether its own key has signed it."""

    begins: float
    expires: float
    names: frozenset[str]
    self_signed: bool

    @property
    def days_left(self) -> int:
        """Whole days until its end; below 0 after it."""
        return int((self.expires - time.time()) // DAY)


def chain(text: str) -> str:
    """The certificates of a file, without the key behind them."""
    return text.partition(KEY)[0]


def normal(name: str) -> str:
    """A name or an address in the one way in which two can be compared; nginx has brackets around an IPv6 address."""
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return name.lower()


def openssl(*arguments: str) -> str:
    """What openssl prints."""
    try:
        done = subprocess.run([OPENSSL, *arguments], capture_output=True, text=True, errors="replace", check=False)
    except OSError as problem:
        raise NoOpensslError(f"{OPENSSL} cannot be run: {problem.strerror}; install the package openssl") from None
    if done.returncode:
        raise NoOpensslError(f"openssl {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def read(path: Path) -> Certificate | None:
    """The first certificate of a file; None when there is none, or nothing that can read it."""
    try:
        said = openssl("x509", "-in", str(path), "-noout", "-subject", "-issuer", "-dates", "-ext", "subjectAltName")
    except NoOpensslError:
        return None
    fields = dict(line.partition("=")[::2] for line in said.splitlines() if "=" in line)
    return Certificate(
        begins=ssl.cert_time_to_seconds(fields["notBefore"]),
        expires=ssl.cert_time_to_seconds(fields["notAfter"]),
        names=frozenset(map(normal, NAME.findall(said))),
        self_signed=fields["subject"] == fields["issuer"],
    )


def fingerprint(path: Path) -> str:
    """The digest of the first certificate of a file; empty when there is none."""
    try:
        first, end, _ = exact(path).partition(END)
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first + end)).hexdigest()
    except (OSError, ValueError):
        return ""


def state(app: str, source: str, path: Path) -> TlsState:
    """What the certificate of an app is like; ``source`` is where it is to come from."""
    found, renewal = read(path), failure(app) if source == "acme" else ""
    if source == "acme" and (not found or found.self_signed):
        found, renewal = None, f"none was issued yet{': ' if renewal else ''}{renewal}"
    if not found:
        return {"source": source, "expires": "", "days_left": -1, "days": 0, "renewal": renewal}
    expires = f"{datetime.fromtimestamp(found.expires, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    days = round((found.expires - found.begins) / DAY)
    return {"source": source, "expires": expires, "days_left": found.days_left, "days": days, "renewal": renewal}


def failure(app: str) -> str:
    """What kept an ACME server from issuing the certificate of an app when it was last asked; empty when nothing did."""
    try:
        return str(json.loads(exact(Path(ACME_RECORD)))[app]["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def pair_problem(path: Path) -> str:
    """Why a file is none of a certificate with its key; empty when it is."""
    try:
        content = exact(path)
    except OSError:
        return "missing"
    return "" if KEY in content else "without a key"


def self_signed_problem(path: Path, names: Iterable[str]) -> str:
    """Why a file is not, or not much longer, one that the host makes itself for these names; empty when it is."""
    if problem := pair_problem(path):
        return problem
    found = read(path)
    if not found:
        return "not a certificate"
    if not found.self_signed:
        return "issued by somebody else"
    if found.names != set(map(normal, names)):
        return "for other names"
    return f"{found.days_left} days left" if found.days_left < LEFT_MIN else ""


def issued_problem(path: Path, names: Iterable[str]) -> str:
    """Why a certificate is not one that somebody else has issued for these names; empty when it is."""
    found = read(path)
    if not found or found.self_signed:
        return "none was issued yet"
    return "" if found.names == set(map(normal, names)) else "for other names"


def stands_in(path: Path, names: Iterable[str]) -> bool:
    """Whether somebody else has issued a certificate that is for these names, and may be for others."""
    found = read(path)
    return bool(found and not found.self_signed and set(map(normal, names)) <= found.names)


def held_or_made(path: Path, names: Iterable[str], force: bool) -> str:
    """The certificate with its key that is to be at a path: what is there, or a new one that the host makes for these names.

    Without ``force`` what is there may be somebody else's: another one holds its place until that is issued. That of another site of the
    directory does, when it is for these names: the site is called otherwise then, or its certificate came another way.
    """
    if not force and not path.exists():
        path = next((other for other in sorted(path.parent.glob("*.pem")) if stands_in(other, names)), path)
    problem = self_signed_problem(path, names) if force else pair_problem(path)
    return self_signed(names) if problem else exact(path)


def self_signed(names: Iterable[str]) -> str:
    """A new key, behind a certificate for these names that it has signed itself."""
    listed = sorted(set(map(normal, names)))
    with tempfile.TemporaryDirectory(prefix="certificate-") as folder:
        config, certificate, key = (Path(folder) / name for name in ("config", "certificate", "key"))
        kinds = ((f"{'IP' if is_address(name) else 'DNS'}.{number}", name) for number, name in enumerate(listed))
        config.write_text(CONFIG + "".join(f"{kind} = {name}\n" for kind, name in kinds), encoding="ascii")
        openssl(
            *("req", "-x509", "-config", str(config), "-days", str(LIFE), "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-out", str(certificate), "-keyout", str(key)),
        )
        return certificate.read_text(encoding="ascii") + key.read_text(encoding="ascii")


def is_address(name: str) -> bool:
    """Whether a name is an address; nginx has brackets around one of IPv6."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
