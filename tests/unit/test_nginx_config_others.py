"""nginx_config: what other sites of a host lose is said, and no site of theirs is removed."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.certified import authority
from tests.unit.conftest import PATIENCE, process, wait_until
from tests.unit.nginx_host import Host, host, own

__all__ = ["host"]  # a fixture

DEFAULT = "sites-enabled/default"
LEAF = authority().leaf("shop.test", "own.test")


@pytest.fixture
def tls(host: Host, ports: Callable[[int], list[int]]) -> int:
    """A port, and a certificate for it."""
    (host.root / "x.pem").write_text(authority().chain(LEAF) + LEAF.key_pem)
    (host.root / "conf.d/site.conf").unlink()
    return ports(1)[0]


def server(port: int, name: str, lines: str = "", ending: str = " ssl") -> str:
    certificate = "ssl_certificate x.pem; ssl_certificate_key x.pem;" if "ssl" in ending else ""
    return f"server {{ listen 127.0.0.1:{port}{ending}; server_name {name}; {certificate} {lines} return 200; }}\n"


def install(host: Host, port: int, ending: str = " ssl default_server") -> dict[str, Any]:
    """The role's default server and a site."""
    lines = "ssl_protocols TLSv1.2 TLSv1.3;" if "ssl" in ending else ""
    names = {"tornado_app": "_", "shop": "shop.test"}
    endings = {"tornado_app": ending, "shop": ending.replace(" default_server", "")}
    return host.run({f"conf.d/{file}.conf": server(port, name, lines, endings[file]) for file, name in names.items()})


Warned = Callable[..., list[str]]


@pytest.fixture
def warned(host: Host, capsys: pytest.CaptureFixture[str]) -> Warned:
    """Installs the two, and tells what the module warns of, with paths from the tree's root on."""

    def told(port: int, **arguments: Any) -> list[str]:
        capsys.readouterr()
        result = install(host, port, **arguments)
        assert not result.get("failed"), result
        words = " ".join(capsys.readouterr().err.split()).replace(f"{host.root}/", "")
        return words.split("[WARNING]: ")[1:]

    return told


def accepts(port: int, version: ssl.TLSVersion) -> bool:
    """Whether own.test is served to a client with this version of TLS alone."""
    context = ssl.create_default_context(cadata=authority().root.pem)
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
        try:
            context.wrap_socket(plain, server_hostname="own.test").close()
        except ssl.SSLError:
            return False
    return True


@pytest.mark.parametrize(
    "files",
    [
        {"sites-enabled/own": "ssl_protocols TLSv1.3;"},
        {"sites-enabled/own": "include snippets/*.conf;", "snippets/tls.conf": "ssl_protocols TLSv1.3;"},
        {"sites-enabled/own": "", "conf.d/tls.conf": "ssl_protocols TLSv1.3;"},
    ],
    ids=["server", "include", "http"],
)
def test_other_versions_of_tls_are_said_once(host: Host, nginx: Path, tls: int, warned: Warned, files: dict[str, str]) -> None:
    for path, text in files.items():
        (host.root / path).parent.mkdir(exist_ok=True)
        (host.root / path).write_text(server(tls, "own.test", text) if path.endswith("own") else text)
    found: list[tuple[bool, list[str]]] = []
    for _ in range(2):
        with process(nginx, "-e", "stderr", "-c", host.root / "nginx.conf", "-g", "daemon off;") as running:
            wait_until(lambda pid=running.pid: own.master() == pid and accepts(tls, ssl.TLSVersion.TLSv1_3), "nginx")  # type: ignore[misc]
            old = accepts(tls, ssl.TLSVersion.TLSv1_2)
        found.append((old, warned(tls)))
    (before, said), (after, nothing) = found
    assert (before, after, nothing) == (False, True, [])  # nginx takes them of the default server
    assert [line.strip() for line in said] == [
        f"sites-enabled/own answered on port {tls} for names that no site has, which nobody answers now; name there those that it is for",
        f"sites-enabled/own has ssl_protocols TLSv1.3; on port {tls} nginx takes this role's for all names, TLSv1.2 TLSv1.3",
    ]


def test_the_first_site_of_a_port_without_tls_is_named_too(host: Host, warned: Warned, ports: Callable[[int], list[int]]) -> None:
    (host.root / "conf.d/site.conf").unlink()
    (other,) = ports(1)
    (host.root / "conf.d/a.conf").write_text(server(other, "elsewhere.test", ending=""))
    (host.root / "sites-enabled/b").write_text(server(host.port, "b.test", ending=""))
    (host.root / "sites-enabled/c").write_text(server(host.port, "c.test", ending=""))
    (line,) = warned(host.port, ending=" default_server")
    assert line.startswith(f"sites-enabled/b answered on port {host.port} for names that no site has")


def test_a_host_without_other_sites_hears_nothing(tls: int, warned: Warned) -> None:
    assert warned(tls) == []


@pytest.mark.parametrize("path", ["conf.d/a.conf", "sites-enabled/own"])
def test_of_two_default_servers_the_way_out_is_said(host: Host, tls: int, path: str) -> None:
    (host.root / path).write_text(server(tls, "own.test", ending=" ssl default_server"))
    said = install(host, tls)["msg"]
    assert "a duplicate default server" in said
    assert said.endswith("; the role has the default server there: take default_server out of the other site")


# The default site


@pytest.fixture
def default(host: Host, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The distribution's, of which dpkg knows the digest."""
    available = host.root / "sites-available/default"
    available.parent.mkdir()
    available.write_text(server(host.port, "_", ending=" default_server"))
    (host.root / DEFAULT).symlink_to(available)
    script = host.folder / "bin/dpkg-query"
    script.parent.mkdir()
    digest = hashlib.md5(available.read_bytes(), usedforsecurity=False).hexdigest()
    script.write_text(f"#!/bin/sh\necho ' /etc/nginx/sites-available/default {digest}'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return available


@pytest.mark.parametrize("content", [None, ""])
def test_the_default_site_of_the_distribution_goes(host: Host, default: Path, content: str | None) -> None:
    """An empty one too, with which nothing is lost."""
    if content is not None:
        default.write_text(content)
    assert host.run(absent=[DEFAULT])["changed"]
    assert not os.path.lexists(host.root / DEFAULT)
    assert default.exists()


@pytest.mark.parametrize("linked", [True, False])
def test_an_operators_default_site_stays(host: Host, default: Path, linked: bool) -> None:
    text = default.read_text().replace("200", "204")
    if linked:
        default.write_text(text)
    else:
        (host.root / DEFAULT).unlink()
        (host.root / DEFAULT).write_text(text)
    for check in (True, False):
        result = host.run({"conf.d/new.conf": "# new\n"}, absent=[DEFAULT], check=check)
        assert result["failed"]
        assert result["msg"] == (
            f"nothing is changed: {host.root}/{DEFAULT} is not the distribution's own, and it would be removed; if it is to stay, "
            f"rename it, for instance to {host.root}/sites-enabled/own.conf, otherwise remove it"
        )
    assert (host.root / DEFAULT).read_text() == text
    assert host.text("conf.d/new.conf") is None
