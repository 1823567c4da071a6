"""A WSGI application instead of one of Tornado's own."""

import shutil
from pathlib import Path

from tests.fleet import Fleet

APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REMOTE_ADDR"].encode(), b" ", environ["PATH_INFO"].encode()]
"""


def test_a_wsgi_application_is_served_and_restarted(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/site.py").write_text(APP)
    shutil.copy(fleet.source / "requirements.txt", tmp_path)
    settings = {"source": str(tmp_path), "command": "", "wsgi": "pages.site:app", "health": {"path": "/well", "timeout": 20}}
    fleet.play("--tags", "deploy", **settings)
    before = fleet.state()
    for name in fleet.hosts:
        answer = fleet.get(name, "/a%20page")
        assert (answer.status, answer.read().decode().split(" ", 1)[1]) == (200, "/a page")
    fleet.play("--tags", "restart", **settings)
    for name, state in fleet.state().items():
        assert len(state.pids) == len(before[name].pids)
        assert not state.pids & before[name].pids


def test_a_wsgi_application_that_is_not_there(fleet: Fleet) -> None:
    fleet.play("--tags", "deploy")
    output = fleet.refused("--tags", "deploy", command="", wsgi="pages.site:app", health={"path": "/", "timeout": 20})
    assert "wsgi: pages.site:app: there is no module pages" in output
