"""An operator's nginx.conf that the role replaces: what other sites need of it goes on."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.unit.loading import plugin
from tests.unit.conftest import render
from tests.unit.nginx_host import MAIN, Host, host

__all__ = ["host"]  # a fixture

main = plugin("module_utils", "nginx_main")
ROLES = render("nginx.conf.j2", {})
# As distributions ship it.
SHIPPED = """\
user www-data;
worker_processes auto;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
include /etc/nginx/modules-enabled/*.conf;

events {
	worker_connections 768;
	# multi_accept on;
}

http {
	sendfile on;
	keepalive_timeout 65;
	types_hash_max_size 2048;
	include /etc/nginx/mime.types;
	default_type application/octet-stream;
	ssl_protocols TLSv1.2 TLSv1.3; # and no older one
	ssl_prefer_server_ciphers on;
	access_log /var/log/nginx/access.log;
	gzip on;
	include /etc/nginx/conf.d/*.conf;
	include /etc/nginx/sites-enabled/*;
}
# mail { }
"""
STREAM = """stream {
    # A ; and a } of no meaning.
    log_format short '$remote_addr; {"x": "$status"}';
    server { listen 127.0.0.1:1; return "}"; }
}"""


def test_of_a_file_as_it_is_shipped_what_sites_need_for_tls_goes_on() -> None:
    found = main.kept(SHIPPED, ROLES)
    assert found == ([], ["ssl_protocols TLSv1.2 TLSv1.3;", "ssl_prefer_server_ciphers on;"], [])


def test_of_its_own_file_nothing_goes_on() -> None:
    assert main.kept(ROLES, ROLES) == ([], [], [])


def test_what_goes_on_and_what_does_not() -> None:
    changed = SHIPPED.replace("events {", f"{STREAM}\nenv TZ;\nevents {{ use epoll;").replace("user www-data", "user nginx")
    more = """
    client_max_body_size 200m;
    keepalive_timeout 300;
    map $uri $x { default 0; ~^/a 1; }
    log_format own "$remote_addr # ${uri}";
    include /etc/nginx/vhosts/*.conf;
    gzip_types text/plain;
    """
    found = main.kept(changed.replace("keepalive_timeout 65;", more), ROLES)
    assert found.main == [STREAM, "env TZ;"]
    assert found.http[:4] == [
        "client_max_body_size 200m;",
        "map $uri $x { default 0; ~^/a 1; }",
        'log_format own "$remote_addr # ${uri}";',
        "include /etc/nginx/vhosts/*.conf;",
    ]
    assert [line.partition("; this role")[0] for line in found.lost] == [
        "nginx.conf had user nginx",
        "nginx.conf had in http keepalive_timeout 300",
        "nginx.conf had in http gzip_types text/plain",
        "nginx.conf had in events use epoll",
    ]
    assert found.lost[1].endswith("this role has keepalive_timeout 65s")
    assert found.lost[3].endswith("this role does not")


@pytest.mark.parametrize("text", ["http {", "user www-data", "http { server { }", 'a "b;', "}"])
def test_what_nginx_would_not_take_is_not_read(text: str) -> None:
    with pytest.raises(main.UnreadableError):
        list(main.statements(text))


# With the module


@pytest.fixture
def foreign(host: Host) -> Path:
    """An operator's file, with a site that needs something of it."""
    path = host.root / "nginx.conf"
    path.write_text(
        path.read_text().replace("access_log off;", "access_log off;\n    log_format own '$uri';\n    client_max_body_size 9m;")
    )
    (host.root / "conf.d/site.conf").write_text(f"server {{ listen 127.0.0.1:{host.port}; access_log {host.folder}/own.log own; }}\n")
    return path


def wanted(host: Host) -> dict[str, str]:
    """What the role would have in its place, for this host."""
    text = re.sub(r" {4}(log_format own|client_max).*\n", "", host.text("nginx.conf") or "")
    return {"nginx.conf": f"# Ansible managed\n# Another one.\n{text}"}


def test_a_site_keeps_what_it_needs(host: Host, foreign: Path) -> None:
    before, new = foreign.read_text(), wanted(host)
    os.utime(foreign, (1767323045, 1767323045))
    checked = host.run(new, check=True)
    assert foreign.read_text() == before
    result = host.run(new)
    assert not result.get("failed"), result
    assert (host.root / "nginx.conf.2026-01-02@03:04:05~").read_text() == before
    assert (host.text("conf.d/00-from-nginx-conf.conf") or "").splitlines()[1:] == ["log_format own '$uri';", "client_max_body_size 9m;"]
    assert {Path(diff["after_header"]).name for diff in result["diff"]} == {
        *("nginx.conf", "nginx.conf.2026-01-02@03:04:05~", "00-from-nginx-conf.conf"),
    }
    assert checked["diff"] == result["diff"]
    assert not host.run(new)["changed"]


def test_what_goes_on_is_the_operators_from_then_on(host: Host, foreign: Path) -> None:
    new = wanted(host)
    host.run(new)
    own = host.root / "conf.d/00-from-nginx-conf.conf"
    own.write_text("log_format own '$uri $status';\n")
    assert not host.run(new)["changed"]
    # Somebody brings a file of his own again: what is new of it comes to the rest.
    foreign.write_text(MAIN.replace("/run/", f"{host.folder}/").replace("/var/log/nginx/", f"{host.folder}/").replace("www-data", "root"))
    foreign.write_text(foreign.read_text().replace("access_log off;", "access_log off;\n    client_max_body_size 8m;"))
    host.run(new)
    assert own.read_text() == "log_format own '$uri $status';\nclient_max_body_size 8m;\n"


def test_what_cannot_go_on_is_said(host: Host, foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign.write_text(foreign.read_text().replace("access_log off;", "access_log off;\n    keepalive_timeout 300;"))
    new = {"nginx.conf": wanted(host)["nginx.conf"].replace("keepalive_timeout 300;", "keepalive_timeout 65s;")}
    host.run(new, check=True)
    said = "nginx.conf had in http keepalive_timeout 300; this role has keepalive_timeout 65s; a site that needs it says it itself"
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("known", [False, True])
def test_a_file_of_another_role_is_no_file_of_this_one(host: Host, foreign: Path, known: bool) -> None:
    """It may begin with the same words; a host that has known this role has noted what nginx loaded."""
    foreign.write_text("# Ansible managed\n" + foreign.read_text())
    if known:
        host.run()
    (host.root / "conf.d/site.conf").unlink()
    assert len(host.run(wanted(host), check=True)["diff"]) == (1 if known else 3)


def test_a_file_that_cannot_be_read_is_not_replaced(host: Host, foreign: Path) -> None:
    new = wanted(host)
    foreign.write_text("http {\n")
    assert "cannot be read near" in host.run(new)["msg"]
    assert foreign.read_text() == "http {\n"
