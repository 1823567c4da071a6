"""TLS that ends at the balancer, and TLS that it passes to the hosts."""

from __future__ import annotations

import http.client
import json
import select
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.unit.conftest import PATIENCE, utils
from tests.unit.haproxy_host import Balancer, balancer, config, given, haproxy, host, made, pair

__all__ = ["balancer", "haproxy"]  # fixtures

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # of the PROXY protocol's second version
TLS = {"certificate": "c.pem", "key": "k.pem", "hsts": 600}
SHOP = given("shop.example.com", tls=TLS, balance="cookie")
ADMIN = given("shop.example.com", path="/admin/", tls=TLS)
BOTH = {"shop": SHOP, "admin": ADMIN}
PLAIN = given("plain.example.com")


@pytest.fixture(scope="module")
def ending(tmp_path_factory: pytest.TempPathFactory, haproxy: Path) -> Iterator[Balancer]:
    """A balancer at which TLS ends."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        yield started(made(tmp_path_factory.mktemp("t"), haproxy, stack, patch))


def started(balancer: Balancer) -> Balancer:
    path = balancer.directory / "shop.0123456789ab.pem"
    balancer.start_hosts(1)
    balancer.start(config(host(1, {"shop": SHOP, "plain": PLAIN}), certificates=[path]), secrets={path: pair()})
    balancer.wait_for(1)
    balancer.wait_for(1, backend="plain")
    return balancer


def connected(balancer: Balancer, name: str, **options: bool) -> ssl.SSLSocket:
    """A connection over TLS that asks for a name, whatever its certificate is."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"] if options.get("h2") else ["http/1.1"])
    return context.wrap_socket(socket.create_connection(("127.0.0.1", balancer.tls), PATIENCE), server_hostname=name)


def hello(name: str | None) -> bytes:
    """The first message of a client that asks for a name, or for none."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def over_tls(balancer: Balancer, path: str) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(http.client.HTTPConnection("shop.example.com")) as connection:
        connection.sock = connected(balancer, "shop.example.com")
        connection.request("GET", path, headers={"X-Forwarded-Proto": "http"})
        answer = connection.getresponse()
        return answer, answer.read()


def test_tls_ends_at_the_balancer_and_hosts_are_told(ending: Balancer) -> None:
    answer, body = over_tls(ending, "/x")
    headers = json.loads(body)["headers"]
    assert (headers["X-Forwarded-Proto"], headers["X-Forwarded-For"]) == ("https", "127.0.0.1")
    assert answer.headers["Strict-Transport-Security"] == "max-age=600"
    assert "; Secure;" in answer.headers["Set-Cookie"]


def test_clients_may_speak_http_2_and_no_old_tls(ending: Balancer) -> None:
    with connected(ending, "shop.example.com", h2=True) as connection:
        assert connection.selected_alpn_protocol() == "h2"
        assert connection.version() == "TLSv1.3"
    old = ["openssl", "s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect", f"127.0.0.1:{ending.tls}"]
    done = subprocess.run([*old, "-servername", "shop.example.com"], input="", capture_output=True, text=True, check=False)
    assert "alert protocol version" in done.stderr


def test_a_name_without_a_certificate_gets_none(ending: Balancer) -> None:
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        connected(ending, "plain.example.com")


def test_who_comes_by_an_address_gets_the_certificate_of_its_site(balancer: Balancer) -> None:
    other = given("other.example.com", tls=TLS)
    by_address = given("127.0.0.1", tls={"self_signed": True})
    paths = [balancer.directory / f"{name}.pem" for name in ("near", "other")]
    balancer.start_hosts(1)
    configured = config(host(1, {"other": other, "near": by_address}), certificates=paths)
    balancer.start(configured, secrets={paths[1]: pair("other.example.com")}, own={paths[0]: ["127.0.0.1"]})
    balancer.wait_for(1, backend="near")
    context = ssl.create_default_context(cafile=paths[0])
    with closing(http.client.HTTPSConnection("127.0.0.1", balancer.tls, context=context, timeout=PATIENCE)) as connection:
        connection.request("GET", "/x")
        assert connection.getresponse().status == 200
    with connected(balancer, "other.example.com") as connection_by_name:
        assert connection_by_name.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(
            paths[1].read_text().partition("-----BEGIN P")[0]
        )


def test_more_sites_have_certificates_than_a_line_of_haproxy_has_words(balancer: Balancer) -> None:
    apps = {f"app{number}": given(f"{number}.example.com", tls=TLS) for number in range(70)}
    secrets = {balancer.directory / f"{app}.pem": pair(given["server_names"][0]) for app, given in apps.items()}
    balancer.start(config(host(1, apps), certificates=list(secrets)), secrets=secrets)
    for app, settings in apps.items():
        (name,) = settings["server_names"]
        with connected(balancer, name) as connection:
            own = (balancer.directory / f"{app}.pem").read_text().partition("-----BEGIN P")[0]
            assert connection.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(own)


@pytest.mark.parametrize("name", ["shop.example.com", "SHOP.example.com.:80"])
def test_who_comes_without_tls_is_sent_to_it_where_there_is_a_certificate(ending: Balancer, name: str) -> None:
    answer, _ = ending.ask("/x?y=1", host=name)
    assert (answer.status, answer.headers["Location"]) == (308, "https://shop.example.com/x?y=1")
    assert ending.tell(host="plain.example.com")["headers"]["X-Forwarded-Proto"] == "http"


def test_a_connection_over_tls_is_passed_with_the_clients_address(balancer: Balancer) -> None:
    balancer.start_hosts(1, 2)
    with socket.create_server(("127.0.0.2", 0)) as listening:
        port = listening.getsockname()[1]
        hosts = [host(1, BOTH, proxy_port=1, proxy_tls_port=port), host(2, {"shop": SHOP}, proxy_port=1, proxy_tls_port=port)]
        balancer.start(config(*hosts, tls="pass"))
        balancer.wait_for(1, backend="shop.tls")  # web-2 has not all apps of the name
        listening.settimeout(PATIENCE)
        with socket.create_connection(("127.0.0.1", balancer.tls), PATIENCE) as client:
            here = client.getsockname()
            client.sendall(sent := hello("SHOP.example.com"))
            accepted, _ = listening.accept()
            with accepted, accepted.makefile("rb") as stream:
                assert stream.read(12) == SIGNATURE
                _, _, length = struct.unpack("!BBH", stream.read(4))
                source, _, source_port, _ = struct.unpack("!4s4sHH", stream.read(length)[:12])
                assert (socket.inet_ntoa(source), source_port) == here
                assert stream.read(len(sent)) == sent


def test_connections_over_tls_of_one_address_are_passed_to_one_host(balancer: Balancer) -> None:
    """Where an app wants its clients to come back; no cookie can be seen."""
    balancer.start_hosts(1, 2)
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_server(("127.0.0.2", 0)))
        port = first.getsockname()[1]
        listening = [first, stack.enter_context(socket.create_server(("127.0.0.3", port)))]
        balancer.start(config(*(host(number, BOTH, proxy_port=1, proxy_tls_port=port) for number in (1, 2)), tls="pass"))
        balancer.wait_for(1, 2, backend="shop.tls")

        def host_of(client: str) -> str:
            """The host that gets a connection of a client."""
            with socket.create_connection(("127.0.0.1", balancer.tls), PATIENCE, (client, 0)) as connection:
                connection.sendall(sent := hello("shop.example.com"))
                (ready, *_), _, _ = select.select(listening, [], [], PATIENCE)
                with ready.accept()[0] as accepted:
                    got = b""
                    while sent not in got:  # one that is closed before counts against its host
                        got += accepted.recv(65536)
                return str(ready.getsockname()[0])

        met: set[str] = set()
        for client in [f"127.0.1.{number}" for number in range(1, 18)]:
            places, outages = {""}, -1
            while outages != balancer.outages("shop.tls"):  # where one was out meanwhile, on a slow machine, clients go elsewhere
                balancer.wait_for(1, 2, backend="shop.tls")
                outages, places = balancer.outages("shop.tls"), {host_of(client) for _ in range(3)}
            assert len(places) == 1
            met |= places
    assert met == {"127.0.0.2", "127.0.0.3"}


@pytest.mark.parametrize("name", ["other.example.com", None, "plain HTTP"])
def test_what_is_no_tls_or_asks_for_another_name_is_passed_to_nobody(balancer: Balancer, name: str | None) -> None:
    balancer.start_hosts(1)
    sent = b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n" if name == "plain HTTP" else hello(name)
    with socket.create_server(("127.0.0.2", 0)) as listening:
        balancer.start(config(host(1, BOTH, proxy_port=1, proxy_tls_port=listening.getsockname()[1]), tls="pass"))
        balancer.wait_for(1, backend="shop.tls")
        with socket.create_connection(("127.0.0.1", balancer.tls), PATIENCE) as client:
            client.sendall(sent)
            assert client.recv(100) == b""
        assert not utils("proc").peers(listening.getsockname()[1])


def test_who_comes_by_an_address_is_passed_to_its_site(balancer: Balancer) -> None:
    balancer.start_hosts(1)
    near = given("127.0.0.1", tls=TLS)
    with socket.create_server(("127.0.0.2", 0)) as listening:
        listening.settimeout(PATIENCE)
        apps = {"shop": SHOP, "near": near}
        balancer.start(config(host(1, apps, proxy_port=1, proxy_tls_port=listening.getsockname()[1]), tls="pass"))
        balancer.wait_for(1, backend="near.tls")
        with socket.create_connection(("127.0.0.1", balancer.tls), PATIENCE) as client:
            client.sendall(sent := hello(None))
            with listening.accept()[0] as accepted, accepted.makefile("rb") as stream:
                assert stream.read(28 + len(sent)).endswith(sent)  # behind what the PROXY protocol says


def test_a_drained_app_takes_its_whole_site_from_a_host(balancer: Balancer) -> None:
    balancer.start_hosts(1, 2)
    hosts = [host(number, BOTH, proxy_port=1, proxy_tls_port=443) for number in (1, 2)]
    balancer.start(config(*hosts, tls="pass"))
    balancer.wait_for(1, 2, backend="shop.tls")
    balancer.mark(2, "admin.drained")
    balancer.wait_for(1, backend="shop.tls")
    balancer.wait_for(1, 2, backend="shop")
