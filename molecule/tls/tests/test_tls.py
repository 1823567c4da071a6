"""Certificates of each kind, as clients, the host and the operator see them."""

import http.client
import json
import socket
import ssl
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.fleet import Fleet, folded
from tests.unit.certified import KEY, Authority, written

SERVED = "/etc/nginx/tornado_app/{}.pem"


def connect(fleet: Fleet, name: str, ca: Authority | None = None) -> ssl.SSLSocket:
    """A connection of a client that trusts somebody, or nobody and goes on."""
    context = ssl.create_default_context(cadata=ca.root.pem) if ca else ssl._create_unverified_context()
    context.set_alpn_protocols(["h2", "http/1.1"] if ca else ["http/1.1"])
    plain = socket.create_connection((fleet.addresses["web-1"], 443), timeout=30)
    return context.wrap_socket(plain, server_hostname=name)


def shown(fleet: Fleet, name: str) -> x509.Certificate:
    """The certificate that clients get."""
    with connect(fleet, name) as over:
        return x509.load_der_x509_certificate(over.getpeercert(binary_form=True) or b"")


def ask(fleet: Fleet, name: str, path: str = "/api/info") -> http.client.HTTPResponse:
    """One request over TLS."""
    with closing(http.client.HTTPConnection(name)) as connection:
        connection.sock = connect(fleet, name)
        connection.request("GET", path, headers={"Host": name})
        answer = connection.getresponse()
        answer.read()
        return answer


def test_a_certificate_of_files_is_what_clients_trust(fleet: Fleet, ca: Authority) -> None:
    with connect(fleet, "filed.test", ca) as over:
        assert (over.version(), over.selected_alpn_protocol()) == ("TLSv1.3", "h2")
    assert ask(fleet, "filed.test").headers["Strict-Transport-Security"] == "max-age=31536000"
    answer = fleet.get("web-1", "/api/info?x", "filed")
    assert (answer.status, answer.headers["Location"]) == (308, "https://filed.test/api/info?x")
    file = fleet.hosts["web-1"].file(SERVED.format("filed"))
    assert (file.user, file.group, file.mode) == ("root", "root", 0o600)


def test_each_app_serves_its_own_over_tls(fleet: Fleet) -> None:
    issuers = {name: shown(fleet, f"{name}.test").issuer.rfc4514_string() for name in fleet.apps}
    assert issuers["filed"] == "CN=Intermediate of tests"
    assert issuers["own"] == "CN=tornado_app"
    assert issuers["issued"].startswith("CN=Pebble Intermediate")
    for name in fleet.apps:
        answer = ask(fleet, f"{name}.test")
        assert answer.status == 200
    # nginx 1.26 takes the parameter that 1.18 knows.
    assert "emerg" not in fleet.hosts["web-1"].run("nginx -t").stderr


def test_a_second_run_finds_nothing_to_do(fleet: Fleet) -> None:
    before = [shown(fleet, f"{name}.test").serial_number for name in fleet.apps]
    assert "Nothing differs on any host" in fleet.play("--diff")
    assert [shown(fleet, f"{name}.test").serial_number for name in fleet.apps] == before


def test_the_status_shows_days(fleet: Fleet) -> None:
    output = fleet.play("--tags", "status")
    rows = {line.split()[1]: line.split()[2:] for line in output.splitlines() if line.split()[:1] == ["web-1"] and "Z" in line}
    assert {name: row[0] for name, row in rows.items()} == {"filed": "files", "own": "self_signed", "issued": "acme"}
    assert {name: int(row[-1]) for name, row in rows.items()} == {"filed": pytest.approx(90, abs=1), "own": 3649, "issued": 9}


def test_a_new_key_comes_and_nobody_sees_it(fleet: Fleet, ca: Authority, files: dict[str, Any], tmp_path: Path) -> None:
    leaf = ca.leaf("filed.test")
    apps = fleet.settings()
    apps["filed"]["tls"] = {**written(tmp_path, leaf), "hsts": 31536000}
    output = fleet.play("--tags", "provision", "--diff", "-vvv", apps=apps)
    assert shown(fleet, "filed.test").serial_number == leaf.certificate.serial_number
    lines = leaf.key_pem.splitlines()[1:-1]
    assert not any(line in output for line in (*lines, KEY))
    assert "(another certificate)" in output
    host = fleet.hosts["web-1"]
    # sudo's own line in the journal has this very command.
    grep = "grep --recursive --files-with-matches --exclude-dir=journal"
    found = host.check_output(f"{grep} -- '{lines[0]}' /etc /srv /run /var /opt /tmp /root || true").split()
    assert found == [SERVED.format("filed")]
    assert lines[0] not in host.check_output("journalctl --no-pager --quiet --since '-5 min' | grep -v 'COMMAND='")
    assert files["key"] != apps["filed"]["tls"]["key"]
    fleet.play("--tags", "provision")


def test_what_cannot_be_served_is_refused_before_anything_changes(fleet: Fleet, ca: Authority, tmp_path: Path) -> None:
    before = {name: shown(fleet, f"{name}.test").serial_number for name in fleet.apps}
    apps = fleet.settings()
    old, other = ca.leaf("elsewhere.test", days=-1), ca.leaf("filed.test")
    tls = written(tmp_path, old)
    Path(tls["key"]).write_text(other.key_pem)
    apps["filed"]["tls"] = tls
    apps["own"]["server_names"] = ["own.test", "more.test"]
    done = fleet.run(apps=apps)
    assert done.returncode != 0
    said = folded(done.stdout + done.stderr)
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    for problem in ("tls.key is not the one of the certificate", f"has expired on {yesterday}", "is not for filed.test of server_names"):
        assert problem in said
    assert {name: shown(fleet, f"{name}.test").serial_number for name in fleet.apps} == before


def test_other_sites_keep_what_they_had_of_the_main_file(fleet: Fleet) -> None:
    host = fleet.hosts["web-1"]
    kept = host.file("/etc/nginx/conf.d/00-from-nginx-conf.conf").content_string
    backup = host.check_output("cat /etc/nginx/nginx.conf.*~")
    assert "ssl_protocols" in kept
    assert "ssl_protocols" in backup
    assert "worker_shutdown_timeout" not in backup


def test_testssl_finds_nothing_above_low(fleet: Fleet) -> None:
    host = fleet.hosts["web-1"]
    command = "testssl --quiet --color 0 --warnings off --nodns none --ip 127.0.0.1 --add-ca /etc/pebble/ca.pem --jsonfile /tmp/found.json"
    host.run(f"rm -f /tmp/found.json; {command} https://filed.test")
    found = json.loads(host.check_output("cat /tmp/found.json"))
    assert len(found) > 50
    for finding in found:
        print(finding["id"], finding["severity"], finding["finding"])
    # The authority of the tests publishes nothing about what it has revoked.
    known = {"cert_revocation", "cert_crlDistributionPoints", "cert_ocspURL"}
    assert [entry for entry in found if entry["severity"] in ("MEDIUM", "HIGH", "CRITICAL") and entry["id"] not in known] == []
    assert [entry["finding"] for entry in found if entry["id"] == "overall_grade"] in (["A"], ["A+"])


# Renewal. From here on the ACME server matters, and at the end it is gone.


def test_a_renewal_costs_no_request(fleet: Fleet) -> None:
    before = shown(fleet, "issued.test").serial_number
    host, done, problems, count = fleet.hosts["web-1"], threading.Event(), [], [0]

    def client() -> None:
        """Keeps its connection for as long as it may."""
        connection: http.client.HTTPConnection | None = None
        while not done.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("issued.test", timeout=30)
                    connection.sock = connect(fleet, "issued.test")
                connection.request("POST", "/upload", body=b"x", headers={"Host": "issued.test"})
                answer = connection.getresponse()
                answer.read()
                count[0] += 1
                if answer.status >= 500:
                    problems.append(str(answer.status))
                if answer.will_close:
                    connection = None
            except (OSError, http.client.HTTPException) as problem:
                problems.append(repr(problem))
                connection = None
            time.sleep(0.005)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for each in clients:
        each.start()
    try:
        host.check_output("systemctl start tornado_app-acme.service")
    finally:
        time.sleep(1)
        done.set()
        for each in clients:
            each.join()
    assert shown(fleet, "issued.test").serial_number != before
    assert (problems, count[0] > 100) == ([], True)
    assert "Nothing differs on any host" in fleet.play()


def test_the_timer_renews(fleet: Fleet) -> None:
    host = fleet.hosts["web-1"]
    assert host.check_output("systemctl is-active tornado_app-acme.timer") == "active"
    assert host.check_output("systemctl show --property=Unit --value tornado_app-acme.timer") == "tornado_app-acme.service"
    assert host.run("systemctl is-enabled tornado_app-acme.timer").rc == 0
    # certbot's own timer finds nothing of it.
    assert host.run("ls /etc/letsencrypt/live/issued").rc != 0


def test_a_renewal_that_fails_keeps_the_certificate_and_is_reported(fleet: Fleet) -> None:
    host, before = fleet.hosts["web-1"], shown(fleet, "issued.test").serial_number
    host.check_output("systemctl stop pebble.service")
    assert host.run("systemctl start tornado_app-acme.service").rc != 0
    assert shown(fleet, "issued.test").serial_number == before
    said = folded(fleet.play("--tags", "verify"))
    assert "issued's certificate, which has 9 days left, was not renewed: " in said
    assert "Connection refused" in said
    assert "issued's certificate was not renewed: " in folded(fleet.play("--tags", "status"))


def test_without_apps_that_need_it_nothing_of_it_stays(fleet: Fleet) -> None:
    apps = fleet.settings()
    apps["issued"]["tls"] = {"self_signed": True}
    fleet.play(apps=apps)
    assert shown(fleet, "issued.test").issuer.rfc4514_string() == "CN=tornado_app"
    host = fleet.hosts["web-1"]
    left = "/var/lib/tornado_app/certbot /opt/tornado_app/lib /etc/systemd/system/tornado_app-acme.timer"
    assert host.check_output(f"ls -d {left} 2>/dev/null || true") == ""
    apps["filed"]["tls"] = {}
    fleet.play(apps=apps)
    assert not host.file(SERVED.format("filed")).exists
    assert fleet.get("web-1", "/api/info", "filed").status == 200
