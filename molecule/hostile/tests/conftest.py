"""The apps of this scenario, on one host: one that means harm, one that it would harm, and one of which parts fail."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.fleet import ROOT, Fleet, example_app
from tests.hostile import APP, MARKER, VICTIM, Attack
from tests.traffic import Traffic

SOURCES = ROOT / "molecule/shared/apps"


class Figure(NamedTuple):
    """What a fault has cost: requests that clients made meanwhile and that failed, and seconds until all was well."""

    fault: str
    requests: int
    failed: int
    seconds: float


FIGURES = pytest.StashKey[list[Figure]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what each fault has cost."""
    if figures := config.stash[FIGURES]:
        terminalreporter.section("what faults cost")
        terminalreporter.write_line(f"{'fault':<46}{'requests':>10}{'failed':>10}{'s to recover':>14}")
        for figure in figures:
            terminalreporter.write_line(f"{figure.fault:<46}{figure.requests:>10}{figure.failed:>10}{figure.seconds:>14.1f}")


@pytest.fixture(scope="session")
def note(request: pytest.FixtureRequest) -> Callable[[str, int, int, float], None]:
    """Note what a fault has cost, for the table at the end; the arguments are those of a Figure."""

    def append(*figure: Any) -> None:
        request.config.stash[FIGURES].append(Figure(*figure))

    return append


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with a source for each app."""
    folder = tmp_path_factory.mktemp("sources")
    for name, script in ((VICTIM, "modes.py"), ("patient", "patient.py")):
        example_app(folder / name)
        shutil.copy(SOURCES / script, folder / name)
    shutil.copytree(SOURCES / APP, folder / APP, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session")
def fleet(sources: Path) -> Fleet:
    """Begins with all apps live."""

    def app(name: str, port: int, processes: int, **settings: Any) -> dict[str, Any]:
        return {"source": str(sources / name), "port": port, "processes": processes, "server_names": [f"{name}.test"], **settings}

    apps = {
        APP: app(
            APP,
            8000,
            3,
            command="{python} hostile.py --port={port}",
            health={"path": "/healthz", "timeout": 12},
            drain={"timeout": 5},
            stop_timeout=2,
        ),
        VICTIM: app(
            VICTIM,
            8200,
            2,
            listen="sockets",
            command="{python} modes.py --mode=sockets --socket={socket} --port=0",
            health={"path": "/healthz", "timeout": 60},
            drain={"timeout": 30},
            secrets={"TOKEN": MARKER},
            sandbox={"netlink": True, "writable": ["/var/local"]},
        ),
        "patient": app(
            "patient",
            8400,
            3,
            command="{python} patient.py --port={port}",
            health={"path": "/healthz", "timeout": 10},
            drain={"timeout": 5},
            stop_timeout=5,  # more than a slow request takes
            proxy_read_timeout=8,
            liveness={"interval": 1, "timeout": 2, "failures": 2},
            memory_limit="250M",
        ),
    }
    # The victim does not say goodbye to websockets: nothing but their own end may end one.
    fleet = Fleet(Path(__file__).resolve().parents[1] / "inventory", sources / VICTIM, apps, socket_seconds={VICTIM: 1})
    fleet.play()
    return fleet


@pytest.fixture(scope="session")
def attack(fleet: Fleet, sources: Path) -> Attack:
    """The app that means harm, beside others with what it must not read."""
    attack = Attack(fleet, sources / APP)
    attack.plant()
    return attack


@pytest.fixture(scope="module")
def bystanders(attack: Attack) -> Iterator[Traffic]:
    """Clients of the other apps, of whom none may notice anything as long as there are tests that ask for this.

    nginx is reloaded when connections of before are over: none of their websockets lasts.
    """
    with attack.others.unnoticed(patient=2) as traffic:
        yield traffic
