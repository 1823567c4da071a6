"""A fleet behind balancers, through which all clients come."""

import http.client
import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import testinfra
from testinfra.host import Host
from testinfra.utils.ansible_runner import AnsibleRunner

from tests.fleet import Fleet, wait_until
from tests.traffic import Target, Traffic

SHOP = {
    "command": "{python} app.py --port={port}",
    "processes": 2,
    "server_names": ["shop.test"],
    "health": {"path": "/healthz"},
    # It sends its websockets away by itself.
    "drain": {"timeout": 30, "signal": "TERM"},
}
BALANCERS = ("lb-1", "lb-2")
SOCKET = "/run/haproxy/admin.sock"
ASK = f"""python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("{SOCKET}")
s.sendall(sys.argv[1].encode() + b"\\n")
print(b"".join(iter(lambda: s.recv(65536), b"")).decode())' """

# As docs/realtime.md has it.
ASK_REDIS = """secret=$(cat /etc/tornado_app/redis_secret)
export REDISCLI_AUTH=$(printf tornado_app | openssl dgst -sha256 -hmac "$secret" | sed 's/.* //')
redis-cli -s /run/redis/tornado_app.sock --user tornado_app """


class Balanced(Fleet):
    """The fleet, with the balancers in front; ``settings`` are more of the app."""

    def __init__(self, inventory: Path, source: Path, **settings: Any) -> None:
        super().__init__(inventory, source, {"shop": {**SHOP, **settings}})
        self.balancers: dict[str, Host] = {
            name: testinfra.get_host(f"ansible://{name}?ansible_inventory={self.inventory}&sudo=True") for name in BALANCERS
        }
        (self.redis_host,) = AnsibleRunner(str(inventory)).get_hosts("redis")
        self.entrances = {name: str(host.ansible.get_variables()["ansible_host"]) for name, host in self.balancers.items()}

    @contextmanager
    def clients(self) -> Iterator[Traffic]:
        """Clients of both balancers; none of them may notice what the block does."""
        with self.through() as traffic:
            try:
                yield traffic
            finally:
                print(traffic.account.summary())
        assert traffic.account.failures() == []
        assert traffic.account.lost() == 0

    def through(self) -> Traffic:
        """Clients of both balancers."""
        return self.traffic_to([Target(f"shop by {name}", address, "shop.test") for name, address in self.entrances.items()])

    def asked(self, balancer: str, path: str = "/api/info", **headers: str) -> http.client.HTTPResponse:
        """The answer to a request by a balancer."""
        connection = http.client.HTTPConnection(self.entrances[balancer], timeout=30)
        connection.request("GET", path, headers={"Host": "shop.test", **{key.replace("_", "-"): value for key, value in headers.items()}})
        return connection.getresponse()

    def told(self, balancer: str, **headers: str) -> dict[str, Any]:
        """What the process that got a request by a balancer says of itself and its visitor."""
        answer = self.asked(balancer, **headers)
        assert answer.status == 200
        found: dict[str, Any] = json.load(answer)
        return found

    def haproxy(self, balancer: str, command: str) -> str:
        """What the HAProxy of a balancer answers to a command."""
        return str(self.balancers[balancer].check_output(ASK + f"'{command}'"))

    def process(self, balancer: str) -> str:
        """The HAProxy that serves; a reload brings another one."""
        return self.haproxy(balancer, "show info").split("Pid: ")[1].split()[0]

    def up(self, balancer: str) -> set[str]:
        """The hosts to which a balancer sends requests."""
        lines = [line.split() for line in self.haproxy(balancer, "show servers state").splitlines()[2:] if line]
        return {fields[3] for fields in lines if fields[1] == "shop" and fields[5] == "2"}

    def wait_for(self, *hosts: str) -> None:
        """Wait until the balancers send requests to these hosts, and to no others."""
        for balancer in self.balancers:
            wait_until(lambda balancer=balancer: self.up(balancer) == set(hosts))  # type: ignore[misc]

    def boots(self) -> dict[str, str]:
        """When each host has come up."""
        return {
            name: str(host.check_output("systemctl show --value --property=UserspaceTimestampMonotonic"))
            for name, host in self.hosts.items()
        }

    def redis(self, *command: str) -> str:
        """What Redis answers to a command."""
        return str(self.balancers[self.redis_host].check_output(ASK_REDIS + shlex.join(command))).strip()

    def beats(self) -> list[str]:
        """The hosts that run the singleton."""
        return [name for name, host in self.hosts.items() if host.run("pgrep --uid shop --full 'beat[.]py'").rc == 0]

    def forget_beats(self) -> None:
        """One runs, whatever a host has counted that has lost its power since."""
        self.redis("SET", "shop:beats", "1")
        self.redis("DEL", "shop:overlaps")

    def overlaps(self) -> str:
        """How often the singleton has begun while another one ran; empty for never."""
        return self.redis("GET", "shop:overlaps")
