"""Have the certificates of apps issued by ACME servers, and renewed: acme.py SETTINGS. For systemd, twice a day, and for runs.

certbot talks to the server. The running HAProxy takes what certbot has got by its socket, without a reload. What fails leaves the
certificate that is there, and is noted for the role.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

from ansible_collections.tornado_app.deploy.plugins.module_utils.certbot import issued, renew
from ansible_collections.tornado_app.deploy.plugins.module_utils.haproxy import process, replace_certificate, serves
from ansible_collections.tornado_app.deploy.plugins.module_utils.root_file import SECRET, install, text


def serve(settings: dict[str, Any]) -> dict[str, str]:
    """Give HAProxy what it has not, and put that where it reads it when it starts."""
    socket, failures = Path(settings["socket"]), {}
    for name, app in settings["apps"].items():
        path, content = Path(app["served"]), issued(name, settings)
        if not content:
            continue
        problem = ""
        if process(socket) and not serves(socket, path, content):  # whatever the file has: HAProxy may have been silent before
            problem = replace_certificate(socket, path, content)
        if problem:
            failures[name] = problem
        elif content != text(path):
            install(path, content, SECRET)
    return failures


if __name__ == "__main__":
    sys.exit(renew(serve))
