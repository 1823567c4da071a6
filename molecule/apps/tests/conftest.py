"""The fleet of this scenario: an app of every kind, on the same two hosts."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import ROOT, Fleet, example_app
from tests.repository import Repository

SOURCES = ROOT / "molecule/shared/apps"
COMMON: dict[str, Any] = {"processes": 2, "health": {"path": "/healthz", "timeout": 60}, "drain": {"timeout": 20}}
# No app but the first says goodbye to its websockets: nothing but their own end may end one.
SOCKET_SECONDS = {"forking_app": 1, "sockets_app": 1, "shared_app": 1}


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of `procfile` (a work tree), `procfile.git`, `modes` and `pages`."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("procfile", "modes"):
        example_app(folder / name)
    shutil.copytree(SOURCES / "procfile", folder / "procfile", dirs_exist_ok=True)
    shutil.copy(SOURCES / "modes.py", folder / "modes")
    shutil.copytree(SOURCES / "pages", folder / "pages")
    return folder


@pytest.fixture(scope="session")
def repository(sources: Path) -> Repository:
    """What the Procfile app is deployed from."""
    return Repository(sources / "procfile")


@pytest.fixture(scope="session")
def fleet(sources: Path, repository: Repository) -> Fleet:
    """Begins with all apps live on both hosts."""

    def mode(listen: str, place: str, **settings: Any) -> dict[str, Any]:
        source = str(sources / "modes")
        return {**COMMON, "source": source, "listen": listen, "command": f"{{python}} modes.py --mode={listen} {place}", **settings}

    apps = {
        "procfile_app": {
            **COMMON,
            "source": str(repository.bare),
            "environment": {"QUEUE": "two words"},
            "scale": {"worker": 2},
            "server_names": ["procfile.test"],
        },
        "flask_app": {
            **COMMON,
            "source": str(sources / "pages"),
            "wsgi": "pages:app",
            "health": {"path": "/api/info"},
            "server_names": ["flask.test"],
        },
        "forking_app": mode("fork", "--port={port}", server_names=["forking.test"]),
        # Two apps under one name.
        "sockets_app": mode("sockets", "--socket={socket} --port=0", server_names=["both.test"]),
        "shared_app": mode("shared", "--port={port}", server_names=["both.test"], path="/shared/"),
    }
    fleet = Fleet(
        Path(__file__).resolve().parents[1] / "inventory",
        sources / "modes",
        apps,
        SOCKET_SECONDS,
        without={"flask_app": ("static", "websocket")},
    )
    fleet.play()
    return fleet


@pytest.fixture
def change(sources: Path, repository: Repository) -> Callable[[str], None]:
    """Makes the sources of all apps other releases."""

    def append(text: str) -> None:
        for file in ("procfile/app.py", "modes/app.py", "pages/pages.py"):
            with (sources / file).open("a") as code:
                code.write(f"# {text}\n")
        repository.publish(text)

    return append
