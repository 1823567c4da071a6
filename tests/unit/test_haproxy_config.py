"""haproxy_config: what HAProxy refuses changes nothing, what it takes is what runs, and no output has a key."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import stat
from contextlib import closing
from pathlib import Path

import pytest

from ansible_collections.tornado_app.deploy.plugins.module_utils import haproxy as own
from tests.unit.conftest import PATIENCE
from tests.unit.haproxy_host import Balancer, balancer, config, haproxy, host, pair

__all__ = ["balancer", "haproxy"]  # fixtures

ONE = config(host(1))
TWO = config(host(1), host(2))


def everything(balancer: Balancer) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for folder in (balancer.path, balancer.directory)
        for path in (folder, *folder.glob("*"))
        if path.is_file()
    }


def test_a_configuration_is_installed_and_a_second_time_nothing_changes(balancer: Balancer) -> None:
    first, second = balancer.install(ONE), balancer.install(ONE)
    assert (first["changed"], first["reloaded"], second["changed"]) == (True, False, False)
    assert stat.S_IMODE(balancer.path.stat().st_mode) == 0o644
    assert first["diff"][0]["after"] == balancer.path.read_text()
    assert "@digest@" not in balancer.path.read_text()


def test_what_an_operator_has_written_is_kept_beside_it(balancer: Balancer) -> None:
    balancer.path.write_text("# of an operator\n")
    for maxconn in (200, 300):
        assert balancer.install(config(host(1), maxconn=maxconn))["changed"]
    (kept,) = balancer.root.glob("haproxy.cfg.*~")
    assert kept.read_text() == "# of an operator\n"


def test_a_check_changes_nothing(balancer: Balancer) -> None:
    checked = balancer.install(ONE, check=True)
    assert (checked["changed"], everything(balancer)) == (True, {})
    assert balancer.install(ONE.replace("balance leastconn", "balance guess"), check=True)["failed"]


def test_a_check_needs_no_haproxy(balancer: Balancer, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.unit.loading import plugin

    monkeypatch.setattr(plugin("modules", "haproxy_config"), "HAPROXY", "/nowhere/haproxy")
    assert balancer.install(ONE, check=True)["changed"]
    assert balancer.install(ONE)["msg"] == "/nowhere/haproxy is not there: install haproxy first"


def test_what_haproxy_refuses_leaves_what_was_there(balancer: Balancer) -> None:
    balancer.start(ONE)
    before, loaded = everything(balancer), own.loaded(balancer.socket)
    refused = balancer.install(TWO.replace("balance leastconn", "balance guess"))
    assert refused["msg"].startswith("HAProxy refuses the new configuration, the present one stays in place: ")
    assert f"parsing [{balancer.path}:" in refused["msg"]
    assert everything(balancer) == before
    assert own.loaded(balancer.socket) == loaded


def test_a_running_haproxy_gets_the_new_configuration(balancer: Balancer) -> None:
    balancer.start(ONE)
    result = balancer.install(TWO)
    assert (result["changed"], result["reloaded"]) == (True, True)
    assert set(balancer.states()) == {"web-1", "web-2"}
    assert not balancer.install(TWO)["changed"]


def test_what_a_killed_run_has_installed_is_loaded_by_the_next_one(balancer: Balancer) -> None:
    balancer.start(ONE)
    balancer.path.write_text(balancer.adapted(TWO))
    assert balancer.install(TWO)["reloaded"]
    assert set(balancer.states()) == {"web-1", "web-2"}


def test_what_does_not_come_up_is_taken_back(balancer: Balancer) -> None:
    """Some things are nothing that a look at the configuration tells."""
    balancer.start(ONE)
    before, loaded = balancer.path.read_text(), own.loaded(balancer.socket)
    result = balancer.install(TWO.replace("    stats timeout", "    stats socket /nowhere/there.sock\n    stats timeout"), timeout=10)
    assert "the former one is back:" in result["msg"]
    assert balancer.path.read_text() == before
    assert own.loaded(balancer.socket) == loaded
    assert balancer.ask()[0].status == 503  # no host runs, but the balancer does


def test_a_port_that_somebody_else_has_is_refused(balancer: Balancer) -> None:
    balancer.start(ONE)
    before = everything(balancer)
    with socket.create_server(("127.0.0.1", balancer.tls)):
        result = balancer.install(TWO.replace("    bind :80\n", "    bind :80\n    bind :443\n"))
    assert f"HAProxy cannot listen on 127.0.0.1:{balancer.tls} (Address already in use)" in result["msg"]
    assert everything(balancer) == before


def test_ipv6_comes_beside_ipv4_and_each_client_has_an_address_of_its_family(balancer: Balancer, has_ipv6: bool) -> None:
    if not has_ipv6:
        pytest.skip("no IPv6 here")

    held = balancer.stack.enter_context(socket.socket())
    held.bind(("", 0))  # a port that others have on no address: a client may have one from another address of this machine
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    balancer.port = held.getsockname()[1]

    def anywhere(ipv6: bool) -> str:
        return config(host(1), ipv6=ipv6).replace(":80", f":{balancer.port}", 2 if ipv6 else 1)

    balancer.start_hosts(1)
    balancer.start(anywhere(ipv6=False))
    assert balancer.install(anywhere(ipv6=True)).get("reloaded")
    balancer.wait_for(1)
    for address in ("127.0.0.1", "::1"):
        with closing(http.client.HTTPConnection(address, balancer.port, timeout=PATIENCE)) as connection:
            connection.request("GET", "/", headers={"Host": "shop.example.com"})
            assert json.load(connection.getresponse())["headers"]["X-Forwarded-For"] == address


def test_a_host_that_was_down_is_down_after_a_reload_and_no_port_comes_with_it(balancer: Balancer) -> None:
    """HAProxy takes the port of the state for the server's own."""
    balancer.start_hosts(1, 2)
    balancer.mark(1, "drained")
    balancer.start(ONE)
    balancer.wait_for()
    assert balancer.install(TWO)["reloaded"]
    assert balancer.states()["web-1"] == "down"
    assert not balancer.state_file.exists()
    balancer.wait_for(2)
    moved = balancer.adapted(TWO).replace(f"127.0.0.2:{balancer.hosts_port}", f"127.0.0.3:{balancer.hosts_port}")
    moved = moved.replace(f"server web-2 127.0.0.3:{balancer.hosts_port}", "server web-2 127.0.0.3:9")
    assert balancer.install(moved)["reloaded"]
    balancer.wait_for(1)
    assert balancer.tell()["address"] == "127.0.0.3"


def test_certificates_are_roots_alone_and_the_last_ones_go(balancer: Balancer) -> None:
    pairs = [pair(), pair()]
    first, second = (balancer.directory / f"shop.{number}.pem" for number in range(2))
    results = [balancer.install(config(host(1), certificates=[first]), secrets={first: pairs[0]})]
    assert stat.S_IMODE(balancer.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert first.read_text() == pairs[0]
    results.append(balancer.install(config(host(1), certificates=[second]), secrets={second: pairs[1]}))
    assert balancer.certificates() == [second]
    second.chmod(0o644)
    assert balancer.install(config(host(1), certificates=[second]), secrets={second: pairs[1]})["changed"]
    assert stat.S_IMODE(second.stat().st_mode) == 0o600
    without_key = config(host(1), certificates=[first])
    results.append(balancer.install(without_key, secrets={first: pairs[0].partition("-----BEGIN PRIVATE")[0]}))
    assert str(balancer.directory) in results[-1]["msg"]
    assert balancer.certificates() == [second]
    assert not any(key_of(each) in json.dumps(result) for each in pairs for result in results)


def test_the_balancer_makes_a_certificate_itself_and_keeps_it(balancer: Balancer) -> None:
    path = balancer.directory / "shop.self_signed.pem"
    secure = config(host(1), certificates=[path])
    balancer.start(secure, own={path: ["shop.example.com"]})
    first = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not balancer.install(secure, own={path: ["shop.example.com"]})["changed"]
    result = balancer.install(secure, own={path: ["shop.example.com", "www.example.com"]})
    assert (result["changed"], result["reloaded"]) == (True, True)
    second = path.read_text()
    assert second != first
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(("127.0.0.1", balancer.tls)), server_hostname="www.example.com") as connection:
        assert connection.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(second.partition("-----BEGIN PRIVATE")[0])
    assert key_of(second) not in json.dumps(result)


def key_of(secret: str) -> str:
    """A line of the key of a pair."""
    return secret.partition("PRIVATE KEY-----\n")[2].splitlines()[0]


def test_servers_are_told_from_each_other_by_their_backend() -> None:
    text = "backend a\n    server x 127.0.0.1:80 check\nbackend b\n    server x [::1]:81\nfrontend f\n    bind :80\n"
    assert own.servers(text) == {("a", "x", "80"), ("b", "x", "81")}


@pytest.mark.parametrize("states", ["", "1\n", "1\n# names\n", "1\n# names\n4 a 1 x 127.0.0.1 0\n"])
def test_states_that_say_nothing_make_a_file_that_does_not(states: str) -> None:
    assert own.down(states, "backend a\n    server x 127.0.0.1:80\n").splitlines()[0] == "1"
    assert "127.0.0.1" not in own.down(states, "backend a\n    server x 127.0.0.1:80\n")


def test_a_socket_without_anybody_tells_nothing(tmp_path: Path) -> None:
    assert own.loaded(tmp_path / "nobody.sock") == ""
