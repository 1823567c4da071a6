"""The fleet of this scenario: an app of every kind, on the same two hosts."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import ROOT, Fleet

SOURCES = Path(__file__).resolve().parents[1] / "sources"
COMMON: dict[str, Any] = {"processes": 2, "health": {"path": "/healthz", "timeout": 60}, "drain": {"timeout": 20}}
# No app but the first says goodbye to its websockets: nothing but their own end may end one.
SOCKET_SECONDS = {"forking": 1, "sockets": 1, "shared": 1}


class Git:
    """A work tree, and the bare repository that its commits go to."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.repository = work.with_name(f"{work.name}.git")
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.repository], check=True)
        self("init", "--quiet", "--initial-branch=main")
        self("remote", "add", "origin", str(self.repository))
        self.publish("first")

    def __call__(self, *arguments: str) -> None:
        who = ["-c", "user.name=ana", "-c", "user.email=ana@example.com"]
        subprocess.run(["git", "-C", self.work, *who, *arguments], check=True)

    def publish(self, message: str) -> None:
        """Commit all there is, and push it."""
        self("add", ".")
        self("commit", "--quiet", "--message", message)
        self("push", "--quiet", "origin", "main")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of `shop` (a work tree), `shop.git`, `modes` and `pages`."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("shop", "modes"):
        shutil.copytree(ROOT / "files/app", folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SOURCES / "procfile", folder / "shop", dirs_exist_ok=True)
    shutil.copy(SOURCES / "modes.py", folder / "modes")
    shutil.copytree(SOURCES / "pages", folder / "pages")
    return folder


@pytest.fixture(scope="session")
def shop(sources: Path) -> Git:
    """What the Procfile app is deployed from."""
    return Git(sources / "shop")


@pytest.fixture(scope="session")
def fleet(sources: Path, shop: Git) -> Fleet:
    """Begins with all apps live on both hosts."""

    def mode(listen: str, place: str, **settings: Any) -> dict[str, Any]:
        source = str(sources / "modes")
        return {**COMMON, "source": source, "listen": listen, "command": f"{{python}} modes.py --mode={listen} {place}", **settings}

    apps = {
        "shop": {
            **COMMON,
            "source": str(shop.repository),
            "environment": {"QUEUE": "two words"},
            "scale": {"worker": 2},
            "server_names": ["shop.test"],
        },
        "pages": {
            **COMMON,
            "source": str(sources / "pages"),
            "wsgi": "pages:app",
            "health": {"path": "/api/info"},
            "server_names": ["pages.test"],
        },
        "forking": mode("fork", "--port={port}", server_names=["forking.test"]),
        # Two apps under one name.
        "sockets": mode("sockets", "--socket={socket} --port=0", server_names=["both.test"]),
        "shared": mode("shared", "--port={port}", server_names=["both.test"], path="/shared/"),
    }
    fleet = Fleet(
        Path(__file__).resolve().parents[1] / "inventory",
        sources / "modes",
        apps,
        SOCKET_SECONDS,
        without={"pages": ("static", "websocket")},
    )
    fleet.play()
    return fleet


@pytest.fixture
def change(sources: Path, shop: Git) -> Callable[[str], None]:
    """Makes the sources of all apps other releases."""

    def append(text: str) -> None:
        for file in ("shop/app.py", "modes/app.py", "pages/pages.py"):
            with (sources / file).open("a") as code:
                code.write(f"# {text}\n")
        shop.publish(text)

    return append
