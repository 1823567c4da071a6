"""nginx_config: it reads and shows files of others, in whatever encoding they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.nginx_host import SITE, Host, config, host, site

__all__ = ["host"]  # a fixture


def test_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("ä\n", encoding="utf-8")
    assert config.text(tmp_path / "file") == "ä\n"
    assert config.text(tmp_path / "none") is None


def test_text_is_what_the_bytes_are(tmp_path: Path) -> None:
    """Also at the end of a line, which somebody's editor may have written as on Windows."""
    (tmp_path / "file").write_bytes(b"a\r\nb\xfc\n")
    assert os.fsencode(config.text(tmp_path / "file")) == b"a\r\nb\xfc\n"


def test_a_site_of_somebody_else_need_not_be_utf_8(host: Host) -> None:
    """nginx takes it: it is judged, loaded and left as it is."""
    other = host.root / os.fsdecode(b"conf.d/f\xfcr.conf")
    other.write_bytes(f"# {host.port}\n".encode() + b"# f\xfcr alle\n")
    result = host.run({"conf.d/new.conf": "# new\n"})
    assert (result.get("failed", False), result["changed"]) == (False, True)
    assert other.read_bytes().endswith(b"# f\xfcr alle\n")
    assert not host.run({"conf.d/new.conf": "# new\n"})["changed"]
    # What nginx has loaded is told apart by each byte of it.
    loaded = host.state.read_text()
    other.write_bytes(other.read_bytes().replace(b"\xfc", b"\xe4"))
    host.run()
    assert host.state.read_text() != loaded


@pytest.mark.parametrize("check", [False, True])
def test_a_file_that_is_not_utf_8_is_replaced_and_shown(host: Host, check: bool) -> None:
    before = SITE.replace("80", f"127.0.0.1:{host.port}").encode() + b"# f\xfcr alle\n"
    (host.root / "conf.d/site.conf").write_bytes(before)
    result = host.run({"conf.d/site.conf": site(204, host.port)}, check=check)
    assert (result.get("failed", False), result["changed"]) == (False, True)
    assert [diff["before"] for diff in result["diff"]] == [before.decode("utf-8", "replace")]
    assert (host.root / "conf.d/site.conf").read_bytes() == (before if check else site(204, host.port).encode())


def test_what_nginx_refuses_need_not_be_utf_8(host: Host) -> None:
    (host.root / "conf.d/other.conf").write_bytes(b"f\xfcr;\n")
    assert 'unknown directive "f\ufffdr"' in host.run({"conf.d/new.conf": "# new\n"})["msg"]
    assert 'unknown directive "f\ufffdr"' in host.run()["msg"]


def test_what_was_loaded_last_need_not_be_text(host: Host) -> None:
    assert host.run({"conf.d/new.conf": "# new\n"})["changed"]
    host.state.write_bytes(b"\xff\xfe")
    assert not host.run().get("failed")
    assert len(host.state.read_text()) == 64
