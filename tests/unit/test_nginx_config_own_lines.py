"""nginx_config: what nginx says of an operator's own lines is said with the setting that they are from."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.conftest import make_plan, relocated
from tests.unit.nginx_host import Host, host
from tests.unit.rendering import SHOP, nginx_files

__all__ = ["host"]  # a fixture

SHORT = {**SHOP, "server_names": ["shop.test"]}
ADMIN = {**SHORT, "path": "/admin/"}


def sites(host: Host, settings: dict[str, dict[str, Any]]) -> dict[str, str]:
    """What nginx gets for apps with these settings, but its own file."""
    (host.folder / "var/log/nginx").mkdir(parents=True, exist_ok=True)
    files = nginx_files(relocated(make_plan(settings), host.folder), ipv6=False)
    own = {path: text for path, text in files.items() if path.startswith("conf.d/")}
    return {path: text.replace("listen 80", f"listen 127.0.0.1:{host.port}") for path, text in own.items()}


def refused(host: Host, shop: dict[str, Any], admin: dict[str, Any] | None = None) -> str:
    """What the module says of apps with these settings."""
    result = host.run(sites(host, {"shop": {**SHORT, **shop}, "admin": {**ADMIN, **(admin or {})}}))
    return str(result["msg"]) if result.get("failed") else ""


def test_lines_that_nginx_takes(host: Host) -> None:
    assert not refused(host, {"nginx_server": "gzip off;", "nginx_location": "proxy_buffering off;"})


@pytest.mark.parametrize("setting", ["nginx_server", "nginx_location"])
def test_the_setting_of_a_wrong_line_is_named(host: Host, setting: str) -> None:
    wrong = {setting: "gzip off;\n\ngzop on;\n"}
    for said, name in ((refused(host, wrong), "shop"), (refused(host, {}, wrong), "admin")):
        assert 'unknown directive "gzop"' in said
        assert said.endswith(f"; that line is of tornado_apps.{name}.{setting}")


def test_a_line_that_the_role_has_too_is_named(host: Host) -> None:
    said = refused(host, {"nginx_location": "proxy_read_timeout 5s;"})
    assert '"proxy_read_timeout" directive is duplicate' in said
    assert said.endswith("; that line is of tornado_apps.shop.nginx_location")


def test_another_file_is_no_setting(host: Host) -> None:
    (host.root / "conf.d/other.conf").write_text("nonsense;\n")
    assert "that line is of" not in refused(host, {"nginx_server": "gzip off;"})


def test_the_names_that_lead_to_an_app_are_its_own(host: Host) -> None:
    """Somebody else's site has one."""
    (host.root / "conf.d/00-old.conf").write_text(f"server {{ listen 127.0.0.1:{host.port}; server_name www.shop.test; return 200; }}\n")
    files = sites(host, {"shop": {**SHORT, "redirect_names": ["www.shop.test"]}})
    given = [{"path": path, "content": text, "app": "shop" if path == "conf.d/shop.conf" else ""} for path, text in files.items()]
    assert "www.shop.test on this host is also in" in host.install(given)["msg"]
