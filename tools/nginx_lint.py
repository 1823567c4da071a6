"""Let gixy judge nginx's files, as the role renders them for apps of each kind; what it finds above low fails.

`python -m tools.nginx_lint`
"""

import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gixy.core.config import Config
from gixy.core.manager import Manager
from gixy.core.severity import MEDIUM, is_acceptable

from tests.unit.conftest import make_plan
from tests.unit.nginx_trees import nginx_tree
from tests.unit.rendering import API, SHOP, nginx_files

BANK = {"self_signed": True, "hsts": 31536000}
APPS = {
    "shop": SHOP,
    "admin": {**SHOP, "path": "/admin/v2.0/", "balance": "cookie"},
    "api": {
        **API,
        "redirect_names": ["www.api.example.com"],
        "static": "static",
        "response_headers": {"X-Frame-Options": "DENY"},
        "limits": {"rate": 10, "burst": 20, "connections": 10},
        "basic_auth": {"ana": f"$6$salt${'x' * 86}"},
        "error_pages": {"404": "404.html", "502": "502.html"},
        "maintenance": {"page": "down.html", "allow": ["192.0.2.0/24"]},
        "nginx_server": "gzip off;",
        "nginx_location": "proxy_buffering off;",
    },
    "pages": {**SHOP, "path": "/pages/", "server_names": ["pages.example.com"], "command": "{python} app.py {socket}", "listen": "sockets"},
    "bank": {**SHOP, "server_names": ["bank.example.com"], "redirect_names": ["www.bank.example.com"], "tls": BANK},
}
# Checks of gixy, and the locations where they are wrong. One that gixy does not name any more fails, too.
ACCEPTED = {
    # The check wants an open_file_cache, which would go on with the files of the slot that was live before.
    ("try_files_is_evil_too", "^~ /static/"),
    ("try_files_is_evil_too", "^~ /admin/v2.0/static/"),
    ("try_files_is_evil_too", "^~ /pages/static/"),
    *(("try_files_is_evil_too", f"@{kind}_{app}") for kind in ("files", "closing_static", "closing_files") for app in APPS),
    *(("try_files_is_evil_too", f"= /.tornado_app/ready{way}") for way in ("", "/host")),
    *(("try_files_is_evil_too", f"= /.tornado_app/ready{way}/{index}") for way in ("", "/host") for index in range(len(APPS))),
    *(("try_files_is_evil_too", f"= {prefix}/.tornado_app/ready{end}") for prefix in ("/admin/v2.0", "/pages") for end in ("", "/0")),
    # The check takes the path behind the name of an upstream for a part of a host's name.
    *(
        ("missing_resolver", block)
        for app, prefix in (("admin", "/admin/v2.0/"), ("pages", "/pages/"))
        for block in (f"^~ {prefix}", f"@closing_{app}", f"@{app}")
    ),
    # Safe there: tests/unit/test_site_tls.py asks a running nginx.
    *(("if_is_evil", block) for block in ("/", "@closing_bank", "@bank", "$tornado_app_foreign")),
    ("try_files_is_evil_too", "= /.tornado_app/maintenance/page"),
    ("try_files_is_evil_too", "= /.tornado_app/error/404"),
    ("try_files_is_evil_too", "= /.tornado_app/error/502"),
}


def findings(config: Path) -> Iterator[tuple[tuple[str, str], str]]:
    """What gixy finds above low: the check with the name of the block, and a line that tells it."""
    manager = Manager(Config(load_default_vars=True))
    with config.open("rb") as content:
        manager.audit(str(config), content)
    for check in manager.results:
        for issue in check.issues:
            if is_acceptable(issue.severity or check.severity, MEDIUM):
                name = type(check).__name__
                for directive in issue.directives:
                    file = Path(directive.file).relative_to(config.parent)
                    yield (
                        (name, " ".join(directive.parent.args)),
                        f"{file}:{directive.line}: {name}: {directive} {issue.reason or check.summary}",
                    )


def main() -> int:
    logging.getLogger().setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        found = list(findings(nginx_tree(Path(folder), nginx_files(make_plan(APPS)), 80)))
    wrong = [line for where, line in found if where not in ACCEPTED]
    wrong += [
        f"{check} is accepted in {block}, where gixy does not find it" for check, block in sorted(ACCEPTED - {where for where, _ in found})
    ]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
