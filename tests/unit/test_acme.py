"""acme.py as a host has it, with a running nginx. In the place of certbot, which wants an ACME server, is a script of the test."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loading import ROLE
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import acme
from tests.unit.builders import SHOP, planned
from tests.unit.certified import KEY, Issued, authority, issue
from tests.unit.conftest import PATIENCE, PYTHON, process, utils, wait_until
from tests.unit.nginx_host import MAIN
from tests.unit.nginx_trees import nginx_tree

# It gives what lies in next/, a certificate and its key for each app, or says what lies in fail/ instead.
CERTBOT = f"""#!{sys.executable}
import pathlib, shutil, sys
here = pathlib.Path(__file__).parent
options = dict(argument.lstrip("-").partition("=")[::2] for argument in sys.argv[2:])
with open(here / "asked", "a") as asked:
    print(*sys.argv[1:], file=asked)
config, name = pathlib.Path(options["config-dir"]), options["cert-name"]
renewal = config / "renewal" / f"{{name}}.conf"
if sys.argv[1] == "delete":
    renewal.unlink()
    shutil.rmtree(config / "live" / name)
    sys.exit()
if (here / "fail" / name).exists():
    sys.exit("Saving debug log to /x\\n" + (here / "fail" / name).read_text())
shutil.copytree(here / "next" / name, config / "live" / name, dirs_exist_ok=True)
renewal.parent.mkdir(exist_ok=True)
renewal.write_text(f"[renewalparams]\\nserver = {{options['server']}}\\n")
"""


class Host:
    """A host with shop, for which a certificate is to be issued, and with what the role brings for that."""

    def __init__(self, folder: Path, nginx: Path, port: int) -> None:
        self.folder, self.port = folder, port
        own = issue("tornado_app", names=["shop.test"])
        listen = f"listen 127.0.0.1:{port} ssl; ssl_certificate tornado_app/shop.pem; ssl_certificate_key tornado_app/shop.pem;"
        site = {"conf.d/site.conf": f"server {{ {listen} return 200; }}\n", "tornado_app/shop.pem": own.pem + own.key_pem}
        self.tree = nginx_tree(folder, {"nginx.conf": MAIN, **site}, port).parent
        self.served = self.tree / "tornado_app/shop.pem"
        self.served.chmod(0o600)
        for path in ("opt", "bin", "certbot", "state", "run", "fail"):
            (folder / path).mkdir()
        for path, content in acme.code(str(folder / "opt"), (ROLE / "files/acme.py").read_text(), acme.OF_HOSTS).items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            own_paths = content.replace("/usr/sbin/nginx", str(nginx)).replace("/run/nginx.pid", f"{folder}/nginx.pid")
            Path(path).write_text(own_paths)
        (folder / "bin/certbot").write_text(CERTBOT.replace("pathlib.Path(__file__).parent", f"pathlib.Path({str(folder)!r})"))
        (folder / "bin/systemctl").write_text(f'#!/bin/sh\n[ "$*" = "reload nginx.service" ] && kill -HUP "$(cat {folder}/nginx.pid)"\n')
        for program in (folder / "bin").iterdir():
            program.chmod(0o755)
        self.settings()

    def settings(self, **tls: Any) -> None:
        """Write what the script has to know, as the role does."""
        app = {**SHOP, "server_names": ["shop.test", "www.shop.test"], "tls": {"acme": {"email": "ops@shop.test", **tls}}}
        found = json.loads(acme.settings(planned({"shop": app})))
        paths = {
            "command": "bin/certbot",
            "certbot": "certbot",
            "nginx": "nginx",
            "loaded": "state/nginx.loaded",
            "record": "state/acme.json",
            "lock": "run/nginx.lock",
            "closing": "run/closing",
        }
        assert set(paths) == set(found) - {"apps", "challenge"}
        whole = {**found, **{key: str(self.folder / path) for key, path in paths.items()}}
        (self.folder / "opt/acme.json").write_text(json.dumps(whole))

    def next(self, certificate: Issued, key: Issued | None = None) -> None:
        """What certbot has from now on."""
        folder = self.folder / "next/shop"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "fullchain.pem").write_text(authority().chain(certificate))
        (folder / "privkey.pem").write_text((key or certificate).key_pem)

    def run(self) -> subprocess.CompletedProcess[str]:
        """As the unit does, under the host's Python, with nothing of this one."""
        command = [PYTHON, "-I", str(self.folder / "opt/acme.py"), str(self.folder / "opt/acme.json")]
        environment = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=PATIENCE)

    def error(self) -> str:
        """What is noted of shop."""
        return str(json.loads((self.folder / "state/acme.json").read_text())["shop"]["error"])

    def asked(self) -> list[str]:
        """What certbot was asked for."""
        return (self.folder / "asked").read_text().splitlines()

    def shown(self) -> bytes | None:
        """The certificate that clients get."""
        made = ssl._create_unverified_context()
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as plain, made.wrap_socket(plain) as over:
            found: bytes | None = over.getpeercert(binary_form=True)
            return found


@pytest.fixture
def host(tmp_path: Path, nginx: Path, ports: Callable[[int], list[int]]) -> Iterator[Host]:
    made = Host(tmp_path, nginx, ports(1)[0])
    with process(nginx, "-e", "stderr", "-c", made.tree / "nginx.conf", "-g", "daemon off;") as master:
        wait_until(lambda: (tmp_path / "nginx.pid").exists() and utils("proc").children(master.pid), "nginx's workers")
        yield made


def der(issued: Issued) -> bytes:
    return ssl.PEM_cert_to_DER_cert(issued.pem)


def test_a_certificate_is_asked_for_served_and_renewed(host: Host) -> None:
    first, second = (authority().leaf("shop.test") for _ in range(2))
    host.next(first)
    done = host.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (host.shown(), host.error()) == (der(first), "")
    assert host.served.read_text() == authority().chain(first) + first.key_pem
    assert host.served.stat().st_mode & 0o777 == 0o600
    assert not (host.folder / "run/closing").exists()
    before = (host.served.stat().st_ino, (host.folder / "state/nginx.loaded").stat().st_ino)
    assert host.run().returncode == 0
    assert (host.served.stat().st_ino, (host.folder / "state/nginx.loaded").stat().st_ino) == before  # and no reload
    host.next(second)
    assert host.run().returncode == 0
    assert host.shown() == der(second)
    wanted = ("--domain=shop.test --domain=www.shop.test", f"--server={acme.LETS_ENCRYPT} --email=ops@shop.test", "--keep-until-expiring")
    for line in host.asked():
        assert line.startswith(f"certonly --webroot --webroot-path={acme.WEBROOT} --cert-name=shop ")
        assert all(part in line for part in wanted)


def test_a_renewal_that_fails_leaves_what_there_is(host: Host) -> None:
    leaf = authority().leaf("shop.test")
    host.next(leaf)
    host.run()
    before = host.served.read_text()
    host.next(authority().leaf("shop.test"))
    (host.folder / "fail/shop").write_text("  Domain: shop.test\n  Detail: refused \x1b[31m\n\nAsk for help or search for solutions\n")
    done = host.run()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert host.error() == "Domain: shop.test Detail: refused \N{REPLACEMENT CHARACTER}[31m"
    assert (host.served.read_text(), host.shown()) == (before, der(leaf))
    (host.folder / "fail/shop").unlink()
    assert host.run().returncode == 0
    assert host.error() == ""
    assert host.served.read_text() != before


def test_what_nginx_refuses_is_taken_back(host: Host) -> None:
    leaf = authority().leaf("shop.test")
    host.next(leaf)
    host.run()
    before = host.served.read_text()
    host.next(authority().leaf("shop.test"), key=leaf)
    assert host.run().returncode == 1
    assert "key values mismatch" in host.error()
    assert (host.served.read_text(), host.shown()) == (before, der(leaf))
    assert host.served.stat().st_mode & 0o777 == 0o600
    assert not any(word in str(host.error()) for word in (KEY, *leaf.key_pem.splitlines()[1:-1]))


def test_a_certificate_that_another_run_has_not_loaded_is_loaded(host: Host) -> None:
    """It was killed between the two."""
    leaf = authority().leaf("shop.test")
    host.next(leaf)
    host.run()
    later = authority().leaf("shop.test")
    host.next(later)
    host.served.write_text(authority().chain(later) + later.key_pem)
    assert host.shown() == der(leaf)
    assert host.run().returncode == 0
    assert host.shown() == der(later)


def test_another_server_is_asked_at_once(host: Host) -> None:
    host.next(authority().leaf("shop.test"))
    host.run()
    host.settings(directory="https://acme.test/directory")
    host.run()
    host.run()
    assert [line.rpartition(" --config-dir")[0].rpartition(" ")[2] for line in host.asked()] == [
        "--keep-until-expiring",
        "--force-renewal",
        "--keep-until-expiring",
    ]


def test_what_certbot_has_of_an_app_that_is_gone_goes_too(host: Host) -> None:
    host.next(authority().leaf("shop.test"))
    host.run()
    assert (host.folder / "certbot/live/shop/privkey.pem").exists()
    whole = json.loads((host.folder / "opt/acme.json").read_text())
    (host.folder / "opt/acme.json").write_text(json.dumps({**whole, "apps": {}}))
    assert host.run().returncode == 0
    assert not (host.folder / "certbot/live/shop").exists()
    assert json.loads((host.folder / "state/acme.json").read_text()) == {}


def test_as_long_as_anything_fails_nothing_of_an_app_that_is_gone_goes(host: Host) -> None:
    """The site may be called after another app now, whose certificate the server does not give."""
    host.next(authority().leaf("shop.test"))
    host.run()
    whole = json.loads((host.folder / "opt/acme.json").read_text())
    (host.folder / "opt/acme.json").write_text(json.dumps({**whole, "apps": {"blog": whole["apps"]["shop"]}}))
    (host.folder / "fail/blog").write_text("refused")
    assert host.run().returncode == 1
    assert (host.folder / "certbot/live/shop/privkey.pem").exists()


def test_a_host_without_certbot(host: Host) -> None:
    (host.folder / "bin/certbot").unlink()
    before = host.served.read_text()
    assert host.run().returncode == 1
    assert host.error() == f"{host.folder}/bin/certbot cannot be run: No such file or directory"
    assert host.served.read_text() == before
