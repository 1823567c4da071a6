"""Other sites of a host, beside the role's: what they lose when the role's default server comes, and whether a default site is theirs."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import filter as matching
from pathlib import Path
from typing import NamedTuple

from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx import addresses, parts
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx_main import MAIN_FILE, Statement, UnreadableError, statements

DEFAULT_SITE = "sites-enabled/default"


class Server(NamedTuple):
    """A server of nginx: the file that has it, where it listens, and its versions of TLS, empty where nobody has set them."""

    path: str
    addresses: set[str]
    protocols: set[str]


def is_operators(path: Path) -> bool:
    """Whether a default site is not as the distribution's package has brought it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    asked = ["dpkg-query", "--show", "--showformat", "${Conffiles}", "nginx-common"]
    known = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
    return bool(content) and hashlib.md5(content, usedforsecurity=False).hexdigest() not in known


def lost(dump: str, root: Path, own: Collection[str], taken: Collection[str]) -> list[str]:
    """What other files than ``own`` lose on the addresses that are ``taken`` newly, out of nginx's dump of the whole."""
    try:
        found = list(servers(parts(dump), root))
    except UnreadableError:  # a module's block in another language
        return []
    lines = []
    for address in sorted(taken):
        port = address.rpartition(":")[2]
        ours = [server for server in found if server.path in own and address in server.addresses]
        others = [server for server in found if server.path not in own and address in server.addresses]
        if ours and others:
            lines.append(
                f"{others[0].path} answered on port {port} for names that no site has, which nobody answers now; "
                "name there those that it is for"
            )
            lines += [
                f"{server.path} has ssl_protocols {' '.join(sorted(server.protocols))}; on port {port} nginx takes this role's for all "
                f"names, {' '.join(sorted(ours[0].protocols))}"
                for server in others
                if server.protocols and server.protocols != ours[0].protocols != set()
            ]
    return list(dict.fromkeys(lines))


def servers(texts: Mapping[str, str], root: Path) -> Iterator[Server]:
    """All servers, in nginx's order; ``texts`` is path -> what the file says."""
    main = str(root / MAIN_FILE)
    for _, http in inlined(main, texts[main], texts, root):
        if http.words[0] == "http":
            listed = list(inlined(main, http.block, texts, root))
            common = protocols(one for _, one in listed)
            for path, server in listed:
                if server.words[0] == "server":
                    inner = [one for _, one in inlined(path, server.block, texts, root)]
                    listens = "".join(one.text for one in inner if one.words[0] == "listen")
                    yield Server(path, addresses(listens or "listen 80;"), protocols(inner) or common)


def inlined(path: str, text: str, texts: Mapping[str, str], root: Path) -> Iterator[tuple[str, Statement]]:
    """The directives of a text with those of the files that it includes, each with its file."""
    for one in statements(text):
        if one.words[0] == "include":
            for other in matching(texts, str(root / one.words[1].strip("\"'"))):
                yield from inlined(other, texts[other], texts, root)
        else:
            yield path, one


def protocols(listed: Iterable[Statement]) -> set[str]:
    """The versions of TLS that these directives allow."""
    return {word for one in listed if one.words[0] == "ssl_protocols" for word in one.words[1:]}
