"""What is said of the certificates of hosts: by the comparison with the plan, by the checks, by status and verification."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from tests.unit.loading import plugin
from ansible_collections.tornado_app.deploy.plugins.module_utils.state import State, TlsState
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import checks, report
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.status import status
from ansible_collections.tornado_app.deploy.plugins.plugin_utils.status_text import status_text
from tests.unit.builders import HOST, PLAN, SHOP, app_state, host_state, planned
from tests.unit.certified import authority, issue
from tests.unit.conftest import make_plan
from tests.unit.test_things import OWN as MINE
from tests.unit.test_things import reason

LEAF = authority().leaf("shop.test")
CHAIN = authority().chain(LEAF)
OWN = planned({"shop": {**SHOP, "processes": 2, "tls": {"self_signed": True}}})


def state(tls: Mapping[str, Any] | None = None, **system: Any) -> State:
    """A host whose shop has this certificate."""
    whole = {"source": "self_signed", "expires": "2036-01-02T03:04:05Z", "days_left": 3600, "days": 3650, "renewal": "", **(tls or {})}
    return {"host": host_state(**system), "apps": {"shop": app_state(tls=cast(TlsState, whole))}, "differences": []}


# The comparison


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of nginx's as it is to be."""
    found = tmp_path / "shop.pem"
    found.touch(0o600)
    found.write_text(CHAIN + LEAF.key_pem)
    return found


def certificate(path: Path, **more: Any) -> str:
    return reason({"check": "certificate", "path": str(path), **MINE, "mode": "0600", **more})


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_certificate_counts_and_the_key_has_to_be_there(path: Path) -> None:
    assert certificate(path) == certificate(path, sha256=digest(CHAIN)) == ""
    assert certificate(path, sha256=digest(LEAF.pem)) == "another certificate"
    path.write_text(CHAIN)
    assert certificate(path, sha256=digest(CHAIN)) == "without a key"
    path.chmod(0o644)
    assert certificate(path) == "without a key, mode is 0644 instead of 0600"
    path.unlink()
    assert certificate(path) == "missing"


def test_a_link_in_its_place_is_not_taken(path: Path) -> None:
    other = path.with_name("other.pem")
    path.rename(other)
    path.symlink_to(other)
    assert "mode is 0777 instead of 0600" in certificate(path)


def test_one_that_the_host_makes_is_for_its_names(path: Path) -> None:
    assert certificate(path, names=["shop.test"]) == "issued by somebody else"
    own = issue("own", names=["shop.test"])
    path.write_text(own.pem + own.key_pem)
    assert certificate(path, names=["shop.test"]) == ""
    assert certificate(path, names=["shop.test", "www.shop.test"]) == "for other names"


def test_the_state_of_an_app_has_its_certificate(path: Path) -> None:
    app: Any = make_plan({"shop": {**SHOP, "tls": {"self_signed": True}}})["shop"]
    for slot in app["slots"].values():
        slot["certificate"] = str(path)
    found = plugin("module_utils", "app_state").app_state(app, plugin("module_utils", "app_state").Supervised(None, [], []))["tls"]
    assert (found["source"], found["days_left"] in (89, 90), found["renewal"]) == ("self_signed", True, "")
    os.truncate(path, 0)
    assert plugin("module_utils", "app_state").tls_state("shop", "files", path)["expires"] == ""


# The checks


def test_port_443_has_to_be_nginxs_where_an_app_needs_it() -> None:
    taken = state(port_443="haproxy (pid 9)")
    assert checks.host_problems(PLAN, taken, HOST) == []
    (found,) = checks.host_problems(OWN, taken, HOST)
    assert found.startswith("web-1: port 443, which nginx needs, is held by haproxy (pid 9); stop it")
    assert checks.host_problems(OWN, state(port_443=""), HOST) == []


# Verification and status


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({"expires": "", "days_left": -1}, "shop has no certificate; run --tags provision"),
        ({"days_left": -1}, "shop's certificate has expired at 2036-01-02T03:04:05Z; run --tags provision, which makes a new one"),
        ({"source": "files", "days_left": -1}, "shop's certificate has expired at 2036-01-02T03:04:05Z; give tls.certificate and tls.key"),
    ],
)
def test_a_certificate_that_is_over_is_a_shortfall(tls: dict[str, Any], said: str) -> None:
    plan: Any = {"apps": OWN, "absent": {}, "host": HOST}
    (found,) = report.shortfalls(plan, state(tls), {"apps": []}, {"answers": []}, {"skipped": True})
    assert found.startswith(f"web-1: {said}")
    for days in (0, 5, 3600):
        assert (
            report.shortfalls(plan, state({"source": "files", "days_left": days}), {"apps": []}, {"answers": []}, {"skipped": True}) == []
        )


def test_the_status_shows_the_days_that_are_left() -> None:
    found = status(["web-1", "web-2"], {"web-1": OWN, "web-2": PLAN}, {"web-1": state({"days_left": 12}), "web-2": state()}, {})
    assert found["web-1"]["apps"]["shop"]["tls"] == state({"days_left": 12})["apps"]["shop"]["tls"]
    found["web-2"]["apps"]["shop"]["tls"] = None
    heading, *rows = next(part for part in status_text(found).split("\n\n") if "days left" in part).splitlines()
    assert heading.split() == ["host", "app", "certificate", "expires", "days", "left"]
    assert [row.split() for row in rows] == [["web-1", "shop", "self_signed", "2036-01-02T03:04:05Z", "12"]]
    found["web-1"]["apps"]["shop"]["tls"] = {"source": "acme", "expires": "", "days_left": -1, "days": 0, "renewal": ""}
    assert "acme         (none)   -" in status_text(found)
    found["web-1"]["apps"]["shop"]["tls"] = None
    assert "days left" not in status_text(found)
