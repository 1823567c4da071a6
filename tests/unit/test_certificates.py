"""Certificates of the controller: what stands against one is said before anything changes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from tests.unit.loading import plugin
from tests.unit.certified import KEY, NOW, Issued, authority, issue

certificates = plugin("plugin_utils", "certificates")
STORES = certificates.STORES
NAMES = ("shop.example.com", "www.example.com", "192.0.2.1", "2001:db8::1")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What the controller trusts: one authority that none of the tests has."""
    path = tmp_path / "store.pem"
    path.write_text(issue("Somebody").pem)
    monkeypatch.setattr(certificates, "STORES", (str(path),))
    certificates.trusted.cache_clear()
    yield path
    certificates.trusted.cache_clear()


def pair(leaf: Issued, chain: str = "", key: str = "") -> object:
    """As it is read from files."""
    text = chain or authority().chain(leaf)
    return certificates.Pair(chain=certificates.chain_of(text.encode()), key=certificates.key_of((key or leaf.key_pem).encode()))


def problems(leaf: Issued, *names: str, chain: str = "", key: str = "") -> list[str]:
    return list(certificates.problems("tornado_apps.shop.tls", pair(leaf, chain, key), names or NAMES, NOW))


def test_a_good_certificate_has_nothing_against_it() -> None:
    assert problems(authority().leaf(*NAMES)) == []
    assert problems(authority().leaf(*NAMES), "SHOP.example.com", "[2001:DB8::0:1]") == []


def test_the_file_of_nginx_is_the_certificates_and_the_key_alone() -> None:
    leaf = authority().leaf(*NAMES)
    made = pair(leaf, f"subject=comment\n{authority().chain(leaf)}\n# the end")
    assert made.file() == authority().chain(leaf) + leaf.key_pem  # type: ignore[attr-defined]
    assert KEY not in made.certificates()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("covered", "name", "fits"),
    [
        ("*.example.com", "shop.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.shop.example.com", False),
        ("*.example.com", "*.example.com", True),
        ("shop.example.com", "*.example.com", False),
        ("*.2.1", "192.0.2.1", False),
    ],
)
def test_which_names_a_certificate_is_for(covered: str, name: str, fits: bool) -> None:
    assert certificates.covers(authority().leaf(covered).certificate, name) is fits


def test_names_that_are_not_covered_are_said_with_those_that_are() -> None:
    (found,) = problems(authority().leaf("shop.example.com"), "shop.example.com", "web-1", "192.0.2.1")
    assert found == (
        "tornado_apps.shop.tls.certificate is not for web-1, 192.0.2.1 of server_names or redirect_names, but for shop.example.com; "
        "get one for all of them, or leave these names out"
    )


def test_a_common_name_alone_is_no_name() -> None:
    bare = issue("shop.example.com", authority().intermediate)
    assert "but for no name" in problems(bare, "shop.example.com")[0]


def test_a_key_of_another_certificate_is_refused() -> None:
    (found,) = problems(authority().leaf(*NAMES), key=authority().leaf(*NAMES).key_pem)
    assert found.startswith("tornado_apps.shop.tls.key is not the one of the certificate")


def test_a_certificate_counts_only_in_its_time() -> None:
    (over,) = problems(authority().leaf(*NAMES, days=-1))
    assert (
        over == f"tornado_apps.shop.tls.certificate: CN=shop.example.com has expired on {NOW - timedelta(days=1):%Y-%m-%d}; get a new one"
    )
    (early,) = problems(authority().leaf(*NAMES, since=NOW + timedelta(hours=1)))
    assert "is not valid before" in early
    issuer = issue("Old", authority().root, days=-2)
    leaf = issue("x", issuer, NAMES)
    (found,) = problems(leaf, chain=leaf.pem + issuer.pem + authority().root.pem)
    assert "CN=Old has expired" in found


def test_a_chain_ends_at_itself_or_at_what_the_controller_trusts(store: Path) -> None:
    leaf = authority().leaf(*NAMES)
    short = leaf.pem + authority().intermediate.pem
    (found,) = problems(leaf, chain=short)
    assert "the chain ends at CN=Intermediate of tests, and that of its issuer, CN=Root of tests, is missing; put it behind" in found
    store.write_text(authority().root.pem)
    certificates.trusted.cache_clear()
    assert problems(leaf, chain=short) == []
    assert "that of its issuer, CN=Intermediate of tests, is missing" in problems(leaf, chain=leaf.pem)[0]
    store.unlink()
    certificates.trusted.cache_clear()
    assert problems(leaf, chain=leaf.pem) == []  # nobody can say what is trusted


def test_nothing_is_said_of_the_roots_that_a_controller_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some have numbers that no certificate may have today."""
    monkeypatch.setattr(certificates, "STORES", STORES)
    with warnings.catch_warnings(action="error"):
        assert certificates.trusted()


def test_a_certificate_that_has_issued_itself_is_whole() -> None:
    own = issue("own", names=NAMES)
    assert problems(own, chain=own.pem) == []


def test_certificates_in_another_order_are_refused() -> None:
    leaf = authority().leaf(*NAMES)
    (found,) = problems(leaf, chain=leaf.pem + authority().root.pem + authority().intermediate.pem)
    assert "behind CN=shop.example.com comes CN=Root of tests, which has not issued it; the order is" in found


def test_an_issuer_of_the_same_name_is_not_the_issuer() -> None:
    leaf, impostor = authority().leaf(*NAMES), issue("Intermediate of tests", authority().root)
    assert "which has not issued it" in problems(leaf, chain=leaf.pem + impostor.pem)[0]


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", bytes(range(256))], ids=range(4)
)
def test_what_is_no_certificate(content: bytes) -> None:
    with pytest.raises(certificates.UnusableError, match="has no certificate in PEM"):
        certificates.chain_of(content)


def test_what_is_no_key_and_no_word_of_it() -> None:
    leaf = authority().leaf(*NAMES)
    broken = leaf.key_pem.replace("M", "!", 3)
    for content in ("", leaf.pem, broken):
        with pytest.raises(certificates.UnusableError, match="has no private key in PEM") as failure:
            certificates.key_of(content.encode())
        assert not any(len(line) > 20 and line in str(failure.value) for line in broken.splitlines()[1:])
    locked = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    with pytest.raises(certificates.UnusableError, match="has a passphrase, which nginx cannot ask for"):
        certificates.key_of(locked)
