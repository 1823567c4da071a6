"""Certificates of an authority that the tests make, as files for the role's settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

NOW = datetime.now(UTC)
KEY = "-----BEGIN PRIVATE KEY-----"


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


# What one that issues others is for.
ISSUES = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def name(common: str) -> x509.Name:
    """A subject."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def alternative(names: Sequence[str]) -> x509.SubjectAlternativeName:
    """The names of a certificate; what looks like an address is one."""
    found: list[x509.GeneralName] = []
    for text in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(text)))
        except ValueError:
            found.append(x509.DNSName(text))
    return x509.SubjectAlternativeName(found)


def issue(subject: str, by: Issued | None = None, names: Sequence[str] = (), days: float = 90, since: datetime | None = None) -> Issued:
    """A certificate that lasts for so many days from now; one without names may issue others.

    It has all that RFC 5280 asks for, as Python 3.13 does, too.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(by.certificate.subject if by else name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since or NOW - timedelta(days=100))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key((by.key if by else key).public_key()), critical=False)
        .add_extension(*((alternative(names), False) if names else (ISSUES, True)))
    )
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)


@dataclass(frozen=True)
class Authority:
    """A root, and the intermediate that issues for it."""

    root: Issued
    intermediate: Issued

    def leaf(self, *names: str, **options: Any) -> Issued:
        """A certificate for these names."""
        return issue(names[0], self.intermediate, names, **options)

    def chain(self, leaf: Issued) -> str:
        """A certificate with the one that has issued it, and the root, which no store has."""
        return leaf.pem + self.intermediate.pem + self.root.pem


@cache
def authority() -> Authority:
    """One for all tests."""
    root = issue("Root of tests", days=3650)
    return Authority(root, issue("Intermediate of tests", root, days=3650))


def written(folder: Path, leaf: Issued, chain: str = "") -> dict[str, Any]:
    """The setting tls of an app that has this certificate, with its files."""
    files = {"certificate": (chain or authority().chain(leaf)), "key": leaf.key_pem}
    for part, content in files.items():
        (folder / f"{part}.pem").write_text(content)
    return {part: str(folder / f"{part}.pem") for part in files}
