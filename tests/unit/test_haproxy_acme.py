"""Certificates that ACME servers issue to a balancer. In the place of certbot, which wants such a server, is a script of the test."""

from __future__ import annotations

import http.server
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils import haproxy as own
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import acme
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.balancer import Site
from tests.unit.certified import KEY, Issued, authority
from tests.unit.conftest import PATIENCE, PYTHON
from tests.unit.haproxy_host import ROLE, Balancer, balancer, config, given, haproxy, host
from tests.unit.test_acme import CERTBOT
from tests.unit.test_haproxy_tls import connected

__all__ = ["balancer", "haproxy"]  # fixtures

NAMES = ["shop.example.com", "www.example.com"]
SHOP = given(NAMES[0], others=[NAMES[1]], tls={"acme": {"email": "ops@example.com"}})
CHALLENGE = "/.well-known/acme-challenge/x"


@pytest.fixture
def issued(balancer: Balancer, tmp_path: Path) -> Balancer:
    """A balancer that runs, with what the role brings for certificates of an ACME server."""
    path = balancer.directory / "shop.acme.pem"
    apps = {"shop": SHOP, "plain": given("plain.example.com")}
    balancer.start_hosts(1)
    balancer.start(config(host(1, apps), certificates=[path]), placeholders={path: NAMES})
    balancer.wait_for(1)
    balancer.wait_for(1, backend="plain")
    for file, content in acme.code(str(tmp_path / "opt"), (ROLE / "files/acme.py").read_text(), acme.OF_BALANCERS).items():
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(content)
    site = Site(name="shop", names=NAMES, tls=SHOP["tls"], asked=[], sticky=False, servers=[])
    settings = json.loads(acme.settings_of_balancer({str(path): site}))
    folders = {"command": "bin/certbot", "certbot": "certbot", "record": "acme.json", "socket": "admin.sock"}
    assert set(folders) == set(settings) - {"apps", "challenge"}
    settings |= {key: str(tmp_path / folder) for key, folder in folders.items()}
    (tmp_path / "opt/acme.json").write_text(json.dumps(settings))
    (tmp_path / "certbot").mkdir()
    (tmp_path / "bin/certbot").write_text(CERTBOT.replace("pathlib.Path(__file__).parent", f"pathlib.Path({str(tmp_path)!r})"))
    (tmp_path / "bin/certbot").chmod(0o755)
    return balancer


def renew(found: Balancer, leaf: Issued, key: Issued | None = None) -> subprocess.CompletedProcess[str]:
    """Run the script as the unit does, with a certbot that gets this certificate."""
    folder = found.root / "next/shop"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fullchain.pem").write_text(authority().chain(leaf))
    (folder / "privkey.pem").write_text((key or leaf).key_pem)
    command = [PYTHON, "-I", str(found.root / "opt/acme.py"), str(found.root / "opt/acme.json")]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ), timeout=PATIENCE)


def shown(found: Balancer) -> bytes | None:
    """The certificate that clients get."""
    with connected(found, NAMES[0]) as over:
        return over.getpeercert(binary_form=True)


def der(issued: Issued) -> bytes:
    return ssl.PEM_cert_to_DER_cert(issued.pem)


def test_what_is_issued_and_renewed_is_served_without_a_reload(issued: Balancer) -> None:
    path, process = issued.directory / "shop.acme.pem", own.process(issued.socket)
    for leaf in (authority().leaf(*NAMES), authority().leaf(*NAMES)):
        done = renew(issued, leaf)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert shown(issued) == der(leaf)
        assert path.read_text() == authority().chain(leaf) + leaf.key_pem
        assert path.stat().st_mode & 0o777 == 0o600
    assert own.process(issued.socket) == process
    asked = (issued.root / "asked").read_text().splitlines()
    assert all(line.startswith(f"certonly --standalone --http-01-port={acme.CHALLENGES} --cert-name=shop ") for line in asked)
    assert all(f"--domain={NAMES[0]} --domain={NAMES[1]} --server={acme.LETS_ENCRYPT}" in line for line in asked)


def test_what_haproxy_has_not_is_given_to_it_though_its_file_has_it(issued: Balancer) -> None:
    """As when it did not answer at the renewal."""
    first, second = authority().leaf(*NAMES), authority().leaf(*NAMES)
    renew(issued, first)
    (issued.directory / "shop.acme.pem").write_text(authority().chain(second) + second.key_pem)
    assert renew(issued, second).returncode == 0
    assert shown(issued) == der(second)


def test_what_haproxy_does_not_take_is_noted_and_leaves_what_there_is(issued: Balancer) -> None:
    leaf = authority().leaf(*NAMES)
    renew(issued, leaf)
    before = (issued.directory / "shop.acme.pem").read_text()
    done = renew(issued, authority().leaf(*NAMES), key=leaf)
    assert done.returncode == 1
    error = json.loads((issued.root / "acme.json").read_text())["shop"]["error"]
    assert error.startswith("HAProxy does not take the certificate: ")
    assert KEY not in error
    assert (shown(issued), (issued.directory / "shop.acme.pem").read_text()) == (der(leaf), before)
    another = authority().leaf(*NAMES)
    assert renew(issued, another).returncode == 0  # nothing of the refused one is in the way
    assert shown(issued) == der(another)


def test_the_next_run_finds_nothing_to_do(issued: Balancer) -> None:
    path = issued.directory / "shop.acme.pem"
    leaf = authority().leaf(*NAMES)
    secure = config(host(1, {"shop": SHOP, "plain": given("plain.example.com")}), certificates=[path])
    assert issued.install(secure, placeholders={path: NAMES})["unissued"] == [str(path)]
    renew(issued, leaf)
    result = issued.install(secure, placeholders={path: NAMES})
    assert (result["changed"], result["reloaded"], result["unissued"]) == (False, False, [])
    assert issued.install(secure, placeholders={path: NAMES[:1]})["unissued"] == [str(path)]
    assert shown(issued) == der(leaf)


def test_until_one_is_issued_a_site_keeps_what_it_has(issued: Balancer) -> None:
    filed, path = issued.directory / "shop.0123456789ab.pem", issued.directory / "shop.acme.pem"
    leaf = authority().leaf(*NAMES)
    of_site = host(1, {"shop": SHOP})
    issued.install(config(of_site, certificates=[filed]), secrets={filed: leaf.pem + leaf.key_pem})
    assert issued.install(config(of_site, certificates=[path]), placeholders={path: NAMES})["unissued"] == []
    assert shown(issued) == der(leaf)
    assert issued.certificates() == [path]


class Answering(http.server.BaseHTTPRequestHandler):
    """The certbot of a balancer while it asks for a certificate."""

    def do_GET(self) -> None:
        if self.connection.getsockname()[0] != "127.0.0.1":  # certbot says nothing of what it has not asked for
            return
        self.send_response(200 if self.path == CHALLENGE else 404)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"answer")

    def log_request(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def certbots(port: int, *addresses: str) -> Iterator[None]:
    with ExitStack() as stack:
        for address in addresses:
            server = stack.enter_context(http.server.ThreadingHTTPServer((address, port), Answering))
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        yield


@pytest.mark.parametrize("others", [(), ("127.0.0.9",)], ids=["nobody", "a balancer that asks for another one"])
def test_whichever_balancer_is_asked_the_one_that_asks_for_it_answers(issued: Balancer, others: tuple[str, ...]) -> None:
    """Without TLS, and for the names that are to be proved alone."""
    with certbots(issued.challenges, "127.0.0.1", *others):
        for name in NAMES:
            for _ in range(4):
                answer, body = issued.ask(CHALLENGE, host=name)
                assert (answer.status, body) == (200, b"answer")
        assert json.loads(issued.ask(CHALLENGE, host="plain.example.com")[1])["uri"] == CHALLENGE
    assert issued.ask(CHALLENGE)[0].status == 503
    assert issued.ask("/x")[0].status == 308
