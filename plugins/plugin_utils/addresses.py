"""The addresses of a host of the inventory, where it may have a name."""

from __future__ import annotations

import ipaddress
import socket

from ansible.errors import AnsibleError


def resolved(host: str, address: str, setting: str) -> set[str]:
    """All addresses of what may be a name; ``setting`` is where the inventory can say another one."""
    try:
        return {str(ipaddress.ip_network(address)).removesuffix("/32").removesuffix("/128")}
    except ValueError:
        pass
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)}
    except OSError as problem:
        raise AnsibleError(
            f"{address} has no address ({problem.strerror}): give {host} one in the inventory, by {setting} or ansible_host"
        ) from None
