"""Have the certificates of apps issued by ACME servers, and renewed: acme.py SETTINGS. For systemd, twice a day, and for runs.

certbot talks to the server. What it has got is put where nginx reads it, and nginx is reloaded so that no client loses a request. What
fails leaves the certificate that is there, and is noted for the role.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

from ansible_collections.tornado_app.deploy.plugins.module_utils.certbot import issued, renew
from ansible_collections.tornado_app.deploy.plugins.module_utils.flock import NotHeldError, locked
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx import RefusedError, loaded_digest, master
from ansible_collections.tornado_app.deploy.plugins.module_utils.nginx_reload import NotReloadedError, reload
from ansible_collections.tornado_app.deploy.plugins.module_utils.root_file import SECRET, install, text
from ansible_collections.tornado_app.deploy.plugins.module_utils.text import shown


def serve(settings: dict[str, Any]) -> dict[str, str]:
    """Put the certificates where nginx reads them, and have it load what it has not. What it refuses is all taken back."""
    try:
        load(settings)
    except (RefusedError, NotReloadedError, NotHeldError) as problem:
        return dict.fromkeys(settings["apps"], shown(str(problem), 600))
    return {}


def load(settings: dict[str, Any]) -> None:
    root, state = Path(settings["nginx"]), Path(settings["loaded"])
    with locked(Path(settings["lock"])):
        wanted = {root / app["served"]: content for name, app in settings["apps"].items() if (content := issued(name, settings))}
        before = {path: text(path) for path in wanted}
        for path in (path for path, content in wanted.items() if content != before[path]):
            install(path, wanted[path], SECRET)
        try:
            digest = loaded_digest(root)
        except RefusedError:
            for path, former in before.items():
                install(path, former, SECRET)
            raise
        if text(state) != digest:
            if master():
                reload(Path(settings["closing"]))
            install(state, digest)


if __name__ == "__main__":
    sys.exit(renew(serve))
