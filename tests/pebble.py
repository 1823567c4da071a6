"""Pebble, an ACME server for tests, on a test host."""

import json

from testinfra.host import Host

from tests.unit.certified import Authority

CA = "/etc/pebble/ca.pem"  # of the server's own certificate
CONFIG = {
    "managementListenAddress": "127.0.0.1:15000",
    "certificate": "/etc/pebble/own.pem",
    "privateKey": "/etc/pebble/own.key",
    "httpPort": 80,
    "tlsPort": 443,
    "ocspResponderURL": "",
    "certificateValidityPeriod": 10 * 86400,  # so few that certbot renews at each look
}


def start(host: Host, ca: Authority, names: dict[str, str], address: str = "localhost", packages: str = "") -> str:
    """Install and start it for clients that call it so, and have it find these names at their addresses; the URL of its directory."""
    host.check_output("cat >>/etc/hosts <<'END'\n" + "".join(f"{where} {name}\n" for name, where in names.items()) + "END")
    install = f"DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --no-install-recommends install pebble {packages}"
    host.check_output(f"apt-get --quiet update && {install}")
    own = ca.leaf(address)
    given = {
        "/etc/pebble/config.json": json.dumps({"pebble": {**CONFIG, "listenAddress": f"{address}:14000"}}),
        CONFIG["certificate"]: ca.chain(own),
        CONFIG["privateKey"]: own.key_pem,
        CA: ca.root.pem,
    }
    host.check_output("mkdir /etc/pebble")
    for path, content in given.items():
        host.check_output(f"cat >{path} <<'END'\n{content}\nEND")
    # By itself it refuses one nonce of twenty, and certbot tries once more alone.
    how = "--setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0"
    host.check_output(f"systemd-run --unit=pebble {how} pebble -config /etc/pebble/config.json")
    return f"https://{address}:14000/dir"


def trust(host: Host, ca: Authority) -> None:
    """Have a host trust the server; not by update-ca-certificates, since what else prepare.yml has put there is for pip."""
    host.check_output(f"cat >>/etc/ssl/certs/ca-certificates.crt <<'END'\n{ca.root.pem}\nEND")
