"""nginx_config: a server name of an app that somebody else's site has too is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.nginx_host import Host, host

__all__ = ["host"]  # a fixture


def named(names: str, port: int, answer: int = 200) -> str:
    return f"server {{\n    listen 127.0.0.1:{port};\n    server_name {names};\n    return {answer};\n}}\n"


def install_shop(host: Host, names: str = "shop.test www.shop.test", **arguments: Any) -> dict[str, Any]:
    """Run the module with the site of the app shop."""
    given = [{"path": "conf.d/shop.conf", "content": named(names, host.port, 204), "app": "shop"}]
    return host.install(given, **arguments)


def shared(host: Host, names: str, path: str) -> str:
    return f"tornado_apps.shop.server_names: {names} on this host is also in {host.root}/{path}, and nginx takes the first site of a name"


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("path", ["conf.d/00-old.conf", "conf.d/zz.conf", "sites-enabled/old"])
def test_a_name_of_an_app_that_another_site_has_is_refused(host: Host, path: str, check: bool) -> None:
    """Whichever of the two nginx would take; before anything changes."""
    (host.root / path).write_text(named("old.test SHOP.test", host.port))
    before = host.tree()
    result = install_shop(host, check=check)
    assert result["failed"]
    assert result["msg"].startswith(f"the present configuration of nginx stays in place: {shared(host, 'shop.test', path)}")
    assert host.tree() == before


def test_a_name_that_another_site_gets_after_the_deploy_is_refused_by_the_next_one(host: Host) -> None:
    assert not install_shop(host).get("failed")
    (host.root / "conf.d/00-old.conf").write_text(named("shop.test www.shop.test", host.port))
    for check in (False, True):
        assert shared(host, "shop.test, www.shop.test", "conf.d/00-old.conf") in install_shop(host, check=check)["msg"]
    (host.root / "conf.d/00-old.conf").unlink()
    assert not install_shop(host).get("failed")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("shop.test", ".shop.test"),
        ("*.shop.test", ".shop.test"),
        ("*.shop.test", "*.shop.test"),
        ("shop.test", '"shop.test"'),
        ("shop.test", "a.test\n        shop.test"),
    ],
)
def test_however_the_other_site_writes_the_name(host: Host, ours: str, theirs: str) -> None:
    for path in ("conf.d/00-old.conf", "conf.d/zz.conf"):
        (host.root / path).write_text(named(theirs, host.port))
        assert shared(host, ours, path) in install_shop(host, ours)["msg"]
        (host.root / path).unlink()


def test_the_file_is_that_of_the_site_not_one_that_only_mentions_the_name(host: Host, ports: Callable[[int], list[int]]) -> None:
    (host.root / "conf.d/00-old.conf").write_text(named("shop.test", host.port))
    (host.root / "conf.d/01-tls.conf").write_text(named("shop.test", ports(1)[0]))
    (host.root / "conf.d/02-words.conf").write_text("# server_name shop.test;\n")
    assert shared(host, "shop.test", "conf.d/00-old.conf") in install_shop(host, "shop.test")["msg"]


def test_a_name_that_the_module_does_not_find_is_refused_all_the_same(host: Host) -> None:
    """nginx warns of what it reads; that the module takes it for a comment costs no more than the name of the file."""
    site = f'server {{ listen 127.0.0.1:{host.port}; add_header X "a #b"; server_name shop.test; return 200; }}\n'
    (host.root / "conf.d/00-old.conf").write_text(site)
    assert "server_names: shop.test on this host is also in another file, and" in install_shop(host)["msg"]


def test_what_sites_of_others_do_to_each_other_is_their_own_business(host: Host, ports: Callable[[int], list[int]]) -> None:
    """So is a site that has the name on another address, like one for TLS, and what a name of an app does not name."""
    (tls,) = ports(1)
    for number in range(2):
        (host.root / f"conf.d/{number}.conf").write_text(named("old.test", host.port) + named("shop.test", tls))
    (host.root / "sites-enabled/other").write_text(named("*.test ~^sh deep.shop.test", host.port))
    assert not install_shop(host).get("failed")
    assert not install_shop(host).get("failed")


def test_only_the_names_of_apps_are_theirs(host: Host) -> None:
    """A file of another kind, such as an upstream, is not asked for its names: a rollback goes on."""
    assert not install_shop(host).get("failed")
    (host.root / "conf.d/00-old.conf").write_text(named("shop.test", host.port))
    assert not host.run({"conf.d/new.conf": "# new\n"}).get("failed")


def test_a_site_that_leaves_in_the_same_step_is_in_nobodys_way(host: Host) -> None:
    (host.root / "conf.d/00-old.conf").write_text(named("shop.test", host.port))
    assert not install_shop(host, absent=["conf.d/00-old.conf"]).get("failed")


def test_sites_of_apps_are_judged_each_by_its_own_names(host: Host) -> None:
    (host.root / "conf.d/00-old.conf").write_text(named("api.test", host.port))
    (host.root / "conf.d/01-old.conf").write_text(named("shop.test", host.port))
    given = [{"path": f"conf.d/{app}.conf", "content": named(f"{app}.test", host.port), "app": app} for app in ("shop", "api")]
    result = host.install(given)
    assert "tornado_apps.shop.server_names: shop.test on this host is also in" in result["msg"]
    assert "tornado_apps.api.server_names: api.test on this host is also in" in result["msg"]
