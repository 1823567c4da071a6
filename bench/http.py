"""Requests a second and bytes, through nginx as Tornado's guide configures it and as the role does, with ports and with sockets.

`make bench-http` starts a process for each CPU and nginx beside it, on this machine and without root. wrk asks each configuration in
turn, several rounds of it; the table has the medians, and how many times as many requests as with the guide's configuration. What
the processes give when they are asked without nginx bounds the ratio: the client, nginx and they share the same processors.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from hashlib import sha512
from itertools import product
from pathlib import Path
from typing import NamedTuple

from tests.unit.loading import ROOT
from tests.unit.conftest import NGINX, held_ports, listens, make_plan, process, relocated, utils, wait_until
from tests.unit.nginx_trees import nginx_tree
from tests.unit.rendering import nginx_files
from tools.process import interruptible

ROUNDS = 5
SECONDS = 4  # of a configuration and a URL, in each round
CONNECTIONS = 32
WRK = ROOT / ".tools/wrk/usr"

PROGRAM = """
import asyncio, os, sys
from tornado import netutil, web
from tornado.httpserver import HTTPServer

PAGE = "".join(f"<li>entry {number} of a page that a template has made</li>" for number in range(150))

class Health(web.RequestHandler):
    def get(self):
        self.finish("ok")

class Page(web.RequestHandler):
    def get(self):
        self.finish(PAGE)

async def main():
    server = HTTPServer(web.Application([("/healthz", Health), ("/page", Page)], log_function=lambda handler: None))
    for place in sys.argv[1:]:
        server.add_socket(netutil.bind_unix_socket(place)) if "/" in place else server.listen(int(place), "127.0.0.1", reuse_port=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
FILES = ("app.css", "app.js")  # the guide compresses the first, at each request
SCRIPT = "".join(f"export function part{number}() {{ return document.querySelector('#part{number}'); }}\n" for number in range(400))

# The settings of the guide's page on running Tornado behind nginx, in the order of that page.
GUIDE = """
user www-data;
worker_processes 1;
pid /run/nginx.pid;
events {{ worker_connections 1024; use epoll; }}
http {{
    upstream frontends {{ {servers} }}
    include mime.types;
    default_type application/octet-stream;
    access_log /var/log/nginx/access.log;
    keepalive_timeout 65;
    proxy_read_timeout 200;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    gzip on;
    gzip_min_length 1000;
    gzip_proxied any;
    gzip_types text/plain text/css text/xml application/x-javascript application/xml application/atom+xml text/javascript;
    proxy_next_upstream error;
    server {{
        listen 80;
        client_max_body_size 50M;
        location ^~ /static/ {{
            root {root};
            if ($query_string) {{ expires max; }}
        }}
        location / {{
            proxy_pass_header Server;
            proxy_set_header Host $http_host;
            proxy_redirect off;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Scheme $scheme;
            proxy_pass http://frontends;
        }}
    }}
}}
"""
WAYS = ("guide", "ports", "sockets")
DIRECT = "no nginx"


class Sample(NamedTuple):
    """What came of a way in a round."""

    rate: float
    """Requests a second."""
    size: float
    """Bytes of an answer with its headers."""


def measured(output: str) -> Sample:
    """What wrk has measured; any answer but 200 makes it worthless."""
    assert "Non-2xx" not in output, output
    assert "Socket errors" not in output, output
    found = re.search(r"(\d+) requests in [\d.]+\w+, ([\d.]+)(\w+) read", output)
    rate = re.search(r"Requests/sec: +([\d.]+)", output)
    assert found, output
    assert rate, output
    units = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
    return Sample(float(rate[1]), float(found[2]) * units[found[3]] / int(found[1]))


def ask(port: int, url: str) -> Sample:
    """Let wrk ask for a URL as a browser does."""
    command = [str(WRK / "bin/wrk"), "--threads=1", f"--connections={CONNECTIONS}", f"--duration={SECONDS}s"]
    headers = ["--header=Host: shop.example.com", "--header=Accept-Encoding: gzip"]
    libraries = os.pathsep.join(map(str, (WRK / "lib").glob("*-linux-gnu*")))
    done = subprocess.run(
        [*command, *headers, f"http://127.0.0.1:{port}{url}"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LD_LIBRARY_PATH": libraries},
    )
    return measured(done.stdout)


def report(samples: Mapping[tuple[str, str], Sequence[Sample]]) -> str:
    """A row a URL and way: the medians, and the ratio to the guide's requests a second."""
    rows = [("URL", "way", "requests/s", "ratio", "bytes")]
    first: dict[str, float] = {}
    for (url, way), found in samples.items():
        rate, size = (statistics.median(values) for values in zip(*found, strict=True))
        ratio = rate / first.setdefault(url, rate)
        rows.append((url.partition("?")[0], way, f"{rate:,.0f}", f"{ratio:.2f}", f"{size:,.0f}"))
    return "\n".join(f"{row[0]:<18}{row[1]:<10}{row[2]:>12}{row[3]:>8}{row[4]:>10}" for row in rows)


def started(folder: Path, stack: ExitStack) -> dict[str, int]:
    """Start processes and nginx; the port of each way."""
    cpus = len(os.sched_getaffinity(0))
    held = stack.enter_context(held_ports(cpus + len(WAYS) + 1))
    fronts = dict(zip((*WAYS, DIRECT), held[cpus:], strict=True))
    settings = {"source": "app", "command": "{python} app.py {port}", "server_names": ["shop.example.com"], "processes": cpus}
    trees = {}
    for way in WAYS[1:]:
        own = {**settings, "listen": way, "port": held[0], **({"command": "{python} app.py {socket}"} if way == "sockets" else {})}
        planned = make_plan({"shop": own}, cpus=cpus, nofile=1024)
        plan = relocated(planned, folder / way)
        shop = plan["shop"] = {**plan["shop"], "access_log": planned["shop"]["access_log"]}  # nginx_tree has a place for logs
        release = Path(shop["releases"]) / "0123456789ab"
        (release / "static").mkdir(parents=True)
        for name in FILES:
            (release / "static" / name).write_text(SCRIPT)
        Path(shop["slots"]["blue"]["cwd"]).parent.mkdir()
        Path(shop["slots"]["blue"]["cwd"]).symlink_to(release)
        store = utils("static_store").Store(shop["assets"], shop["releases"], shop["static"])
        store.prepare()
        store.add("0123456789ab")
        if way == "sockets":
            shop["slots"]["blue"]["addresses"] = [f"unix:{folder}/{index}.sock" for index in range(cpus)]
        trees[way] = nginx_files(plan, cpus=cpus, ipv6=False)
    root = Path(shop["releases"]) / "0123456789ab"
    servers = " ".join(f"server 127.0.0.1:{port};" for port in held[:cpus])
    trees["guide"] = {"nginx.conf": GUIDE.format(servers=servers, root=root)}
    program = folder / "program.py"
    program.write_text(PROGRAM)
    for index in range(cpus):
        stack.enter_context(process(sys.executable, program, str(held[index]), str(fronts[DIRECT]), folder / f"{index}.sock"))
    for way, files in trees.items():
        (folder / way).mkdir(exist_ok=True)
        config = nginx_tree(folder / way, files, fronts[way])
        stack.enter_context(process(NGINX, "-e", "stderr", "-c", config, "-g", "daemon off;"))
    for port in (*held[:cpus], *fronts.values()):
        wait_until(partial(listens, port), f"port {port}")
    return fronts


def main() -> None:
    interruptible()
    version = sha512(SCRIPT.encode()).hexdigest()
    cases = [
        *product(("/healthz", "/page"), (*WAYS, DIRECT)),
        *product((f"/static/{name}?v={version}" for name in FILES), WAYS),
    ]
    samples: dict[tuple[str, str], list[Sample]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        fronts = started(Path(name), stack)
        for _, (url, way) in product(range(ROUNDS), samples):
            samples[url, way].append(ask(fronts[way], url))
    print(report(samples))


if __name__ == "__main__":
    main()
