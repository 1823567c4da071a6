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

from tests.unit.conftest import make_plan, nginx_tree
from tests.unit.rendering import API, SHOP, nginx_files

APPS = {
    "shop": SHOP,
    "admin": {**SHOP, "path": "/admin/v2.0/"},
    "api": API,
    "pages": {**SHOP, "path": "/pages/", "server_names": ["pages.example.com"], "command": "{python} app.py {socket}", "listen": "sockets"},
    "bank": {**SHOP, "server_names": ["bank.example.com"], "tls": {"self_signed": True, "hsts": 31536000}},
}
# Checks of gixy, and the locations where they are wrong. One that gixy does not name any more fails, too.
ACCEPTED = {
    # The check wants an open_file_cache, which would go on with the files of the slot that was live before.
    ("try_files_is_evil_too", "@closing_static_shop"),
    ("try_files_is_evil_too", "@closing_static_admin"),
    ("try_files_is_evil_too", "@closing_static_pages"),
    ("try_files_is_evil_too", "@closing_static_bank"),
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
