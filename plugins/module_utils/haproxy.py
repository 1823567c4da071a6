"""The running HAProxy, asked by its socket."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown

HAPROXY = "/usr/sbin/haproxy"
SOCKET = "/run/haproxy/admin.sock"
STATE_FILE = "/run/haproxy/tornado_app.state"
CERTIFICATES = "/etc/haproxy/tornado_app"
TIMEOUT = 10.0  # seconds for an answer
DESCRIPTION = re.compile(r"^description: (.*)$", re.MULTILINE | re.IGNORECASE)
PROCESS = re.compile(r"^Pid: (.*)$", re.MULTILINE)
BIND = re.compile(r"^\s+bind (\S+)", re.MULTILINE)
ADDRESS = re.compile(r"([^,]*):(\d+)(?:,|$)")
SECTION = re.compile(r"^(backend|frontend|listen)\s+(\S+)", re.MULTILINE)
SERVER = re.compile(r"^\s+server\s+(\S+)\s+\S+:(\d+)(?:\s|$)", re.MULTILINE)
# Of the lines of `show servers state`, whose first two are their version and their names.
BACKEND, NAME, STATE, PORT = 1, 3, 5, 18
STOPPED, RUNNING = "0", "2"
END = "-----END CERTIFICATE-----"


def ask(path: Path, command: str) -> str:
    """What HAProxy answers to a command; empty when nobody is there."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(str(path))
            connection.sendall(f"{command}\n".encode())
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
    except OSError:
        return ""
    return b"".join(parts).decode("utf-8", "replace")


def loaded(path: Path) -> str:
    """The digest of the configuration that the running HAProxy has loaded, which is its description."""
    return said(path, DESCRIPTION)


def process(path: Path) -> str:
    """The id of the process that serves; each reload brings another one."""
    return said(path, PROCESS)


def said(path: Path, what: re.Pattern[str]) -> str:
    """Something of what HAProxy says of itself; empty when it does not, or nobody is there."""
    found = what.search(ask(path, "show info"))
    return found[1].strip() if found else ""


def up(path: Path, backends: Iterable[str]) -> dict[str, dict[str, bool]]:
    """Of each backend its servers, and whether they are up."""
    lines = [line.split() for line in ask(path, "show servers state").splitlines()[2:]]
    return {
        backend: {line[NAME]: line[STATE] == RUNNING for line in lines if len(line) > STATE and line[BACKEND] == backend}
        for backend in backends
    }


def serves(socket_path: Path, certificate: Path, content: str) -> bool:
    """Whether the running HAProxy has this content of a certificate's file."""
    own = hashlib.sha1(ssl.PEM_cert_to_DER_cert(content.partition(END)[0] + END), usedforsecurity=False).hexdigest()
    return own.upper() in ask(socket_path, f"show ssl cert {certificate}")


def replace_certificate(socket_path: Path, certificate: Path, content: str) -> str:
    """Give the running HAProxy another content of a certificate's file; why it does not take it, empty when it does."""
    lines = "\n".join(line for line in content.splitlines() if line)  # an empty one ends what follows a command
    for command, good in ((f"set ssl cert {certificate} <<\n{lines}\n", "Transaction "), (f"commit ssl cert {certificate}", "Success!")):
        said = ask(socket_path, command)
        if good not in said:
            ask(socket_path, f"abort ssl cert {certificate}")
            return f"HAProxy does not take the certificate: {shown(' '.join(said.split())) or 'it does not answer'}"
    return ""


def addresses(config: str) -> set[tuple[str, int]]:
    """Host and port of all that a configuration listens on."""
    return {(host, int(port)) for given in BIND.findall(config) for host, port in ADDRESS.findall(given)}


def unavailable(host: str, port: int) -> str:
    """Why nobody can listen there; empty when one can."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if probe.family == socket.AF_INET6:  # without it, :: would be that of IPv4 too
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            return str(problem.strerror)
    return ""


def servers(config: str) -> set[tuple[str, str, str]]:
    """Backend, name and port of each server of a configuration."""
    found = set()
    starts = [*SECTION.finditer(config)]
    for start, end in zip(starts, [*(match.start() for match in starts[1:]), len(config)]):
        found |= {(start[2], name, port) for name, port in SERVER.findall(config[start.end() : end])}
    return found


def down(states: str, config: str) -> str:
    """Of the states of all servers those that are down, as a file for the next process.

    HAProxy takes the port of such a file for the server's own, so a server that has another one now is left out.
    """
    version, *lines = states.splitlines() or ["1"]
    known = servers(config)
    kept = [line for line in lines if line.startswith("#") or is_down(line.split(), known)]
    return "\n".join([version, *kept]) + "\n"


def is_down(fields: list[str], known: set[tuple[str, str, str]]) -> bool:
    return len(fields) > PORT and fields[STATE] == STOPPED and (fields[BACKEND], fields[NAME], fields[PORT]) in known
