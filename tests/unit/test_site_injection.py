"""No line end in a path or a header becomes a header of its own, for the app or for the client."""

from __future__ import annotations

import json

import pytest

from tests.unit.running_site import Site, site

__all__ = ["site"]  # a fixture

HEAD = "Host: shop.example.com\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("ending", ["%0d%0a", "%0D%0A", "%0a", "%0d", "%250d%250a", "%e5%98%8d%e5%98%8a", "%0b"])
@pytest.mark.parametrize("prefix", ["", "/admin/v2.0"])
@pytest.mark.parametrize(
    "path", ["/a{}X-Injected:%201", "/a{0}{0}GET%20/b%20HTTP/1.1{0}X-Injected:%201", "/static/a{}X-Injected:%201", "/a?b={}X-Injected:%201"]
)
def test_encoded_line_end_stays_in_the_path(site: Site, prefix: str, path: str, ending: str) -> None:
    """nginx decodes the path to cut the prefix off, and encodes it again."""
    url = path.format(ending)
    found = site.tell(prefix + url)
    assert "X-Injected" not in found["headers"]
    assert found["uri"].lower() == url.lower()


@pytest.mark.parametrize("ending", ["%0d%0a", "%0a", "%0d"])
def test_redirect_to_a_prefix_has_no_header_of_the_client(site: Site, ending: str) -> None:
    answer, _ = site.ask(f"/admin/v2.0?a={ending}X-Injected:%201")
    assert (answer.status, answer.headers["X-Injected"]) == (308, None)
    assert answer.headers["Location"] == f"/admin/v2.0/?a={ending}X-Injected:%201"
    # As part of the path, it is another app's path.
    assert "X-Injected" not in site.tell(f"/admin/v2.0{ending}X-Injected:%201")["headers"]


@pytest.mark.parametrize("byte", ["\r", "\0", "\x01", "\x7f", "\t"])
@pytest.mark.parametrize("prefix", ["", "/admin/v2.0", "/static"])
def test_control_character_in_a_path_is_refused(site: Site, prefix: str, byte: str) -> None:
    assert site.raw(f"GET {prefix}/a{byte}X-Injected: 1 HTTP/1.1\r\n{HEAD}".encode()).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_line_end_in_a_path_ends_the_request_line(site: Site, ending: str) -> None:
    """It is then of HTTP/0.9, which names no site."""
    with pytest.raises(ConnectionResetError):
        site.raw(f"GET /admin/v2.0/a{ending}X-Injected: 1 HTTP/1.1\r\n{HEAD}".encode())


@pytest.mark.parametrize("byte", ["\r", "\0"])
@pytest.mark.parametrize("name", ["X-A", "User-Agent", "Cookie", "X-Forwarded-For", "Upgrade"])
def test_line_end_in_a_header_is_refused(site: Site, name: str, byte: str) -> None:
    assert site.raw(f"GET / HTTP/1.1\r\n{name}: b{byte}X-Injected: 1\r\n{HEAD}".encode()).startswith(b"HTTP/1.1 400")


def test_encoded_line_end_in_a_header_stays_as_it_is(site: Site) -> None:
    found = site.tell(X_A="b%0d%0aX-Injected: 1", User_Agent="\\r\\nX-Injected: 1")["headers"]
    assert (found["X-A"], found["User-Agent"]) == ("b%0d%0aX-Injected: 1", "\\r\\nX-Injected: 1")
    assert "X-Injected" not in found


def test_paths_out_of_a_prefix_are_not_the_apps_below_it(site: Site) -> None:
    """Whatever they look like before nginx has read them."""

    def told(path: str) -> tuple[int, str]:
        answer = site.raw(f"GET {path} HTTP/1.1\r\n{HEAD}".encode())
        found = json.loads(answer.partition(b"\r\n\r\n")[2])
        return found["port"], found["uri"]

    for path in ("/admin/v2.0/../x", "/admin/v2.0/%2e%2e/x", "/admin/v2.0/..%2fx", "/admin/v2.0/a/../../x", "//admin//v2.0//..//x"):
        assert told(path)[0] in site.shop["slots"]["blue"]["ports"]
    for path in ("/x/../admin/v2.0/y", "//admin/v2.0/y", "/admin/./v2.0//y", "/%61dmin/v2%2e0/y", "http://shop.example.com/admin/v2.0/y"):
        assert told(path) == (site.admin, "/y")
