"""nginx_config: certificates with their keys, which nobody sees, and which nginx judges with all else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import plugin
from tests.unit.certified import KEY, Issued, authority
from tests.unit.conftest import process, utils, wait_until
from tests.unit.nginx_host import Host, host, own

__all__ = ["host"]  # a fixture

PEM = "tornado_app/shop.pem"
certificates = plugin("module_utils", "certificates")


def tls_site(host: Host) -> dict[str, Any]:
    """A site with the certificate."""
    listen = f"listen 127.0.0.1:{host.port} ssl; ssl_certificate {PEM}; ssl_certificate_key {PEM};"
    return {"path": "conf.d/site.conf", "content": f"server {{ {listen} return 200; }}\n"}


def issued(leaf: Issued, key: Issued | None = None) -> dict[str, Any]:
    return {"path": PEM, "secret": authority().chain(leaf) + (key or leaf).key_pem}


def words(leaf: Issued) -> list[str]:
    """The lines of a key, without those around it."""
    return leaf.key_pem.splitlines()[1:-1]


def test_root_alone_reads_the_key_and_nobody_sees_it(host: Host) -> None:
    leaf, later = (authority().leaf("shop.test") for _ in range(2))
    results = [host.install([tls_site(host), issued(leaf)], check=True), host.install([tls_site(host), issued(leaf)])]
    path = host.root / PEM
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == authority().chain(leaf) + leaf.key_pem
    results += [host.install([tls_site(host), issued(later)]), host.run({"conf.d/site.conf": "# none\n"}, absent=[PEM])]
    assert [result["changed"] for result in results] == [True] * 4
    assert not path.exists()
    said = str(results)
    assert not any(word in said for word in (*words(leaf), *words(later), KEY))
    diffs = [(diff["before"], diff["after"]) for result in results for diff in result["diff"] if diff["after_header"] == str(path)]
    other = "(another certificate)\n"
    assert diffs == [("", "(a certificate)\n")] * 2 + [(other, "(a certificate)\n"), (other, "")]


def test_a_key_that_others_could_read_is_taken_from_them(host: Host) -> None:
    leaf = authority().leaf("shop.test")
    host.install([tls_site(host), issued(leaf)])
    (host.root / PEM).chmod(0o644)
    assert host.install([tls_site(host), issued(leaf)])["changed"]
    assert (host.root / PEM).stat().st_mode & 0o777 == 0o600
    assert not host.install([tls_site(host), issued(leaf)])["changed"]


def test_what_nginx_refuses_leaves_the_last_good_pair(host: Host) -> None:
    leaf, other = (authority().leaf("shop.test") for _ in range(2))
    host.install([tls_site(host), issued(leaf)])
    before = host.tree()
    result = host.install([tls_site(host), issued(other, key=leaf)])
    assert result["failed"]
    assert re.search("key values mismatch", result["msg"])
    assert host.tree() == before
    assert not any(word in str(result) for word in words(leaf))


def test_another_certificate_is_loaded(host: Host, nginx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line of the configuration is another one."""
    leaf, later = (authority().leaf("shop.test") for _ in range(2))
    host.install([tls_site(host), issued(leaf)])
    reloads: list[int] = []
    monkeypatch.setattr(plugin("modules", "nginx_config"), "reload", lambda *_: reloads.append(1))
    with process(nginx, "-e", "stderr", "-c", host.root / "nginx.conf", "-g", "daemon off;") as master:
        wait_until(lambda: own.master() == master.pid and utils("proc").children(master.pid), "nginx's workers")
        assert not host.install([tls_site(host), issued(leaf)])["reloaded"]
        assert host.install([tls_site(host), issued(later)])["reloaded"]
        assert not host.install([tls_site(host), issued(later)])["reloaded"]
    assert len(reloads) == 1


def own_certificate(host: Host, *names: str, force: bool = True, **arguments: Any) -> dict[str, Any]:
    return host.install([tls_site(host), {"path": PEM, "self_signed": list(names), "force": force}], **arguments)


def test_a_certificate_of_the_host_is_made_once_for_its_names(host: Host) -> None:
    assert own_certificate(host, "shop.test", check=True)["changed"]
    assert not (host.root / PEM).exists()
    assert own_certificate(host, "shop.test")["changed"]
    first = (host.root / PEM).read_text()
    assert (host.root / PEM).stat().st_mode & 0o777 == 0o600
    assert not own_certificate(host, "shop.test")["changed"]
    assert (host.root / PEM).read_text() == first
    assert own_certificate(host, "shop.test", "www.shop.test")["changed"]
    assert certificates.read(host.root / PEM).names == {"shop.test", "www.shop.test"}
    (host.root / PEM).chmod(0o640)
    second = (host.root / PEM).read_text()
    assert own_certificate(host, "shop.test", "www.shop.test")["changed"]
    assert ((host.root / PEM).read_text(), (host.root / PEM).stat().st_mode & 0o777) == (second, 0o600)


def test_until_one_is_issued_that_of_another_site_holds_its_place_where_it_can(host: Host) -> None:
    """A site is called after its first app, which may be another one by now."""
    leaf = authority().leaf("shop.test", "www.shop.test")
    host.install([{"path": "tornado_app/old.pem", "secret": leaf.pem + leaf.key_pem}])
    own_certificate(host, "www.shop.test", force=False)
    assert (host.root / PEM).read_text() == leaf.pem + leaf.key_pem
    (host.root / PEM).unlink()
    own_certificate(host, "other.test", force=False)
    assert (host.root / PEM).read_text() != leaf.pem + leaf.key_pem


def test_it_takes_the_place_of_one_that_was_issued_but_only_by_force(host: Host) -> None:
    leaf = authority().leaf("other.test")
    host.install([tls_site(host), issued(leaf)])
    assert not own_certificate(host, "shop.test", force=False)["changed"]
    assert own_certificate(host, "shop.test")["changed"]
    assert certificates.read(host.root / PEM).self_signed
    (host.root / PEM).unlink()
    assert own_certificate(host, "shop.test", force=False)["changed"]
    assert certificates.read(host.root / PEM).names == {"shop.test"}


def test_a_host_without_openssl_says_so(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "OPENSSL", str(host.folder / "nowhere"))
    before = host.tree()
    result = own_certificate(host, "shop.test")
    assert "nothing is changed: " in result["msg"]
    assert "install the package openssl" in result["msg"]
    # It is installed before, in a run that changes something.
    assert own_certificate(host, "shop.test", check=True)["changed"]
    assert host.tree() == before


def test_a_key_is_in_no_dump_of_nginx(host: Host, nginx: Path) -> None:
    """The module reads these."""
    leaf = authority().leaf("shop.test")
    host.install([tls_site(host), issued(leaf)])
    dump = subprocess.run([nginx, "-T", "-c", host.root / "nginx.conf"], capture_output=True, text=True, check=True)
    assert PEM in dump.stdout
    assert not any(word in dump.stdout + dump.stderr for word in words(leaf))
