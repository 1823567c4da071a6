"""What a host reads of its certificates, and the one that it makes itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from tests.unit.loading import plugin
from tests.unit.certified import Authority, Issued, authority, issue

certificates = plugin("module_utils", "certificates")
NAMES = ["shop.example.com", "*.Example.com", "192.0.2.1", "[2001:db8::1]", "shop.example.com"]
MEANT = {"shop.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"}


def put(path: Path, issued: Issued, ca: Authority | None = None) -> Path:
    path.write_text((ca.chain(issued) if ca else issued.pem) + issued.key_pem)
    return path


def test_the_certificate_that_a_host_makes_itself(tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    path.write_text(certificates.self_signed(NAMES))
    found = certificates.read(path)
    assert (found.names, found.self_signed, found.days_left) == (MEANT, True, 3649)
    assert certificates.self_signed_problem(path, NAMES) == ""
    assert certificates.self_signed_problem(path, reversed(NAMES)) == ""
    made = x509.load_pem_x509_certificate(path.read_bytes())
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert path.read_text().count("BEGIN") == 2
    assert certificates.self_signed(NAMES) != path.read_text()


@pytest.mark.parametrize(
    ("issued", "problem"),
    [
        (authority().leaf("a.test"), "issued by somebody else"),
        (issue("own", names=["b.test"]), "for other names"),
        (issue("own", names=["a.test", "b.test"]), "for other names"),
        (issue("own", names=["a.test"], days=29.5), "29 days left"),
        (issue("own", names=["a.test"], days=30.5), ""),
        (issue("own", names=["a.test"], days=-1.5), "-2 days left"),
    ],
)
def test_when_another_one_is_made(issued: Issued, problem: str, tmp_path: Path) -> None:
    assert certificates.self_signed_problem(put(tmp_path / "x.pem", issued), ["A.test"]) == problem


def test_a_file_without_one_of_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    assert certificates.self_signed_problem(path, ["a.test"]) == certificates.pair_problem(path) == "missing"
    own = issue("own", names=["a.test"])
    path.write_text(own.pem)
    assert certificates.self_signed_problem(path, ["a.test"]) == certificates.pair_problem(path) == "without a key"
    path.write_text(own.key_pem)
    assert certificates.self_signed_problem(path, ["a.test"]) == "not a certificate"
    assert certificates.chain(own.pem + own.key_pem) == own.pem


def test_what_the_state_has_of_a_certificate(tmp_path: Path) -> None:
    leaf = authority().leaf("a.test", days=12.5)
    end = leaf.certificate.not_valid_after_utc
    found = certificates.state("shop", "files", put(tmp_path / "x.pem", leaf, authority()))
    assert found == {"source": "files", "expires": f"{end:%Y-%m-%dT%H:%M:%SZ}", "days_left": 12, "days": 112, "renewal": ""}
    assert certificates.state("shop", "files", tmp_path / "none.pem") == {
        "source": "files",
        "expires": "",
        "days_left": -1,
        "days": 0,
        "renewal": "",
    }


def test_a_fingerprint_is_that_of_the_first_certificate(tmp_path: Path) -> None:
    leaf = authority().leaf("a.test")
    path = put(tmp_path / "x.pem", leaf, authority())
    said = subprocess.run(["openssl", "x509", "-in", path, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True, check=True)
    assert certificates.fingerprint(path) == said.stdout.strip().partition("=")[2].replace(":", "").lower()
    assert certificates.fingerprint(tmp_path / "none") == ""
    path.write_text("nonsense")
    assert certificates.fingerprint(path) == ""


def test_a_host_without_openssl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = put(tmp_path / "x.pem", issue("own", names=["a.test"]))
    monkeypatch.setattr(certificates, "OPENSSL", str(tmp_path / "nowhere"))
    assert certificates.read(path) is None
    with pytest.raises(certificates.NoOpensslError, match="install the package openssl"):
        certificates.self_signed(["a.test"])
