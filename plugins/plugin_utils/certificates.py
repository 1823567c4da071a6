"""Certificates of the controller: what they are, and what stands against them before anything changes."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from ansible_collections.tornado_app.deploy.plugins.module_utils.certificates import is_address, normal

# Where systems keep the certificates that they trust; the first is where Python's own OpenSSL looks, or SSL_CERT_FILE says.
STORES = (ssl.get_default_verify_paths().openssl_cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


class UnusableError(Exception):
    """A file is not what nginx needs; the message goes on after its setting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A certificate with those of its issuers behind it, and its private key."""

    chain: tuple[x509.Certificate, ...]
    key: Any  # of one of the kinds that cryptography has

    def certificates(self) -> str:
        """The certificates in PEM, with nothing beside them."""
        return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in self.chain)

    def file(self) -> str:
        """The whole that nginx reads: one file, so that it never finds a certificate with the key of another one."""
        key: bytes = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.certificates() + key.decode()


def chain_of(content: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a file, in its order."""
    try:
        return tuple(x509.load_pem_x509_certificates(content))
    except ValueError:
        raise UnusableError("has no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----") from None


def key_of(content: bytes) -> Any:
    """The private key of a file. No message says anything that is in it."""
    try:
        return serialization.load_pem_private_key(content, None)
    except TypeError:
        raise UnusableError(
            "has a passphrase, which nginx cannot ask for: write it without one, by `openssl pkey`, and let `ansible-vault encrypt` keep it"
        ) from None
    except Exception:  # whatever it is, nginx could not read it either
        raise UnusableError("has no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----") from None


def problems(where: str, pair: Pair, names: Iterable[str], now: datetime, whose: str = "server_names or redirect_names") -> Iterator[str]:
    """What stands against a certificate for these names; ``where`` is its setting, ``whose`` that of the names."""
    first = pair.chain[0]
    if public(first.public_key()) != public(pair.key.public_key()):
        yield f"{where}.key is not the one of the certificate; it may belong to an earlier or a later one"
    for certificate in pair.chain:
        who = subject(certificate)
        if certificate.not_valid_after_utc <= now:
            yield f"{where}.certificate: {who} has expired on {certificate.not_valid_after_utc:%Y-%m-%d}; get a new one"
        if certificate.not_valid_before_utc > now:
            yield f"{where}.certificate: {who} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    missing = [name for name in names if not covers(first, name)]
    if missing:
        covered = ", ".join(sorted(covered_names(first))) or "no name"
        yield (
            f"{where}.certificate is not for {', '.join(missing)} of {whose}, but for {covered}; "
            "get one for all of them, or leave these names out"
        )
    yield from chain_problems(where, pair.chain)


def public(key: Any) -> bytes:
    """A public key, to compare."""
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def subject(certificate: x509.Certificate) -> str:
    """What a certificate calls itself."""
    return certificate.subject.rfc4514_string() or f"the one with the serial number {certificate.serial_number:x}"


def covered_names(certificate: x509.Certificate) -> set[str]:
    """The names and addresses that a certificate is for. Clients heed no common name any more."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {name.lower() for name in found.get_values_for_type(x509.DNSName)} | {
        str(address) for address in found.get_values_for_type(x509.IPAddress)
    }


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Whether a certificate is for a server name; a wildcard of it stands for one part of a name."""
    wanted, covered = normal(name), covered_names(certificate)
    return wanted in covered or (not is_address(name) and f"*.{wanted.partition('.')[2]}" in covered)


def chain_problems(where: str, chain: Sequence[x509.Certificate]) -> Iterator[str]:
    """Whether each certificate is issued by the next one, and the last one by itself or by one that the controller trusts."""
    for certificate, issuer in pairwise(chain):
        if not issued(certificate, issuer):
            yield (
                f"{where}.certificate: behind {subject(certificate)} comes {subject(issuer)}, which has not issued it; "
                "the order is the certificate, its issuer, the issuer of that"
            )
            return
    last, store = chain[-1], trusted()
    if store and not issued(last, last) and not any(issued(last, root) for root in store):
        yield (
            f"{where}.certificate: the chain ends at {subject(last)}, and that of its issuer, {last.issuer.rfc4514_string()}, is missing; "
            "put it behind. The controller does not trust that issuer by itself"
        )


def issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether one certificate has issued another one."""
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


@cache
def trusted() -> tuple[x509.Certificate, ...]:
    """The certificates that the controller trusts; none where it is not known which these are."""
    store = next((path for path in map(Path, STORES) if path.is_file()), None)
    with warnings.catch_warnings(category=CryptographyDeprecationWarning, action="ignore"):  # of roots with a number that none has today
        try:
            return tuple(x509.load_pem_x509_certificates(store.read_bytes())) if store else ()
        except ValueError:
            return ()
